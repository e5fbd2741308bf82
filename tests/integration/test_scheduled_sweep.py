"""A sweep as a tick asks for it: what it costs, twice delivered, and what is in its way."""

import time
from datetime import timedelta

import pytest

from driftfleet.jobs import Variant
from driftfleet.ledger import Judged
from driftfleet.settings import CacheSettings, GitHubSettings, VariantRule
from driftfleet.store import FleetReader
from driftfleet.store.files import FileObjects
from driftfleet.swept import Swept, swept_key
from tests.producing import Producer
from tests.standin import StandIn

ROOTS = {f"{name}/main.tf": 'terraform {\n  backend "s3" {}\n}\n' for name in "abc"}


@pytest.fixture
def watching(producer: Producer, ghe: StandIn) -> Producer:
    """A producer that watches acme/infra, which is overdue."""
    ghe.add_repository("acme/infra", ROOTS)
    github = GitHubSettings(url=ghe.url, token="env://TOKEN")
    cache = CacheSettings(folder=producer.folder.parent / "cache")
    producer.settings = producer.settings.model_copy(update={"github": github, "cache": cache})
    producer.environment = {"TOKEN": ghe.token}
    producer.watch("acme/infra")
    producer.forget_sweep("acme/infra")
    producer.tick()
    return producer


def _records(producer: Producer) -> int:
    return len(list((producer.folder / "sweeps").glob("*.json")))


def test_a_sweep_that_is_delivered_twice_is_done_once(watching: Producer) -> None:
    assert watching.headquarters.sweep("acme/infra", "") == 3
    assert watching.headquarters.sweep("acme/infra", "") == 0
    assert _records(watching) == 1


def test_a_repository_whose_sweep_of_that_commit_is_open_is_not_asked_for_again(
    watching: Producer,
) -> None:
    watching.headquarters.sweep("acme/infra", "")
    known = watching.store.record(Swept, swept_key("acme/infra"))
    assert known is not None
    assert known.swept_at is not None
    before = known.model_copy(update={"swept_at": known.swept_at - timedelta(days=1)})
    watching.store.keep(known.key, before)
    watching.redis.delete("driftfleet:swept")
    watching.tick()
    assert watching.headquarters.sweep("acme/infra", "") == 0
    assert _records(watching) == 1
    # And the next slot is the next one.
    after = watching.store.record(Swept, swept_key("acme/infra"))
    assert after is not None
    assert after.sweep_id == known.sweep_id
    assert after.swept_at is not None
    assert after.swept_at >= known.swept_at


def test_a_repository_that_hasnt_changed_costs_one_request(
    watching: Producer, ghe: StandIn
) -> None:
    watching.headquarters.sweep("acme/infra", "")
    watching.forget_sweep("acme/infra")
    watching.tick()
    ghe.clear()
    watching.headquarters.sweep("acme/infra", "")
    assert len(ghe.requests) == 1


def test_a_root_that_left_the_code_leaves_the_fleet_and_one_without_an_answer_is_told(
    watching: Producer, ghe: StandIn
) -> None:
    watching.headquarters.sweep("acme/infra", "")
    (sweep,) = watching.open
    manifest = watching.store.manifest(sweep)
    assert manifest is not None
    for one in manifest.jobs[:2]:
        watching.answer(one)
    status = FleetReader(FileObjects(watching.folder)).read()
    assert [one.root for one in status.roots] == ["a", "b"]
    assert status.never == ("acme/infra/c/default",)
    assert status.gone == ()
    ghe.commit("acme/infra", {}, delete=["a/main.tf"])
    watching.forget_sweep("acme/infra")
    watching.tick()
    watching.headquarters.sweep("acme/infra", "")
    status = FleetReader(FileObjects(watching.folder)).read()
    assert [one.root for one in status.roots] == ["b"]
    assert [one.root for one in status.gone] == ["a"]


def test_variants_that_contradict_each_other_are_told_and_wait_for_the_next_slot(
    watching: Producer,
) -> None:
    twins = (Variant(name="x"), Variant(name="x"))
    rules = (VariantRule(root="a", variants=twins),)
    watching.settings = watching.settings.model_copy(update={"variants": rules})
    assert watching.headquarters.sweep("acme/infra", "") == 0
    (path,) = (watching.folder / "sweeps").glob("*.json")
    record = watching.store.sweep(path.stem)
    assert record is not None
    assert "are named 'x'" in record.problems[0]
    # Each five minutes would be told again, and change nothing.
    watching.redis.delete("driftfleet:once:sweep:acme/infra@")
    known = watching.store.record(Swept, swept_key("acme/infra"))
    assert known is not None
    assert known.swept_at is not None
    assert watching.now - known.swept_at < timedelta(minutes=1)
    # The next slot, which may come at any moment, would be one to be told again.
    later = known.model_copy(update={"swept_at": watching.now + timedelta(minutes=2)})
    watching.store.keep(known.key, later)
    watching.redis.delete("driftfleet:swept")
    assert watching.tick().sweeps == 0


def test_what_github_wants_us_to_wait_for_holds_up_nothing_else(
    watching: Producer, ghe: StandIn
) -> None:
    """A slot that waits is one in which no tick is done."""
    ghe.rate_limited(100, remaining=0, reset=ghe.clock() + 800)
    started = time.monotonic()
    assert watching.headquarters.sweep("acme/infra", "") == 0
    assert time.monotonic() - started < 30
    # It is not asked again before that.
    left = watching.redis.ttl("driftfleet:once:sweep:acme/infra@")
    assert 700 < int(left) <= 800  # type: ignore[arg-type]


def test_a_tick_that_has_just_begun_is_not_done_again(producer: Producer) -> None:
    """Two beats, or a backlog: by Redis' clock, for those of beat and producer may differ."""
    assert producer.headquarters.tick_if_due() is not None
    assert producer.headquarters.tick_if_due() is None


def test_a_root_that_is_new_in_an_old_repository_is_not_as_old_as_that(
    watching: Producer,
) -> None:
    """Staleness is what wakes people: it would be a year for a root of this minute."""
    watching.headquarters.sweep("acme/infra", "")
    first = watching.ledger.roots(["acme/infra"])
    assert len(first) == 3
    assert all(abs(one.at - watching.ledger.now()) < 60 for one in first)


def test_a_root_that_was_never_judged_stays_as_old_as_it_is(watching: Producer) -> None:
    met = Judged(None, watching.ledger.now() - 9000)
    watching.ledger.note_roots("acme/infra", {"a default": met})
    watching.headquarters.sweep("acme/infra", "")
    oldest = min(one.at for one in watching.ledger.roots(["acme/infra"]))
    assert oldest == pytest.approx(met.at, abs=1)
