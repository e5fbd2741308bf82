"""The whole scan of folders on this machine: Redis, workers, jobs, answers, and an end to all."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from driftfleet.ephemeral import EphemeralFolders
from driftfleet.errors import ConfigurationError, StoreUnavailable
from driftfleet.jobs import Job
from driftfleet.ledger import RedisLedger, connect
from driftfleet.results import Result
from driftfleet.settings import BrokerSettings, Settings
from driftfleet.store import ResultStore, open_store
from producer.crew import Crew
from producer.display import Display
from producer.embedded import Embedded, embedded_redis
from producer.follow import Broker, Follower
from producer.orphans import no_orphans
from producer.pursuit import Pursuit
from producer.stopping import Stopped, stopping
from producer.sweep import close_record, jobs_for, new_sweep_id, open_record
from producer.table import exit_code_of
from producer.targets import find, require_roots

# The unix sockets of Redis and of terraform's plugins lie below it: docs/queue.md.
_LONGEST_PARENT_BYTES = 60
_SHORT_PARENT = Path("/tmp")  # noqa: S108 - only a name: the folder in it is ours alone
_VISIBILITY_SECONDS = 20


@dataclass(frozen=True)
class Scan:
    """What to scan and how. ``show_log``: the worker's messages come through to stderr."""

    folders: tuple[Path, ...]
    settings: Settings
    display: Display
    show_log: bool = False


@dataclass
class _Course:
    """What a scan has come to, for whoever has to tell of its end."""

    jobs: list[Job] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    def unanswered(self) -> list[Job]:
        answered = {result.job.identity for result in self.results}
        return [job for job in self.jobs if job.identity not in answered]


def scan(order: Scan) -> int:
    """Check every root of the folders and return the exit code.

    Raises
    ------
    ConfigurationError
        Something that a person must provide is missing; nothing was checked then.
    StoreUnavailable
        The result store broke down during the scan.
    """
    require_machine(order.settings)
    started = time.monotonic()
    course = _Course()
    try:
        with stopping() as stop, ExitStack() as stack:
            stack.callback(stop.hold)
            stack.callback(order.display.end)
            stage = stack.enter_context(_stage(order))
            stack.callback(stop.hold)
            stop.allow()
            where = _run(order, stage, course)
    except Stopped as stopped:
        _tell_what_is_missing(order.display, course)
        return stopped.exit_code
    order.display.conclude(course.results, time.monotonic() - started, where)
    return exit_code_of(course.results)


def require_machine(settings: Settings) -> None:
    """Refuse to start without what every check needs.

    Raises
    ------
    ConfigurationError
        Terraform, the mirror or a writable folder is missing; says how to mend it.
    """
    worker = settings.worker
    if shutil.which(worker.terraform) is None:
        raise ConfigurationError(
            f"'{worker.terraform}' is no program here: install Terraform "
            "(https://developer.hashicorp.com/terraform/install) and put it on the PATH, or name "
            "it with --terraform PATH (worker.terraform)"
        )
    if worker.mirror is not None and not worker.mirror.is_dir():
        what = "is no folder" if worker.mirror.exists() else "no such folder"
        raise ConfigurationError(
            f"the provider mirror {worker.mirror}: {what}; make one with "
            "`terraform providers mirror DIR`, unpack its zip files, and name it with --mirror DIR "
            "(worker.mirror)"
        )
    if _has_own_root(settings):
        EphemeralFolders(worker.writable_root).create().remove()


@dataclass(frozen=True)
class _Stage:
    """What runs while a scan does."""

    settings: Settings
    redis: Embedded
    crew: Crew
    store: ResultStore


@contextmanager
def _stage(order: Scan) -> Iterator[_Stage]:
    """Start Redis and the worker, and end both and all that they started."""
    store = open_store(order.settings.results.store)
    with no_orphans(), _folder() as folder, embedded_redis(folder) as redis:
        settings = _scan_settings(order, folder, redis.url)
        crew = Crew(settings, folder, None if order.show_log else folder / "worker.log")
        try:
            # It takes a second to boot: meanwhile we look for what to check.
            crew.start()
            yield _Stage(settings, redis, crew, store)
        finally:
            crew.end()


@contextmanager
def _folder() -> Iterator[Path]:
    """The scan's own folder; those of killed scans are removed on the way."""
    parent = Path(tempfile.gettempdir())
    if len(os.fsencode(parent)) > _LONGEST_PARENT_BYTES and os.access(_SHORT_PARENT, os.W_OK):
        parent = _SHORT_PARENT
    folders = EphemeralFolders(parent, prefix=f"driftfleet-{os.getuid()}-")
    folders.sweep()
    folder = folders.create()
    try:
        yield folder.path
    finally:
        folder.remove()


def _scan_settings(order: Scan, folder: Path, broker_url: str) -> Settings:
    own_root = _has_own_root(order.settings)
    writable_root = order.settings.worker.writable_root if own_root else folder / "w"
    worker = order.settings.worker.model_copy(
        update={"local_roots": order.folders, "writable_root": writable_root}
    )
    broker = BrokerSettings(
        url=SecretStr(broker_url),
        visibility_timeout_seconds=_VISIBILITY_SECONDS,
        events=False,  # nobody listens, and they cost
    )
    return order.settings.model_copy(update={"worker": worker, "broker": broker})


def _has_own_root(settings: Settings) -> bool:
    return "writable_root" in settings.worker.model_fields_set


def _run(order: Scan, stage: _Stage, course: _Course) -> str:
    """Discover, ask, follow; return where the results are."""
    sweep_id = new_sweep_id("scan", datetime.now(UTC))
    found = find(order.folders, order.settings.discovery)
    require_roots(found)
    for target in found:
        course.jobs += jobs_for(
            [root.path for root in target.discovery.roots],
            sweep_id=sweep_id,
            source=target.source,
            rules=order.settings.variants,
            limits=order.settings.limits,
        )
    record = open_record(course.jobs, sweep_id, datetime.now(UTC))
    try:
        key = stage.store.put_sweep(record)
    except StoreUnavailable as error:
        raise ConfigurationError(
            f"{error.message}; name a place for the results with --results DIR (results.store)"
        ) from error
    follower = _ask_and_follow(order, stage, course)
    stage.store.put_sweep(close_record(record, follower.verdicts, datetime.now(UTC)))
    return f"{stage.store.describe('')} (this scan: {key})"


def _ask_and_follow(order: Scan, stage: _Stage, course: _Course) -> Follower:
    # Celery takes its time to import; the worker boots meanwhile.
    from driftfleet.celery_app import build_app, send  # noqa: PLC0415

    redis = connect(stage.redis.url)
    ledger = RedisLedger(redis)
    app = build_app(stage.settings)

    def answered(result: Result) -> None:
        course.results.append(result)
        order.display.finished(result)

    order.display.begin(len(course.jobs))
    ledger.open(course.jobs[0].sweep_id, [job.identity for job in course.jobs])
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
    if not missing:
        display.message("stopped before anything was checked")
        return
    display.message(f"stopped: {len(missing)} of {len(course.jobs)} were not checked:")
    for job in missing:
        display.message(f"  {job.title.removesuffix(' default')}")
