"""What puts jobs into the queue, whoever asks for them."""

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from driftfleet.jobs import Job

if TYPE_CHECKING:
    from celery import Celery


class Sender:
    """Sends through a Celery application."""

    def __init__(self, app: "Celery") -> None:
        self._app = app

    def send(self, jobs: Sequence[Job], positions: Iterable[int] = itertools.repeat(0)) -> None:
        """As `driftfleet.celery_app.send` does, which says what it raises."""
        # Celery takes its time to import.
        from driftfleet.celery_app import send  # noqa: PLC0415

        send(self._app, jobs, positions=positions)
