"""Asks the configured queue for sweeps of repositories, and watches them where that is wanted."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TextIO

from driftfleet.errors import ConfigurationError
from driftfleet.ledger import RedisLedger
from driftfleet.redis_client import connect
from driftfleet.results import Result
from driftfleet.settings import Settings
from driftfleet.store import ResultStore, open_store
from driftfleet.sweeps import SweepRecord
from producer.broker import Broker
from producer.cache_place import kept_or_temporary_cache
from producer.display import Display
from producer.found import Outlook, require_roots
from producer.progress import Progress
from producer.sending import Sender
from producer.stopping import Stopped, Stopping, stopping
from producer.survey import survey
from producer.sweep_queue import Sweep, SweepQueue
from producer.table import exit_code_of, harmless, json_line
from producer.targets import Targets
from producer.watch import Watch


@dataclass(frozen=True)
class Enqueue:
    """What to ask for and how.

    ``roots`` are globs; where there are any, only roots that one of them matches are asked for.
    ``display`` shows the sweeps to their end; None doesn't wait. ``urgent`` ones go before all that
    waits.
    """

    targets: Targets
    settings: Settings
    environment: Mapping[str, str]
    progress: Progress
    stdout: TextIO
    display: Display | None
    as_json: bool = False
    roots: tuple[str, ...] = ()
    urgent: bool = False


@dataclass
class _Course:
    """What was asked for and answered so far."""

    started: float = field(default_factory=time.monotonic)
    sweeps: list[Sweep] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    problems: tuple[str, ...] = ()

    @property
    def checks(self) -> int:
        return sum(len(sweep.record.asked) for sweep in self.sweeps)


def require_broker(settings: Settings, who: str) -> str:
    """The URL of the configured Redis; ``who`` needs it, such as ``a worker``.

    Raises
    ------
    ConfigurationError
        There is none.
    """
    if settings.broker.url is None:
        raise ConfigurationError(
            f"{who} needs a queue: set broker.url in fleet.yaml, or DRIFTFLEET_BROKER__URL, to "
            "the URL of Redis, such as redis://:PASSWORD@HOST:6379/0 (`driftfleet scan` needs none)"
        )
    return settings.broker.url.get_secret_value()


def enqueue(order: Enqueue) -> int:
    """Send the jobs of every root of the repositories, a sweep each; return the exit code.

    Raises
    ------
    ConfigurationError
        Something that a person must provide is missing; nothing was sent then.
    BrokerUnavailable
        Redis did not take the jobs, or could not be asked for answers any more.
    StoreUnavailable
        The result store did not take the sweeps' records.
    """
    url = require_broker(order.settings, "`driftfleet enqueue`")
    # Celery takes its time to import.
    from driftfleet.celery_app import build_app  # noqa: PLC0415

    redis = connect(url, order.settings.broker.ca_file)
    store = open_store(order.settings.results)
    queue = SweepQueue(
        order.settings,
        RedisLedger(redis),
        store,
        Sender(build_app(order.settings)),
        urgent=order.urgent,
    )
    course = _Course()
    try:
        with stopping() as stop, contextlib.ExitStack() as stack:
            if order.display is not None:
                stack.callback(order.display.end)
            stop.allow()
            Broker(redis).holds_messages()  # whether it answers, before anything else is asked
            outlook = _look(order)
            course.problems = outlook.problems
            _send_all(order, outlook, queue, stop, course)
            if order.display is not None:
                _watch(order.display, course)
    except Stopped as stopped:
        _tell_of_stop(order, store, course)
        return stopped.exit_code
    if order.display is not None:
        _conclude(order.display, store, course)
    return exit_code_of(course.results, course.problems)


def _look(order: Enqueue) -> Outlook:
    with kept_or_temporary_cache(order.settings, order.environment, order.progress) as folder:
        outlook = survey(order.targets, order.settings, order.environment, folder, order.progress)
    require_roots(outlook)
    return _only(outlook, order.roots) if order.roots else outlook


def _only(outlook: Outlook, globs: Sequence[str]) -> Outlook:
    found = tuple(one.only(globs) for one in outlook.found)
    if not outlook.troubles and not any(one.discovery.roots for one in found):
        raise ConfigurationError(
            f"no root module matches --root {' --root '.join(globs)}: `driftfleet discover` shows "
            "their paths"
        )
    return replace(outlook, found=found)


def _send_all(
    order: Enqueue, outlook: Outlook, queue: SweepQueue, stop: Stopping, course: _Course
) -> None:
    for trouble in outlook.troubles:
        _tell(order, queue.note(trouble), trouble.name)
    for found in outlook.found:
        stop.hold()  # a sweep is asked for whole or not at all
        jobs = queue.jobs(found)
        if not order.roots and outlook.is_whole(found):
            queue.note_roots(found, jobs)
        if jobs:
            course.sweeps.append(queue.ask(jobs))
        stop.allow()
        if jobs:
            _tell(order, course.sweeps[-1].record, found.name)


def _tell(order: Enqueue, record: SweepRecord, name: str) -> None:
    """A line on stdout, unless results are to come there: then on stderr, for a person."""
    count = len(record.asked)
    line = f"{record.sweep_id}  {harmless(name)}  {count} check{'' if count == 1 else 's'}"
    if order.display is not None:
        order.progress.message(line)
        return
    if order.as_json:
        line = json_line(record)
    order.stdout.write(f"{line}\n")
    order.stdout.flush()


def _watch(display: Display, course: _Course) -> None:
    def answered(result: Result) -> None:
        course.results.append(result)
        display.finished(result)

    display.begin(course.checks, with_source=len(course.sweeps) > 1)
    Watch([sweep.follower for sweep in course.sweeps], display, answered).run()


def _conclude(display: Display, store: ResultStore, course: _Course) -> None:
    spent = time.monotonic() - course.started
    display.conclude(course.results, spent, store.describe(""), course.problems)


def _tell_of_stop(order: Enqueue, store: ResultStore, course: _Course) -> None:
    tell = order.progress.message
    if not course.sweeps:
        tell("stopped before anything was asked for")
        return
    if order.display is not None and course.results:
        _conclude(order.display, store, course)
    left = [sweep for sweep in course.sweeps if sweep.follower.pending]
    pending = sum(len(sweep.follower.pending) for sweep in left)
    tell(f"stopped watching: {pending} of {course.checks} are not answered yet; the workers go on:")
    for sweep in left:
        tell(f"  {sweep.record.sweep_id}  {sweep.record.source}")
