"""The producer's Celery tasks."""

import io
import json
import time
from collections.abc import Mapping

import structlog
from celery import Celery, Task
from celery.exceptions import SoftTimeLimitExceeded

from driftfleet.errors import DriftfleetError
from driftfleet.settings import Settings
from producer.mirror_fleet import NOT_KNOWN, MirrorOrder, sync_mirror
from producer.progress import Progress

log = structlog.get_logger()

PRODUCER_QUEUE = "driftfleet.producer"
MIRROR_TASK = "driftfleet.mirror_sync"
# A whole fleet's providers from a slow registry; nobody waits for it.
_LIMIT_SECONDS = 6 * 3600


def register(app: Celery, settings: Settings, environment: Mapping[str, str]) -> Task:
    """Register the tasks with the application."""

    # Acknowledged when it begins: a sync that dies is made up for by the next one, and what is
    # half-done is removed then. Delivered twice it would only find the mirror busy.
    @app.task(  # type: ignore[untyped-decorator]
        name=MIRROR_TASK,
        acks_late=False,
        soft_time_limit=_LIMIT_SECONDS,
        time_limit=2 * _LIMIT_SECONDS,
    )
    def mirror_sync() -> None:
        sync_fleet_mirror(settings, environment)

    return mirror_sync


def sync_fleet_mirror(settings: Settings, environment: Mapping[str, str]) -> bool:
    """`driftfleet mirror sync` for the fleet's repositories, told in the log; whether all is well.

    What is in the way is no exception: the next one tries again.
    """
    started = time.monotonic()
    told, gaps = io.StringIO(), io.StringIO()
    try:
        progress = Progress(gaps, animate=False)
        order = MirrorOrder.of((), settings, environment, told, as_json=True, progress=progress)
        code = sync_mirror(order, settings.mirror.origin, settings.mirror.platforms)
    except DriftfleetError as error:
        log.error("mirror_not_synced", reason=error.message)
        return False
    except SoftTimeLimitExceeded:
        log.error("mirror_not_synced", reason=f"it took longer than {_LIMIT_SECONDS // 3600} hours")
        return False
    counts = {"added": 0, "there": 0, "failed": 0}
    for line in told.getvalue().splitlines():
        outcome = json.loads(line)
        counts[outcome["action"]] = counts.get(outcome["action"], 0) + 1
        if outcome["action"] == "failed" or outcome["message"]:
            log.warning("mirror_package", **outcome)
    for line in gaps.getvalue().splitlines():
        if line.startswith(NOT_KNOWN):
            log.warning("mirror_needs_unknown", reason=line.removeprefix(NOT_KNOWN))
    seconds = round(time.monotonic() - started, 1)
    tell = log.info if code == 0 else log.error
    tell("mirror_synced", exit_code=code, seconds=seconds, **counts)
    return code == 0
