"""The command lines of the Celery services. Celery is not imported: it takes a while."""

import sys
from pathlib import Path

from driftfleet.settings import Settings

_PACKAGES = Path(__file__).resolve().parents[1]


def worker_arguments(settings: Settings) -> list[str]:
    """The argument list of one worker process; its settings travel in the environment."""
    return _celery(settings, "worker.app", *_worker("worker", settings.worker.concurrency))


def producer_arguments(settings: Settings) -> list[str]:
    """The argument list of the producer's worker."""
    return _celery(settings, "producer.app", *_worker("producer", settings.producer.concurrency))


def beat_arguments(settings: Settings) -> list[str]:
    """The argument list of beat, which tells the producer what is due."""
    return _celery(settings, "producer.app", "beat")


def _worker(name: str, concurrency: int) -> tuple[str, ...]:
    pool = ("--pool", "prefork", "--concurrency", str(concurrency))
    # Flower takes two of one name for one.
    return ("worker", "--hostname", f"{name}@%h", *pool, "--without-gossip", "--without-mingle")


def _celery(settings: Settings, application: str, *arguments: str) -> list[str]:
    """Python and Celery both look for modules in the current folder first: in a repository that has
    a folder ``worker`` they would run its code. ``-P`` and ``--workdir`` see to it that they don't.
    Its banner would be no line of a log: ``--quiet``.
    """
    return [
        sys.executable, "-P", "-m", "celery", "--quiet", "--workdir", str(_PACKAGES),
        "-A", application, *arguments, "--loglevel", settings.logs.level,
    ]  # fmt: skip
