"""What plain Celery is: one task that does nothing, on one queue, for `benchmarks/slots.py`."""

import os

from celery import Celery

app = Celery("noop", broker=os.environ["NOOP_BROKER"], set_as_current=False)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    broker_transport_options={"visibility_timeout": 120},
)


@app.task(name="noop")  # type: ignore[untyped-decorator]
def noop(payload: dict[str, object]) -> None:
    """Do nothing with it."""
