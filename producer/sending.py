"""What puts jobs into the queue, whoever asks for them."""

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from driftfleet.errors import BrokerUnavailable
from driftfleet.jobs import Job

if TYPE_CHECKING:
    from celery import Celery


class Sender:
    """Sends through a Celery application."""

    def __init__(self, app: "Celery") -> None:
        self._app = app

    def send(self, jobs: Sequence[Job], positions: Iterable[int] = itertools.repeat(0)) -> None:
        """Send jobs; ``positions`` as for `driftfleet.celery_app.send`.

        Raises `BrokerUnavailable`: some of them may have been taken then.
        """
        # Celery takes its time to import.
        from kombu.exceptions import OperationalError  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415

        from driftfleet.celery_app import send  # noqa: PLC0415

        try:
            send(self._app, jobs, positions=positions)
        except (OperationalError, RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis did not take the jobs: {error}") from error
