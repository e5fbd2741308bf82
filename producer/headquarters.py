"""What the producer's tasks work with, opened when the first of them needs it."""

import dataclasses
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import redis
import structlog
from celery import Celery
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from driftfleet.errors import BrokerUnavailable
from driftfleet.github.host import host_of
from driftfleet.ledger import RedisLedger, met_stranger
from driftfleet.metrics import Meter
from driftfleet.publishing import Published, publish
from driftfleet.redis_client import connect
from driftfleet.settings import Settings
from driftfleet.store import ResultStore, open_objects, open_store
from producer.broker import Broker
from producer.measuring import measure
from producer.mending import Mending
from producer.notebook import Notebook
from producer.repositories import Wanted, choose
from producer.repository_sweep import RepositorySweep, open_look
from producer.sending import Sender
from producer.sweep_queue import SweepQueue
from producer.tick import Tick, Ticked

log = structlog.get_logger()

PRODUCER_QUEUE = "driftfleet.producer"
# Of its own: ticks don't wait behind sweeps.
TICK_QUEUE = "driftfleet.ticks"
TICK_TASK = "driftfleet.tick"
SWEEP_TASK = "driftfleet.sweep"
LISTING_TASK = "driftfleet.listing"
MIRROR_TASK = "driftfleet.mirror_sync"
REPORT_TASK = "driftfleet.report"
# What making the pages may take; then they are made by the next one.
REPORT_SECONDS = 600
# Less than a minute, by which beats send them.
_TICK_APART_SECONDS = 40


class Headquarters:
    """Does what the tasks ask for. Everything may raise a `DriftfleetError`."""

    def __init__(
        self,
        app: Celery,
        settings: Settings,
        environment: Mapping[str, str],
        meter: Meter | None = None,
    ) -> None:
        self._app = app
        self._meter = meter or Meter()
        self._settings = settings
        self._environment = environment

    def tick_if_due(self) -> Ticked | None:
        """A tick, unless another one has just begun: that of a second beat, or of a backlog.

        By Redis' clock: a message's own expiry is by those of beat and producer, and where these
        are a minute apart there would be no tick at all.
        """
        return self.tick() if self._notebook.once("tick", _TICK_APART_SECONDS) else None

    def tick(self) -> Ticked:
        """See `producer.tick`."""
        self._ledger.heal(everywhere=False)
        try:
            return self._tick()
        except BrokerUnavailable as error:
            if not met_stranger(error) or not self._ledger.heal(everywhere=True):
                raise
            return self._tick()

    def _tick(self) -> Ticked:
        began = time.monotonic()
        broker = Broker(self._redis)
        ticked = Tick(
            settings=self._settings,
            host=host_of(self._settings.github).name if self._settings.repositories else "",
            ledger=self._ledger,
            store=self._store,
            notebook=self._notebook,
            mending=Mending(
                self._ledger,
                self._store,
                broker,
                self._settings.caps,
                Sender(self._app).send,
            ),
            start_sweep=lambda one: self._start(SWEEP_TASK, one.name, one.ref),
            start_listing=lambda: self._start(LISTING_TASK),
            # One that nobody took within a day is not worth doing beside the next.
            start_mirror_sync=lambda: self._start(MIRROR_TASK, expires=86_400),
            start_report=lambda: self._start(REPORT_TASK),
        ).run()
        log.info("ticked", sweeps=ticked.sweeps, **ticked.mended._asdict())
        measure(ticked, self._ledger, broker, self._store, self._meter)
        self._meter.tick(time.monotonic() - began)
        return ticked

    def sweep(self, repo: str, ref: str) -> int:
        """Sweep a repository of the fleet; one that is none any more is left alone."""
        roster = self._notebook.roster(self._settings.repositories) or []
        wanted = next((one for one in roster if (one.name, one.ref) == (repo, ref)), None)
        if wanted is None:
            log.warning("repository_not_watched", repo=repo, ref=ref)
            return 0
        return RepositorySweep(
            settings=self._settings,
            environment=self._environment,
            ledger=self._ledger,
            store=self._store,
            notebook=self._notebook,
            queue=SweepQueue(
                self._settings, self._ledger, self._store, Sender(self._app), kind="sweep"
            ),
        ).run(wanted)

    def report(self) -> Published | None:
        """Make the dashboard's pages, if they are wanted and nobody else makes them."""
        mark = self._notebook.report_wanted()
        if mark is None or not self._notebook.once("reporting", REPORT_SECONDS):
            return None
        began = time.monotonic()
        try:
            objects = open_objects(self._settings.results)
            published = publish(objects, self._settings, datetime.now(UTC))
        finally:
            self._notebook.again("reporting")
        self._notebook.report_made(mark)
        seconds = round(time.monotonic() - began, 1)
        log.info("report_made", seconds=seconds, **dataclasses.asdict(published))
        return published

    def list_repositories(self) -> int:
        """Find the fleet's repositories, those that are new in an organisation as well."""
        rules = self._settings.repositories
        with open_look(self._settings, self._environment) as access:
            choice = choose(access.github, rules)
        wanted = choice.wanted + self._unlisted(
            choice.wanted, rules, troubled=bool(choice.troubles)
        )
        self._notebook.note_roster(rules, wanted)
        for trouble in choice.troubles:
            log.error("organisation_not_listed", reason=trouble.reason)
        log.info("repositories_listed", count=len(wanted))
        return len(wanted)

    def _unlisted(self, listed: list[Wanted], rules: Any, *, troubled: bool) -> list[Wanted]:
        """What was known before: an organisation that can't be listed now has its repositories."""
        known = {one.name.lower() for one in listed}
        before = self._notebook.roster(rules) or [] if troubled else []
        return [one for one in before if one.name.lower() not in known]

    def _start(self, task: str, *arguments: str, **options: Any) -> None:
        shown = " ".join(filter(None, arguments))
        try:
            self._app.send_task(
                task, args=arguments, queue=PRODUCER_QUEUE, argsrepr=shown, **options
            )
        except (KombuError, RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis did not take {task}: {error}") from error

    @cached_property
    def _redis(self) -> redis.Redis:
        broker = self._settings.broker
        assert broker.url is not None
        return connect(broker.url.get_secret_value(), broker.ca_file)

    @cached_property
    def _ledger(self) -> RedisLedger:
        return RedisLedger(self._redis)

    @cached_property
    def _notebook(self) -> Notebook:
        return Notebook(self._redis)

    @cached_property
    def _store(self) -> ResultStore:
        return open_store(self._settings.results)
