"""A publisher that is killed at any moment: all that is there is whole; the next completes it."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from driftfleet.publishing import publish
from driftfleet.report.root import page_of
from driftfleet.repository_roots import roots_of
from driftfleet.results import Verdict
from driftfleet.settings import ResultSettings, Settings
from driftfleet.store import ResultStore
from driftfleet.store.files import FileObjects
from tests.site_links import broken_links
from tests.sites import AT, HOUR, job, result, swept

_ROOTS = 80
_KILLS = 12
_MOST_TRIES = 60
# Each publisher is a process of its own, forked from one that has imported everything.
_PUBLISHERS = """
import os, sys
from datetime import datetime
from pathlib import Path
from driftfleet.publishing import publish
from driftfleet.report.pages import environment
from driftfleet.settings import Settings
from driftfleet.store.files import FileObjects
environment().get_template("root.html")
for line in sys.stdin:
    if (child := os.fork()) == 0:
        print(os.getpid(), flush=True)
        publish(FileObjects(Path(sys.argv[1])), Settings(), datetime.fromisoformat(line.strip()))
        os._exit(0)
    print(os.WIFSIGNALED(os.waitpid(child, 0)[1]), flush=True)
"""


class Publishers:
    """Publishers that are killed."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running

    def start_and_kill(self, at: datetime, after_seconds: float) -> bool:
        """Whether it was killed before its end."""
        running = self._running
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(f"{at}\n")
        running.stdin.flush()
        child = int(running.stdout.readline())
        time.sleep(after_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        return running.stdout.readline() == "True\n"


@pytest.fixture
def publishers(tmp_path: Path) -> Iterator[Publishers]:
    with subprocess.Popen(
        [sys.executable, "-c", _PUBLISHERS, tmp_path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        yield Publishers(running)


def test_no_half_page_and_no_link_to_nowhere_whenever_it_is_killed(
    tmp_path: Path, publishers: Publishers
) -> None:
    objects = FileObjects(tmp_path)
    settings = Settings(results=ResultSettings(store=f"file://{tmp_path}"))
    chance = random.Random(7)
    roots = [f"r{n}" for n in range(_ROOTS)]
    killed = number = 0
    while killed < _KILLS:
        number += 1
        assert number < _MOST_TRIES, "it ends before it can be killed"
        some = roots if number == 1 else chance.sample(roots, 40)
        said = Verdict.ERROR if number % 2 else Verdict.DRIFTED
        swept(objects, some, said, number=number, at=AT + number * HOUR)
        if number % 4 == 3 and number < 20:
            for root in chance.sample(some, 5):
                roots.remove(root)
            jobs = [job(root) for root in roots]
            look = roots_of(jobs[0].source, jobs, AT + number * HOUR + timedelta(minutes=1))
            ResultStore(objects).keep(look.key, look)
        killed += publishers.start_and_kill(AT + number * HOUR, chance.uniform(0.0, 0.4))
        assert broken_links(objects) == [], f"after {number} kills"
    at = AT + timedelta(days=2)
    assert publish(objects, settings, at).roots == len(roots)
    assert broken_links(objects) == []
    assert set(objects.keys("site/roots/")) == {
        page_of(result(job(root)).latest_key) for root in roots
    }
    # Nothing is left to be done.
    assert publish(objects, settings, at).pages == 2
