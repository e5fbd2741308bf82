"""What a tick asks the producer for: each repository when it is due, once, and the mirror."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from driftfleet.errors import BrokerUnavailable
from driftfleet.repository_rule import RepositoryRule
from driftfleet.settings import MirrorSettings
from driftfleet.swept import Swept, swept_key
from producer.broker import Broker
from producer.mending import Mending
from producer.notebook import Notebook
from producer.repositories import Wanted
from producer.tick import Tick, Ticked, sweep_guard
from tests.producing import HOUR, Producer, overdue

LISTING = "driftfleet.listing"
SWEEP = "driftfleet.sweep"
MINUTES = timedelta(minutes=2)


@dataclass
class Ticking:
    """Ticks that write down what they ask for."""

    producer: Producer
    sweeps: list[str] = field(default_factory=list)
    listings: int = 0
    syncs: int = 0
    reports: int = 0
    away: bool = False

    @property
    def notebook(self) -> Notebook:
        return Notebook(self.producer.redis)

    def tick(self) -> Ticked:
        producer = self.producer
        mending = Mending(
            producer.ledger,
            producer.store,
            Broker(producer.redis),
            producer.settings.caps,
            lambda jobs: None,
        )
        return Tick(
            settings=producer.settings,
            host="ghe.invalid",
            ledger=producer.ledger,
            store=producer.store,
            notebook=self.notebook,
            mending=mending,
            start_sweep=self._sweep,
            start_listing=self._list,
            start_mirror_sync=self._sync,
            start_report=self._report,
        ).run()

    def swept(self, name: str, ago: timedelta) -> None:
        """A repository was swept, as the notebook knows; a slot may come while a test runs."""
        then = self.producer.now - (ago or -MINUTES)
        record = Swept(repo=name, swept_at=then, first_seen=then)
        self.notebook.note_swept({record.key: record})

    def done(self, name: str) -> None:
        """Its sweep has ended."""
        self.swept(name, timedelta(0))
        self.notebook.again(sweep_guard(name, ""))

    def _sweep(self, wanted: Wanted) -> None:
        if self.away:
            raise BrokerUnavailable("Redis did not take driftfleet.sweep")
        self.sweeps.append(wanted.name)

    def _list(self) -> None:
        self.listings += 1

    def _report(self) -> None:
        if self.away:
            raise BrokerUnavailable("Redis did not take driftfleet.report")
        self.reports += 1

    def _sync(self) -> None:
        if self.away:
            raise BrokerUnavailable("Redis did not take driftfleet.mirror_sync")
        self.syncs += 1


@pytest.fixture
def ticking(producer: Producer) -> Ticking:
    return Ticking(producer)


def test_without_repositories_a_tick_only_mends(ticking: Ticking) -> None:
    assert ticking.tick().swept == ()
    assert (ticking.sweeps, ticking.listings, ticking.syncs) == ([], 0, 0)


def test_what_is_due_is_swept_once_until_it_is_due_again(ticking: Ticking) -> None:
    ticking.producer.watch("acme/due", "acme/fresh")
    ticking.swept("acme/due", 2 * HOUR)
    ticking.swept("acme/fresh", timedelta(0))
    assert ticking.tick().sweeps == 1
    # However often, and by however many producers, it is asked for while it waits or runs.
    for _ in range(3):
        assert ticking.tick().sweeps == 0
    ticking.done("acme/due")
    assert ticking.tick().sweeps == 0
    ticking.swept("acme/due", 2 * HOUR)
    assert ticking.tick().sweeps == 1
    assert ticking.sweeps == ["acme/due", "acme/due"]


def test_missed_slots_are_made_up_for_with_one_sweep(ticking: Ticking) -> None:
    ticking.producer.watch("acme/a")
    ticking.swept("acme/a", 50 * HOUR)
    ticking.tick()
    ticking.done("acme/a")
    ticking.tick()
    assert ticking.sweeps == ["acme/a"]


def test_a_new_repository_waits_for_its_slot_and_that_is_remembered(ticking: Ticking) -> None:
    ticking.producer.watch("acme/new")
    (known,) = ticking.tick().swept
    assert ticking.sweeps == []
    assert known.swept_at is None
    assert abs(known.first_seen - ticking.producer.now) < timedelta(minutes=1)
    assert ticking.producer.store.record(Swept, swept_key("acme/new")) == known
    # Seen long ago, and never swept: by now its slot has come.
    earlier = known.model_copy(update={"first_seen": known.first_seen - 2 * HOUR})
    ticking.notebook.note_swept({known.key: earlier})
    ticking.tick()
    assert ticking.sweeps == ["acme/new"]


def test_what_redis_has_forgotten_is_read_from_the_store(ticking: Ticking) -> None:
    ticking.producer.watch("acme/a", "acme/b")
    ticking.producer.store.keep(swept_key("acme/a"), overdue("acme/a"))
    fresh = overdue("acme/b").model_copy(update={"swept_at": ticking.producer.now + MINUTES})
    ticking.producer.store.keep(fresh.key, fresh)
    ticking.tick()
    assert ticking.sweeps == ["acme/a"]
    assert set(ticking.notebook.swept()) == {swept_key("acme/a"), swept_key("acme/b")}


def test_after_an_outage_not_all_start_at_once_and_the_oldest_first(ticking: Ticking) -> None:
    names = [f"acme/r{n:03}" for n in range(200)]
    ticking.producer.watch(*names)
    for age, name in enumerate(names):
        ticking.swept(name, (2 + age) * HOUR)
    assert ticking.tick().sweeps == 120
    assert ticking.sweeps == list(reversed(names))[:120]
    ticking.tick()
    assert ticking.sweeps == list(reversed(names))


def test_more_than_a_tick_may_read_are_read_in_the_next(ticking: Ticking) -> None:
    names = [f"acme/r{n:04}" for n in range(620)]
    ticking.producer.watch(*names)
    assert len(ticking.tick().swept) == 500
    assert len(ticking.tick().swept) == 620


def test_each_rule_may_have_a_schedule_of_its_own(ticking: Ticking) -> None:
    never = {"every": "never"}
    rules = (
        RepositoryRule.model_validate({"repo": "acme/never", "schedule": never}),
        RepositoryRule(repo="acme/hourly"),
    )
    schedule = ticking.producer.settings.schedule.model_copy(update={"every": HOUR})
    ticking.producer.settings = ticking.producer.settings.model_copy(
        update={"repositories": rules, "schedule": schedule}
    )
    wanted = [Wanted(name=str(rule.repo), rule=rule) for rule in rules]
    ticking.notebook.note_roster(rules, wanted)
    for one in wanted:
        ticking.swept(one.name, 50 * HOUR)
    ticking.tick()
    assert ticking.sweeps == ["acme/hourly"]


# The list of repositories.


def test_the_fleet_is_listed_at_first_and_when_its_list_is_old(ticking: Ticking) -> None:
    rules = (RepositoryRule(org="acme"),)
    ticking.producer.settings = ticking.producer.settings.model_copy(update={"repositories": rules})
    ticking.tick()
    ticking.tick()
    assert ticking.listings == 1
    ticking.notebook.note_roster(rules, [Wanted(name="acme/a", rule=rules[0])])
    for name in ("roster-age", "listing"):
        ticking.notebook.again(name)
    ticking.tick()
    assert ticking.listings == 2


def test_other_rules_are_listed_anew_and_nothing_of_the_old_list_is_swept(
    ticking: Ticking,
) -> None:
    ticking.producer.watch("acme/a")
    ticking.swept("acme/a", 50 * HOUR)
    other = (RepositoryRule(repo="acme/b"),)
    ticking.producer.settings = ticking.producer.settings.model_copy(update={"repositories": other})
    ticking.tick()
    assert (ticking.sweeps, ticking.listings) == ([], 1)


# The mirror.


def test_the_mirror_is_synced_once_for_each_of_its_times(ticking: Ticking) -> None:
    now = ticking.producer.now
    ticking.producer.settings = ticking.producer.settings.model_copy(
        update={"mirror": MirrorSettings(sync_at=f"{now.minute} {now.hour} * * *")}
    )
    for _ in range(3):
        ticking.tick()
    assert ticking.syncs == 1


def test_a_mirror_that_nobody_asked_to_sync_is_not(ticking: Ticking) -> None:
    ticking.tick()
    then = ticking.producer.now + HOUR
    at = f"{then.minute} {then.hour} {then.day} {then.month} *"
    ticking.producer.settings = ticking.producer.settings.model_copy(
        update={"mirror": MirrorSettings(sync_at=at)}
    )
    ticking.tick()
    assert ticking.syncs == 0


# What Redis did not take.


def test_what_could_not_be_asked_for_is_asked_for_by_the_next_tick(ticking: Ticking) -> None:
    now = ticking.producer.now
    ticking.producer.settings = ticking.producer.settings.model_copy(
        update={"mirror": MirrorSettings(sync_at=f"{now.minute} {now.hour} * * *")}
    )
    ticking.producer.watch("acme/a")
    ticking.swept("acme/a", 2 * HOUR)
    ticking.away = True
    with pytest.raises(BrokerUnavailable):
        ticking.tick()
    ticking.producer.settings = ticking.producer.settings.model_copy(
        update={"mirror": MirrorSettings()}
    )
    with pytest.raises(BrokerUnavailable):
        ticking.tick()
    ticking.away = False
    ticking.producer.settings = ticking.producer.settings.model_copy(
        update={"mirror": MirrorSettings(sync_at=f"{now.minute} {now.hour} * * *")}
    )
    ticking.tick()
    assert (ticking.sweeps, ticking.syncs) == (["acme/a"], 1)


def test_the_producers_own_tick_sends_to_its_queue(producer: Producer) -> None:
    producer.watch("acme/a")
    producer.store.keep(swept_key("acme/a"), overdue("acme/a"))
    told: Any = producer.tick()
    assert told.sweeps == 1
    assert [one.strip() for one in producer.sent(SWEEP)] == ["acme/a"]
    assert len(producer.sent(LISTING)) == 1
