"""The dashboard of a fleet: made soon after a sweep, each hour in any case, and in nobody's way."""

import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from driftfleet import process
from driftfleet.closing import close_sweep
from driftfleet.configuration import environment_of, process_environment
from driftfleet.errors import StoreUnavailable
from driftfleet.ledger import keys
from driftfleet.report_settings import ReportSettings
from driftfleet.store.catalog import CATALOG_KEY
from driftfleet.worker_command import producer_arguments
from producer.app import create
from producer.found import Trouble
from producer.headquarters import PRODUCER_QUEUE, REPORT_TASK
from producer.notebook import Notebook
from producer.sending import Sender
from producer.sweep_queue import SweepQueue
from tests.log_lines import events
from tests.producing import Producer
from tests.workers import wait_until

INDEX = "site/index.html"


@pytest.fixture
def resting(producer: Producer) -> Producer:
    """A producer whose hourly report was made a moment ago."""
    Notebook(producer.redis).hold("report-hour", 3600)
    return producer


def close(producer: Producer, *roots: str) -> str:
    """Have a sweep asked for, answered and closed; its id."""
    jobs = producer.ask(*roots)
    for one in jobs:
        producer.answer(one)
    close_sweep(jobs[0].sweep_id, producer.ledger, producer.store)
    return jobs[0].sweep_id


def asked(producer: Producer) -> int:
    return len(producer.sent(REPORT_TASK))


def index(producer: Producer) -> str:
    return (producer.folder / INDEX).read_text()


def test_a_closed_sweep_is_shown_within_a_tick(resting: Producer) -> None:
    resting.tick()
    assert asked(resting) == 0
    sweep = close(resting, "a", "b")
    resting.tick()
    assert asked(resting) == 1
    published: Any = resting.headquarters.report()
    assert published.roots == 2
    assert (resting.folder / f"site/sweeps/{sweep}.html").is_file()
    assert (resting.folder / CATALOG_KEY).is_file()
    assert Notebook(resting.redis).report_wanted() is None


def test_many_sweeps_cost_one_report(resting: Producer) -> None:
    for number in range(5):
        close(resting, f"r{number}")
        resting.tick()
    assert asked(resting) == 1
    assert resting.headquarters.report() is not None
    # Those that were sent meanwhile find nothing to do.
    assert resting.headquarters.report() is None


def test_a_request_that_is_lost_is_made_again(resting: Producer) -> None:
    close(resting, "a")
    resting.tick()
    resting.redis.delete(PRODUCER_QUEUE, "driftfleet:once:report")
    resting.tick()
    assert asked(resting) == 1


def test_what_is_closed_while_pages_are_made_is_shown_by_the_next(resting: Producer) -> None:
    close(resting, "a")
    notebook = Notebook(resting.redis)
    mark = notebook.report_wanted()
    close(resting, "b")
    assert mark is not None
    notebook.report_made(mark)
    assert notebook.report_wanted() not in (None, mark)


def test_one_is_made_at_a_time(resting: Producer) -> None:
    close(resting, "a")
    Notebook(resting.redis).hold("reporting", 60)
    assert resting.headquarters.report() is None
    assert Notebook(resting.redis).report_wanted() is not None


def test_each_hour_one_is_made_without_any_sweep(producer: Producer) -> None:
    """A fleet that is dead must not look as it did when it was alive."""
    producer.tick()
    assert asked(producer) == 1
    assert producer.headquarters.report() is not None
    producer.redis.delete("driftfleet:once:report")
    producer.tick()
    assert asked(producer) == 1
    producer.redis.delete("driftfleet:once:report-hour")
    producer.tick()
    assert asked(producer) == 2


def test_it_is_asked_for_no_more_often_than_the_settings_say(resting: Producer) -> None:
    report = ReportSettings(every=timedelta(hours=2))
    resting.settings = resting.settings.model_copy(update={"report": report})
    close(resting, "a")
    resting.tick()
    left: Any = resting.redis.ttl("driftfleet:once:report")
    assert 7100 < left < 7200


def test_where_it_is_turned_off_nobody_asks_for_it(producer: Producer) -> None:
    off = ReportSettings(enabled=False)
    producer.settings = producer.settings.model_copy(update={"report": off})
    close(producer, "a")
    producer.tick()
    assert asked(producer) == 0


def test_a_repository_that_could_not_be_looked_at_is_shown_too(resting: Producer) -> None:
    queue = SweepQueue(resting.settings, resting.ledger, resting.store, Sender(resting.app))
    queue.note(Trouble("acme/gone", "acme/gone: there is no such repository"))
    assert Notebook(resting.redis).report_wanted() is not None


def test_one_that_fails_is_asked_for_again_and_holds_up_nothing(resting: Producer) -> None:
    sweep = close(resting, "a")
    (resting.folder / "site").write_text("no folder")
    with pytest.raises(StoreUnavailable):
        resting.headquarters.report()
    assert resting.closed(sweep)
    assert Notebook(resting.redis).report_wanted() is not None
    (resting.folder / "site").unlink()
    assert resting.headquarters.report() is not None


def test_the_mark_expires_and_one_of_another_type_is_removed(resting: Producer) -> None:
    close(resting, "a")
    left: Any = resting.redis.ttl(keys.REPORT)
    assert 86_000 < left <= 86_400
    resting.redis.delete(keys.REPORT)
    resting.redis.rpush(keys.REPORT, "x")
    resting.tick()
    assert resting.redis.exists(keys.REPORT) == 0


@pytest.fixture
def service(producer: Producer, tmp_path: Path) -> Iterator[Path]:
    """A producer of its own process; where its log is."""
    log = tmp_path / "producer.log"
    with log.open("ab") as file:
        running = process.start(
            producer_arguments(producer.settings),
            {**process_environment(), **environment_of(producer.settings)},
            death_signal=signal.SIGKILL,
            stdout=file,
            stderr=file,
        )
    yield log
    running.terminate()
    running.wait(90)


def test_the_producer_makes_it_and_says_so_and_says_why_not(
    producer: Producer, service: Path
) -> None:
    close(producer, "a")
    with create(producer.settings) as app:
        app.send_task(REPORT_TASK, queue=PRODUCER_QUEUE)
        assert wait_until(lambda: events(service, "report_made") != [], 60), service.read_text()
        assert index(producer).endswith("</html>")
        (told,) = events(service, "report_made")
        assert told["roots"] == 1
        (producer.folder / INDEX).unlink()
        (producer.folder / INDEX).mkdir()
        close(producer, "b")
        app.send_task(REPORT_TASK, queue=PRODUCER_QUEUE)
        assert wait_until(lambda: events(service, "report_failed") != [], 60), service.read_text()
    (told,) = events(service, "report_failed")
    assert INDEX in told["reason"]
    assert "Traceback" not in service.read_text()
