"""The producer's Celery tasks: a tick, a sweep, a listing, a sync of the mirror, the dashboard.

Each is acknowledged when it begins: what dies is found due again by a later tick.
"""

import io
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

from driftfleet.errors import DriftfleetError
from driftfleet.metrics import Meter
from driftfleet.settings import Settings
from producer.headquarters import (
    LISTING_TASK,
    MIRROR_TASK,
    REPORT_SECONDS,
    REPORT_TASK,
    SWEEP_TASK,
    TICK_TASK,
    Headquarters,
)
from producer.mirror_fleet import NOT_KNOWN, MirrorOrder, sync_mirror
from producer.progress import Progress
from producer.tick import SWEEP_SECONDS

log = structlog.get_logger()

_TICK_SECONDS = 300
# A whole fleet's providers from a slow registry; nobody waits for it.
_MIRROR_SECONDS = 6 * 3600


def register(app: Celery, settings: Settings, environment: Mapping[str, str], meter: Meter) -> None:
    """Register the tasks with the application."""
    headquarters = Headquarters(app, settings, environment, meter)

    def task(name: str, seconds: int, work: Callable[..., object], *, takes: int = 0) -> None:
        def called(*arguments: Any) -> None:
            if len(arguments) != takes or not all(isinstance(one, str) for one in arguments):
                # Anybody may have sent it.
                log.error("message_refused", task=name, reason=f"it takes {takes} texts")
                return
            work(*arguments)

        limits = {"soft_time_limit": seconds, "time_limit": 2 * seconds}
        app.task(called, name=name, acks_late=False, shared=False, **limits)

    def sweep(repo: str, ref: str) -> None:
        _told("repository_not_swept", lambda: headquarters.sweep(repo, ref))

    task(TICK_TASK, _TICK_SECONDS, lambda: _told("tick_failed", headquarters.tick_if_due))
    task(SWEEP_TASK, SWEEP_SECONDS, sweep, takes=2)
    task(
        LISTING_TASK,
        _TICK_SECONDS,
        lambda: _told("repositories_not_listed", headquarters.list_repositories),
    )
    task(REPORT_TASK, REPORT_SECONDS, lambda: _report(headquarters))
    task(MIRROR_TASK, _MIRROR_SECONDS, lambda: sync_fleet_mirror(settings, environment))


def _report(headquarters: Headquarters) -> None:
    """Make the dashboard: whatever is in the way, the producer has more important things to do."""
    try:
        _told("report_failed", headquarters.report)
    except Exception:
        log.exception("report_failed", reason="a fault of driftfleet's own")


def _told(event: str, work: Callable[[], object]) -> None:
    """Do it, and tell in one line what was in the way."""
    structlog.contextvars.clear_contextvars()
    try:
        work()
    except DriftfleetError as error:
        log.error(event, reason=error.message)
    except SoftTimeLimitExceeded:
        log.error(event, reason="it took too long or the producer ends, and it is tried again")


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
        log.error(
            "mirror_not_synced",
            reason=f"it took longer than {_MIRROR_SECONDS // 3600} hours, or the producer ends",
        )
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
