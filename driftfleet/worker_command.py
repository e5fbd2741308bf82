"""The command line of a worker process. Celery is not imported: it takes a while."""

import sys
from pathlib import Path

from driftfleet.settings import Settings

_PACKAGES = Path(__file__).resolve().parents[1]


def worker_arguments(settings: Settings) -> list[str]:
    """The argument list of one worker process; its settings travel in the environment.

    Python and Celery both look for modules in the current folder first: in a repository that has a
    folder ``worker`` they would run its code. ``-P`` and ``--workdir`` see to it that they don't.
    """
    return [
        sys.executable, "-P", "-m", "celery", "--workdir", str(_PACKAGES),
        "-A", "worker.app", "worker",
        "--pool", "prefork", "--concurrency", str(settings.worker.concurrency),
        "--without-gossip", "--without-mingle",
        "--loglevel", settings.logs.level,
    ]  # fmt: skip
