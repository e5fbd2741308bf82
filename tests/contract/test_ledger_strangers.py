"""What is ours is left alone, whatever a fleet does; what can't be ours is removed."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from driftfleet.celery_app import build_app, send
from driftfleet.errors import BrokerUnavailable
from driftfleet.ledger import (
    Ask,
    Judged,
    OpenSweep,
    Recent,
    RedisLedger,
    Running,
    WorkerSeen,
    met_stranger,
)
from driftfleet.results import Verdict
from driftfleet.settings import BrokerSettings, Settings
from driftfleet.swept import Swept
from producer.embedded import Embedded, embedded_redis
from producer.notebook import Notebook
from tests.ledgers import answer, ask, job

CAPS = {"account:prod": 1}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with embedded_redis(tmp_path_factory.mktemp("r")) as running:
        yield running


@pytest.fixture
def fleet(embedded: Embedded) -> redis.Redis:
    """A Redis with every key that a fleet makes."""
    client = redis.Redis(unix_socket_path=embedded.url.partition("@")[2], password=_word(embedded))
    client.flushall()
    ledger = RedisLedger(client)
    roots = [job(f"root{n}", caps=("account:prod",)) for n in range(6)]
    ask(ledger, *roots)
    ask(ledger, *(job(f"root{n}", sweep="s2") for n in range(3)))
    ledger.seal(OpenSweep(sweep_id="s1", source="acme/infra", asked=6, deadline=2e9))
    for n in range(2):
        ledger.begin(roots[n], f"t{n}", CAPS)
    running = Running(title=roots[0].title, phase="plan", worker="w", started_at=1e9)
    ledger.note("s1", roots[0].identity, running)
    ask(ledger, job("root0", sweep="sweep-20260102T120000-aaaaaa", sha="2" * 40))
    recent = Recent(title="t", verdict=Verdict.CLEAN, seconds=1.0, finished_at=1e9, worker="w")
    ledger.begin(roots[4], "t4", {})
    ledger.answer(roots[4], answer(roots[4]), "t4", recent, 1 << 20)
    ledger.put_off(roots[5], 60)
    ledger.put_back("s1", Ask.of(roots[3]))
    ledger.note_roots("acme/infra", {"root0 default": Judged(Verdict.CLEAN, 1e9)})
    ledger.say(WorkerSeen(name="w", slots=2, seen_at=ledger.now()))
    notebook = Notebook(client)
    notebook.once("tick", 40)
    notebook.note_roster((), [])
    notebook.note_swept({"k": Swept(repo="o/r", ref="", first_seen=datetime.now(UTC))})
    with build_app(Settings(broker=BrokerSettings(url=SecretStr(embedded.url)))) as app:
        send(app, [job(f"sent{n}") for n in range(200)], positions=range(200))
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            channel.do_restore = False
            channel.basic_consume(job().queue, False, lambda _: None, "tag")
            connection.drain_events(timeout=60)
    return client


def _word(embedded: Embedded) -> str:
    return embedded.url.partition("://:")[2].partition("@")[0]


def test_what_a_fleet_has_made_is_left_alone(fleet: redis.Redis) -> None:
    names = set(fleet.keys())
    starts = {name.decode().partition("driftfleet:")[2].partition(":")[0] for name in names}
    assert starts >= {
        "open", "about", "later", "recent", "workers", "cost", "parked", "want", "joined", "run",
        "tries", "lost", "cap", "sweep", "roots", "roster", "swept", "once", "outdated",
    }  # fmt: skip
    assert {b"unacked", b"unacked_index"} <= names
    ledger = RedisLedger(fleet)
    assert ledger.heal(everywhere=True) == 0
    assert ledger.heal(everywhere=False) == 0
    assert set(fleet.keys()) == names


def test_each_key_of_another_type_is_removed_and_no_other(fleet: redis.Redis) -> None:
    ledger = RedisLedger(fleet)
    for name in sorted(fleet.keys()):
        if name.startswith((b"driftfleet:once", b"_kombu")):
            continue
        kind = fleet.type(name)
        others = set(fleet.keys()) - {name}
        # What a sweep waits for is asked for again: it is open no more.
        closes = {b"driftfleet:open"} if name == b"driftfleet:sweep:s1:pending" else set()
        fleet.delete(name)
        if kind == b"string":
            fleet.rpush(name, "x")
        else:
            fleet.set(name, "x")
        assert ledger.heal(everywhere=True) == 1, name
        assert others - closes <= set(fleet.keys()) <= others


def test_a_counter_that_is_no_number_is_removed(fleet: redis.Redis) -> None:
    one = job("counted")
    ledger = RedisLedger(fleet)
    ask(ledger, one)
    fleet.set(f"driftfleet:tries:{one.identity}", "many")
    begun = ledger.begin(one, "token", {})
    assert (begun.outcome, begun.tries) == ("start", 1)


def test_a_sweep_whose_pending_checks_are_lost_is_open_no_more(fleet: redis.Redis) -> None:
    ledger = RedisLedger(fleet)
    fleet.set("driftfleet:sweep:s1:pending", json.dumps("x"))
    with pytest.raises(BrokerUnavailable) as refused:
        ledger.pending("s1")
    assert met_stranger(refused.value)
    assert ledger.heal(everywhere=True) == 1
    assert ledger.open_sweeps() == []
