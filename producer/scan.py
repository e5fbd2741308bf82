"""The whole scan on this machine, of folders and repositories: look, ask, follow, tell."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from driftfleet.errors import ConfigurationError, StoreUnavailable
from driftfleet.jobs import Job
from driftfleet.ledger import Ask, RedisLedger
from driftfleet.redis_client import connect
from driftfleet.repository_roots import RepositoryRoots, roots_of
from driftfleet.results import Result
from driftfleet.settings import Settings
from driftfleet.sweep_id import new_sweep_id
from driftfleet.sweeps import SweepRecord
from producer.broker import Broker
from producer.display import Display
from producer.follow import Follower
from producer.found import require_roots
from producer.progress import Progress
from producer.pursuit import Pursuit
from producer.stage import Stage, open_stage, require_machine
from producer.stopping import Stopped, stopping
from producer.survey import survey
from producer.sweep import close_record, jobs_of, open_record
from producer.table import exit_code_of
from producer.targets import Targets


@dataclass(frozen=True)
class Scan:
    """What to scan and how. ``show_log``: the worker's messages come through to stderr."""

    targets: Targets
    settings: Settings
    environment: Mapping[str, str]
    display: Display
    progress: Progress
    show_log: bool = False


@dataclass
class _Course:
    """What a scan has come to, for whoever has to tell of its end."""

    started: float = field(default_factory=time.monotonic)
    jobs: list[Job] = field(default_factory=list)
    looks: list[RepositoryRoots] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    problems: tuple[str, ...] = ()
    where: str = ""

    def unanswered(self) -> list[Job]:
        answered = {result.job.identity for result in self.results}
        return [job for job in self.jobs if job.identity not in answered]

    def conclude(self, display: Display) -> None:
        spent = time.monotonic() - self.started
        display.conclude(self.results, spent, self.where, self.problems)


def scan(order: Scan) -> int:
    """Check every root of the targets and return the exit code.

    Raises
    ------
    ConfigurationError
        Something that a person must provide is missing; nothing was checked then.
    StoreUnavailable
        The result store broke down during the scan.
    """
    require_machine(order.settings, order.environment)
    course = _Course()
    try:
        with stopping() as stop, ExitStack() as stack:
            stack.callback(stop.hold)
            stack.callback(order.display.end)
            stage = stack.enter_context(
                open_stage(
                    order.settings,
                    order.environment,
                    order.targets.folders,
                    order.progress,
                    show_log=order.show_log,
                )
            )
            stack.callback(stop.hold)
            stop.allow()
            _run(order, stage, course)
    except Stopped as stopped:
        if course.results:
            course.conclude(order.display)
        _tell_what_is_missing(order.display, course)
        return stopped.exit_code
    course.conclude(order.display)
    from producer.reporting import report_of_scan  # noqa: PLC0415 - nothing before needs templates

    report_of_scan(order.settings, order.display)
    return exit_code_of(course.results, course.problems)


def _run(order: Scan, stage: Stage, course: _Course) -> None:
    """Discover, ask, follow, and keep a record of it."""
    sweep_id = new_sweep_id("scan", datetime.now(UTC))
    outlook = survey(order.targets, order.settings, order.environment, stage.cache, order.progress)
    require_roots(outlook)
    course.problems = outlook.problems
    for found in outlook.found:
        jobs = jobs_of(found, sweep_id, order.settings)
        if outlook.is_whole(found):
            course.looks.append(roots_of(found.source, jobs, datetime.now(UTC)))
        course.jobs += jobs
    record = open_record(course.jobs, sweep_id, datetime.now(UTC), outlook.troubles)
    course.where = _keep(stage, record)
    for look in course.looks:
        stage.store.keep(look.key, look)
    if course.jobs:
        _ask_and_follow(order, stage, course)
    stage.store.put_sweep(close_record(record, course.results, datetime.now(UTC)))


def _keep(stage: Stage, record: SweepRecord) -> str:
    """Keep the record of what is about to be asked; return where everything is kept."""
    try:
        key = stage.store.put_sweep(record)
    except StoreUnavailable as error:
        raise ConfigurationError(
            f"{error.message}; name a place for the results with --results DIR (results.store)"
        ) from error
    return f"{stage.store.describe('')} (this scan: {key})"


def _ask_and_follow(order: Scan, stage: Stage, course: _Course) -> Follower:
    # Celery takes its time to import; the worker boots meanwhile.
    from driftfleet.celery_app import build_app, send  # noqa: PLC0415

    redis = connect(stage.redis.url)
    ledger = RedisLedger(redis)
    app = build_app(stage.settings)

    def answered(result: Result) -> None:
        course.results.append(result)
        order.display.finished(result)

    sources = {job.source.repo for job in course.jobs}
    order.display.begin(len(course.jobs), with_source=len(sources) > 1)
    ledger.open(course.jobs[0].sweep_id, [Ask.of(job) for job in course.jobs])
    send(app, course.jobs)
    follower = Follower(course.jobs, ledger, stage.store)
    Pursuit(
        follower=follower,
        broker=Broker(redis),
        crew=stage.crew,
        display=order.display,
        send=lambda jobs: send(app, jobs),
        answered=answered,
        timeout_seconds=order.settings.limits.timeout_seconds,
    ).run()
    return follower


def _tell_what_is_missing(display: Display, course: _Course) -> None:
    missing = course.unanswered()
    if not course.jobs:
        display.message("stopped before anything was checked")
    elif not missing:
        display.message("stopped after everything was checked")
    else:
        display.message(f"stopped: {len(missing)} of {len(course.jobs)} were not checked:")
    for job in missing:
        display.message(f"  {job.title.removesuffix(' default')}")
