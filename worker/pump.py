"""What a worker's main process does beside its pool, every second.

Jobs that were put off go back into the queue when they are due, and the worker says that it lives.
"""

import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from celery import Celery
from celery.worker import state

from driftfleet.celery_app import send
from driftfleet.errors import BrokerUnavailable
from driftfleet.jobs import Job
from driftfleet.ledger import Ledger, WorkerSeen
from driftfleet.metrics import Meter
from driftfleet.settings import WorkerSettings
from driftfleet.timer_step import TimerStep
from worker.machine import available_memory_bytes
from worker.room import Room

log = structlog.get_logger()

_EVERY_SECONDS = 1.0
_SAY_SECONDS = 10.0
_MOST_AT_ONCE = 200


class Pump:
    """Puts what is due into the queue, and says what this worker is."""

    def __init__(
        self, app: Celery, ledger: Ledger, meter: Meter, worker: WorkerSettings, room: Room
    ) -> None:
        self._app = app
        self._ledger = ledger
        self._meter = meter
        self._slots = worker.concurrency
        self._writable_root = worker.writable_root
        self._room = room
        self._said = 0.0

    def beat(self, name: str) -> None:
        """Do what is to be done now; a Redis that is away is for the consumer to deal with."""
        try:
            self._send_due()
            if time.monotonic() - self._said >= _SAY_SECONDS:
                self._said = time.monotonic()
                self._ledger.say(self._seen(name))
        except BrokerUnavailable as error:
            log.warning("pump_stopped", reason=error.message)

    def _send_due(self) -> None:
        jobs = self._ledger.due(_MOST_AT_ONCE)
        if not jobs:
            return
        try:
            send(self._app, jobs)
        except BrokerUnavailable:
            self._keep(jobs)
            raise

    def _keep(self, jobs: list[Job]) -> None:
        """Where not even that works, the producer finds them missing, within a minute."""
        for job in jobs:
            self._ledger.put_off(job, 1)

    def _seen(self, name: str) -> WorkerSeen:
        try:
            _, used, free = shutil.disk_usage(self._writable_root)
            self._meter.disk(used_bytes=used, free_bytes=free)
            refusal = self._room.disk_refusal()
            waits_for = refusal.message if refusal else ""
        except OSError as error:
            free, waits_for = 0, f"its writable root: {error}"
        self._meter.slots(busy=len(state.active_requests), total=self._slots)
        return WorkerSeen(
            name=name,
            slots=self._slots,
            seen_at=self._ledger.now(),
            free_disk_bytes=free,
            available_memory_bytes=available_memory_bytes(),
            waits_for=waits_for,
        )


def pump_step(pump: Pump) -> type[TimerStep]:
    """The bootstep that lets ``pump`` beat in the consumer's loop."""

    class PumpStep(TimerStep):
        def repeated(self, consumer: Any) -> tuple[float, Callable[[], object]]:
            return _EVERY_SECONDS, partial(pump.beat, f"{consumer.hostname}/{os.getpid()}")

    return PumpStep
