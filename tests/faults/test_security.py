"""Who can write to Redis, and what that is good for: no code runs, nobody is stopped, all is told.

Redis' password and TLS keep strangers out (docs/redis.md); this is about one who got in.
"""

import json
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from driftfleet import process
from driftfleet.celery_app import build_app
from driftfleet.configuration import environment_of, process_environment
from driftfleet.errors import TransientError
from driftfleet.jobs import CHECK_TASK
from driftfleet.results import ErrorKind, Verdict
from driftfleet.settings import LogSettings
from driftfleet.sweeps import SweepManifest
from driftfleet.worker_command import producer_arguments
from producer.broker import Broker
from producer.headquarters import (
    LISTING_TASK,
    MIRROR_TASK,
    PRODUCER_QUEUE,
    REPORT_TASK,
    SWEEP_TASK,
    TICK_QUEUE,
    TICK_TASK,
    Headquarters,
)
from producer.notebook import Notebook
from producer.overview import look, record_of
from producer.page import Page
from producer.top import top_lines
from tests.envelopes import EMBED, JOB, SECRET, SPOILED, encoded, message, pickled
from tests.faults.conftest import MakeFleet
from tests.faults.fleet import BrokenFleet
from tests.workers import wait_until

# What is no message by far.
RAW: dict[str, Any] = {
    "bytes": b"\x00\xff",
    "nothing": b"",
    "an empty object": "{}",
    "a number": "5",
    "a list": "[]",
    "a body alone": json.dumps({"body": 1, "x": SECRET}),
    "a huge text": SECRET * 2_000_000,
    "a huge JSON text": json.dumps(SECRET * 2_000_000),
    "JSON that is nested": "[" * 200_000,
    "JSON with a number of kombu's": json.dumps({"__type__": "decimal", "__value__": SECRET}),
    "JSON of no type of kombu's": json.dumps({"__type__": {}, "__value__": SECRET}),
    "a number of many digits": "9" * 100_000,
    "a task of Celery's first protocol": json.dumps(
        message(headers={}, body=encoded({"task": CHECK_TASK, "id": "x", "args": [JOB]}))
    ),
}
# Messages, and what they ask for is nothing that can be done.
REFUSED_JOBS = {
    "a number": [5],
    "nothing": [],
    "two jobs": [JOB, JOB],
    "a text": [SECRET],
    "a list": [[JOB]],
    "another schema": [{**JOB, "schema_version": 2}],
    "a root elsewhere": [{**JOB, "root": f"../../{SECRET}"}],
    "a command": [{**JOB, "command": f"curl {SECRET}"}],
    "a bad sweep": [{**JOB, "sweep_id": f"../{SECRET}"}],
    "endless limits": [{**JOB, "limits": {"timeout_seconds": 10**12}}],
}


class Watched:
    """A fleet whose worker's log is read line by line, JSON each."""

    def __init__(self, make_fleet: MakeFleet, **more: Any) -> None:
        self.fleet: BrokenFleet = make_fleet(
            concurrency=1, more={"logs": LogSettings(format="json")}, **more
        )
        self.fleet.write_quick("honest")
        self.worker = self.fleet.start_worker()
        self.fleet.wait_ready()
        self._read = self.fleet.log.stat().st_size
        self._honest = 0

    def warnings(self, count: int = 1, seconds: float = 60) -> list[dict[str, Any]]:
        """The lines since the last call that are a warning or worse, once there are so many."""
        assert wait_until(lambda: len(_warnings(self._text())) >= count, seconds), self._text()[
            -3000:
        ]
        time.sleep(0.1)
        text = self._text()
        told = _warnings(text)
        self._read += len(text.encode())
        assert SECRET not in text
        assert "Traceback" not in text
        return told

    def answers_the_honest(self) -> None:
        """The worker is the same, holds on to nothing, and answers what is asked for."""
        self._honest += 1
        sweep = self.fleet.ask("honest", sha=str(self._honest))
        record = self.fleet.closed(sweep, 60)
        assert (list(record.answered.values()), record.missing) == ([Verdict.UNAPPLIED], ())
        assert self.worker.poll() is None
        assert wait_until(lambda: self._held() == [], 60), self._held()
        self._read = self.fleet.log.stat().st_size

    def _held(self) -> list[bytes]:
        """The queues that aren't empty, without the producer's: none runs here."""
        held: Any = self.fleet.redis.keys("driftfleet.*") + self.fleet.redis.keys("unacked")
        return [key for key in held if key != b"driftfleet.producer"]

    def stop(self) -> None:
        """The worker takes nothing until it goes on."""
        self.worker.send_signal(signal.SIGSTOP)
        main = psutil.Process(self.worker.pid)
        assert wait_until(lambda: main.status() == psutil.STATUS_STOPPED, 60)
        # By then Redis has answered what it had asked for.
        assert wait_until(lambda: self._asking() == 0, 60)

    def _asking(self) -> int:
        """How many clients of Redis wait for something to be put into a queue."""
        return int(self.fleet.redis.info("clients")["blocked_clients"])

    def go_on(self) -> None:
        self.worker.send_signal(signal.SIGCONT)

    def tick(self) -> None:
        """One of a producer's."""
        with build_app(self.fleet.settings) as app:
            Headquarters(app, self.fleet.settings, process_environment()).tick()

    def grow_old(self, sweep_id: str) -> None:
        """As if it had been asked for minutes ago: a young sweep isn't asked for again."""
        path = Path(self.fleet.store.describe(f"open/{sweep_id}.json"))
        manifest = SweepManifest.model_validate_json(path.read_text())
        older = {"asked_at": manifest.asked_at - timedelta(minutes=5)}
        path.write_text(manifest.model_copy(update=older).model_dump_json())

    def _text(self) -> str:
        """The whole lines: one may be half written."""
        with self.fleet.log.open("rb") as log:
            log.seek(self._read)
            lines, end, _ = log.read().rpartition(b"\n")
            return (lines + end).decode()


def _warnings(text: str) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [one for one in told if one["level"] in ("warning", "error", "critical")]


@pytest.fixture
def watched(make_fleet: MakeFleet) -> Watched:
    return Watched(make_fleet)


class TestGarbageInAQueue:
    def test_what_is_no_message_is_told_of_in_one_line_and_dropped(self, watched: Watched) -> None:
        for what, text in RAW.items():
            watched.fleet.redis.lpush("driftfleet.checks.29", text)
            told = watched.warnings()
            assert [one["event"] for one in told] == ["message_refused"], (what, told)
        watched.answers_the_honest()

    def test_what_no_message_of_ours_has_is_refused(self, watched: Watched, tmp_path: Path) -> None:
        bomb = tmp_path / "unpickled"
        for what, changes in SPOILED.items():
            spoiled = {"body": pickled(bomb)} if what == "pickle" else {}
            text = json.dumps(message(**{**changes, **spoiled}))
            watched.fleet.redis.lpush("driftfleet.checks.29", text)
            told = watched.warnings()
            assert [one["event"] for one in told] == ["message_refused"], (what, told)
        assert not bomb.exists()
        # Nobody was called, and nothing was sent on.
        assert watched.fleet.redis.exists("driftfleet.called", "driftfleet.ticks") == 0
        watched.answers_the_honest()

    def test_a_pickle_is_never_unpickled(self, watched: Watched, tmp_path: Path) -> None:
        bomb = tmp_path / "unpickled"
        body = pickled(bomb)
        forms = [
            ("application/x-python-serialize", "binary"), ("application/x-pickle", "utf-8"),
            ("pickle", "binary"), ("application/json", "utf-8"), ("application/data", "binary"),
        ]  # fmt: skip
        for kind, encoding in forms:
            spoiled = message(body=body, content_type=kind, content_encoding=encoding)
            watched.fleet.redis.lpush("driftfleet.checks.29", json.dumps(spoiled))
            (told,) = watched.warnings()
            assert told["event"] == "message_refused"
        watched.answers_the_honest()
        assert not bomb.exists()

    def test_what_is_no_job_is_refused_once(self, watched: Watched) -> None:
        for what, arguments in REFUSED_JOBS.items():
            text = json.dumps(message(body=encoded([arguments, {}, EMBED])))
            watched.fleet.redis.lpush("driftfleet.checks.29", text)
            told = watched.warnings()
            assert [one["event"] for one in told] == ["job_refused"], (what, told)
        watched.answers_the_honest()
        # Nobody had asked for any of them: nothing of them is in the store.
        results = Path(watched.fleet.store.describe("results"))
        assert {path.parent.parent.name for path in results.rglob("*.json")} == {"honest"}

    def test_a_task_that_nobody_knows_is_refused(self, watched: Watched) -> None:
        for task in ("driftfleet.unknown", TICK_TASK, SWEEP_TASK, "driftfleet.\x1b[31m"):
            watched.fleet.redis.lpush(
                "driftfleet.checks.29", json.dumps(message(headers__task=task))
            )
            (told,) = watched.warnings()
            assert (told["event"], told["task"]) == ("message_refused", task)
        watched.answers_the_honest()

    def test_a_message_that_has_expired_is_dropped(self, watched: Watched) -> None:
        late = json.dumps(message(headers__expires="2001-01-01T00:00:00+00:00"))
        watched.fleet.redis.lpush("driftfleet.checks.29", late)
        assert wait_until(lambda: "Discarding revoked task" in watched.fleet.log.read_text(), 60)
        watched.answers_the_honest()

    def test_a_hundred_at_once_hold_up_nobody(self, watched: Watched) -> None:
        texts = [json.dumps(message(**changes)) for changes in SPOILED.values()]
        few = [text for text in RAW.values() if len(text) < 1000]
        watched.fleet.redis.lpush("driftfleet.checks.29", *texts, *few, *texts)
        watched.answers_the_honest()
        assert watched.fleet.log.read_text().count("message_refused") == 2 * len(texts) + len(few)


def test_garbage_in_the_producers_queues_stops_none(watched: Watched, tmp_path: Path) -> None:
    fleet, log = watched.fleet, tmp_path / "producer.log"
    with log.open("ab") as output:
        producer = process.start(
            producer_arguments(fleet.settings),
            {**process_environment(), **environment_of(fleet.settings)},
            death_signal=signal.SIGKILL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        assert wait_until(lambda: " ready." in log.read_text(), 60)
        queues = (TICK_QUEUE, PRODUCER_QUEUE)
        for queue in queues:
            at = {"properties__delivery_info__routing_key": queue}
            texts = [json.dumps(message(**{**at, **changes})) for changes in SPOILED.values()]
            fleet.redis.lpush(queue, *[text for text in RAW.values() if len(text) < 1000], *texts)
            for task, arguments in (
                (TICK_TASK, [SECRET]), (SWEEP_TASK, []), (SWEEP_TASK, [5, {}]), (CHECK_TASK, [JOB]),
                (LISTING_TASK, [[]]), (MIRROR_TASK, [SECRET, SECRET]), (REPORT_TASK, [SECRET]),
            ):  # fmt: skip
                body = encoded([arguments, {}, EMBED])
                fleet.redis.lpush(queue, json.dumps(message(**at, headers__task=task, body=body)))
        assert wait_until(lambda: fleet.redis.exists(*queues, "unacked") == 0, 60)
        # It isn't so that one tick more would not be done.
        body = encoded([[], {}, EMBED])
        tick = {"properties__delivery_info__routing_key": TICK_QUEUE, "headers__task": TICK_TASK}
        fleet.redis.lpush(TICK_QUEUE, json.dumps(message(**tick, body=body)))
        assert wait_until(lambda: '"ticked"' in log.read_text(), 60), log.read_text()[-3000:]
        assert producer.poll() is None
    finally:
        producer.terminate()
        producer.wait(60)
    text = log.read_text()
    assert "Traceback" not in text
    assert SECRET not in text
    assert text.count("message_refused") >= 2 * (len(SPOILED) + 7)


class TestRemoteControl:
    """Whoever can publish in Redis could stop Celery's workers, and more."""

    def test_nobody_obeys_it(self, watched: Watched) -> None:
        fleet = watched.fleet
        fleet.write_slow("slow", 6)
        sweep = fleet.ask("slow")
        fleet.wait_for_plan()
        with build_app(fleet.settings) as app:
            control = app.control
            assert control.ping(timeout=1) == []
            task = f"{sweep}-1-{fleet.job('slow', ref='main').identity}"
            control.rate_limit(CHECK_TASK, "1/h")
            control.time_limit(CHECK_TASK, soft=1, hard=2)
            control.revoke(task, terminate=True, signal="SIGKILL")
            control.broadcast("pool_restart", arguments={"modules": ["os"], "reload": True})
            control.broadcast("pool_shrink", arguments={"n": 1})
            control.broadcast("add_consumer", arguments={"queue": "driftfleet.called"})
            control.cancel_consumer("driftfleet.checks.00")
            control.broadcast("eval", arguments={"code": "1"})
            control.purge()
            control.shutdown()
            assert control.inspect(timeout=1).active() is None
        record = fleet.closed(sweep, 60)
        assert list(record.answered.values()) == [Verdict.UNAPPLIED]
        for _ in range(3):
            watched.answers_the_honest()
        text = fleet.log.read_text()
        assert "check_given_back" not in text
        assert text.count("check_answered") == 4


class TestAnotherSchema:
    def _make_newer(self, fleet: BrokenFleet) -> None:
        """As if a newer producer had sent the one message that waits."""
        (key,) = fleet.redis.keys("driftfleet.checks.*")
        text = json.loads(fleet.redis.lpop(key))
        ((job,), *_) = json.loads(text["body"])
        newer = {**job, "schema_version": 2, "colour": "red"}
        fleet.redis.lpush(key, json.dumps({**text, "body": json.dumps([[newer], {}, EMBED])}))

    def test_of_a_sweep_that_waits_for_it_is_answered_with_an_error(self, watched: Watched) -> None:
        fleet = watched.fleet
        fleet.write_quick("root")
        job = fleet.job("root", sweep_id="sweep-20260102T030405-abcdef", ref="main")
        watched.stop()
        sweep = fleet.ask_for([job])
        self._make_newer(fleet)
        watched.go_on()
        record = fleet.closed(sweep, 60)
        assert list(record.answered.values()) == [Verdict.ERROR]
        (answer,) = fleet.ledger.answers(sweep)
        error = fleet.result(answer).error
        assert error is not None
        assert error.kind is ErrorKind.JOB_REFUSED
        assert "Bring producer and workers to the same version" in error.message
        assert fleet.log.read_text().count("job_refused") == 1

    def test_is_dropped_while_the_store_is_away_and_asked_for_again(self, watched: Watched) -> None:
        fleet = watched.fleet
        watched.stop()
        sweep = fleet.ask("honest")
        self._make_newer(fleet)
        results = Path(fleet.store.describe(""))
        away = results.rename(results.with_name("away"))
        results.write_text("no folder")
        watched.go_on()
        assert wait_until(lambda: "refusal_not_stored" in fleet.log.read_text(), 60)
        time.sleep(2)
        # It doesn't come again and again.
        assert fleet.log.read_text().count("job_refused") == 1
        results.unlink()
        away.rename(results)
        record = fleet.closed(sweep, 60)
        assert list(record.answered.values()) == [Verdict.UNAPPLIED]


class TestGarbageInOurKeys:
    """Whatever our keys hold: a tick, the pump, top and honest checks go on."""

    def test_rows_that_are_none_are_skipped(self, watched: Watched) -> None:
        fleet, redis = watched.fleet, watched.fleet.redis
        watched.stop()
        sweep = fleet.ask("honest", sha="rows")
        job = fleet.job("honest", sweep_id=sweep, ref="main", sha="rows")
        rows = [b"\x00\xff", SECRET, "{}", "5", "null", "[" * 100_000, '{"title": NaN}', ""]
        numbers = [
            json.dumps({"name": SECRET, "slots": 10**400, "seen_at": 1e308}),
            json.dumps({"name": SECRET, "slots": 1, "seen_at": float("nan")}),
            json.dumps({"sweep_id": f"../{SECRET}", "deadline": 1}),
            json.dumps({**job.wire(), "root": f"../{SECRET}"}),
        ]
        for row in (*rows, *numbers):
            redis.zadd("driftfleet:later", {row: 0})
            redis.zadd("driftfleet:open", {row: float("inf")})
            redis.lpush("driftfleet:recent", row)
            redis.rpush("driftfleet:parked:repository:o/r", row)
            redis.rpush("driftfleet:parked:elsewhere", row)
            redis.hset("driftfleet:workers", row, row)
            redis.hset("driftfleet:about", row, row)
            redis.hset("driftfleet:about", sweep, row)
            redis.hset("driftfleet:swept", row, row)
            redis.hset(f"driftfleet:sweep:{sweep}:running", row, row)
            redis.rpush(f"driftfleet:sweep:{sweep}:answered", row)
            redis.set("driftfleet:roster", row)
        redis.zadd("driftfleet:open", {"unknown-sweep": 0, "../../../etc/passwd": 0})
        redis.set(f"driftfleet:want:{job.target}", b"\xff \xff")
        # What str.isdigit() takes and int() doesn't.
        redis.set(f"driftfleet:run:{job.identity}", "x|²|²|²", px=1000)
        seen = look(fleet.ledger, Broker(redis))
        assert [one.sweep_id for one in seen.sweeps if one.asked or one.waiting] == [sweep]
        for page in (Page(80, 24), Page()):
            assert all(line.plain.isprintable() for line in top_lines(seen, page))
        json.dumps(record_of(seen), allow_nan=False)
        watched.tick()
        watched.go_on()
        record = fleet.closed(sweep, 60)
        assert list(record.answered.values()) == [Verdict.UNAPPLIED]
        # The worker looks once a second what is due, and the check may take less.
        told = watched.warnings(len(rows))
        assert {one["event"] for one in told} <= {"job_dropped", "check_runs_elsewhere"}
        assert len([one for one in told if one["event"] == "job_dropped"]) >= len(rows)
        watched.answers_the_honest()

    def test_a_guard_that_would_last_for_ever_does_not(self, watched: Watched) -> None:
        notebook, redis = Notebook(watched.fleet.redis), watched.fleet.redis
        redis.set("driftfleet:once:text", SECRET)
        redis.rpush("driftfleet:once:list", SECRET)
        for name in ("text", "list"):
            assert not notebook.once(name, 1)
            assert wait_until(lambda name=name: notebook.once(name, 1), 60)

    def test_a_check_that_no_sweep_asked_for_keeps_none_open(self, watched: Watched) -> None:
        fleet = watched.fleet
        watched.stop()
        sweep = fleet.ask("honest", sha="stranger")
        fleet.redis.sadd(f"driftfleet:sweep:{sweep}:pending", b"\xff", SECRET, "0" * 24)
        watched.grow_old(sweep)
        watched.go_on()
        record = fleet.closed(sweep, 60)
        assert (list(record.answered.values()), record.missing) == ([Verdict.UNAPPLIED], ())

    @pytest.mark.timeout(400)
    def test_keys_of_another_type_are_removed(self, watched: Watched) -> None:
        fleet, redis = watched.fleet, watched.fleet.redis
        fixed = [
            "open", "about", "later", "recent", "workers", "roster", "swept",
            "parked:repository:o/r", "cap:repository:o/r", "roots:o/r",
        ]  # fmt: skip
        for name in fixed:
            self._spoil(redis, f"driftfleet:{name}")
            watched.tick()
            assert wait_until(lambda: _well(fleet), 60), name
        for name in ("driftfleet.checks.00", "driftfleet.checks.31\x06\x169", "unacked_index"):
            self._spoil(redis, name)
            watched.answers_the_honest()
        self._spoil(redis, "unacked")
        watched.tick()
        watched.answers_the_honest()
        for name in ("unacked", "unacked_index"):
            # While a plan runs, whose message is to be acknowledged then.
            fleet.write_slow("slow", 3)
            sweep = fleet.ask("slow", sha=name)
            fleet.wait_for_plan()
            self._spoil(redis, name)
            assert fleet.closed(sweep, 60).missing == ()
            watched.answers_the_honest()

    @pytest.mark.timeout(400)
    def test_keys_of_a_check_that_are_of_another_type_keep_it_from_nothing(
        self, watched: Watched
    ) -> None:
        fleet, redis = watched.fleet, watched.fleet.redis
        names = [
            "want:{0.target}", "cost:{0.target}", "joined:{0.identity}", "outdated:{0.identity}",
            "run:{0.identity}", "tries:{0.identity}", "lost:{0.identity}",
            "sweep:{0.sweep_id}:running", "sweep:{0.sweep_id}:answered",
            "sweep:{0.sweep_id}:pending",
        ]  # fmt: skip
        for name in names:
            watched.stop()
            sweep = fleet.ask("honest", sha=name)
            job = fleet.job("honest", sweep_id=sweep, ref="main", sha=name)
            self._spoil(redis, f"driftfleet:{name.format(job)}")
            watched.grow_old(sweep)
            watched.go_on()
            record = fleet.closed(sweep, 60)
            assert list(record.answered.values()) == [Verdict.UNAPPLIED], name
        watched.stop()
        sweep = fleet.ask("honest", sha="counters")
        job = fleet.job("honest", sweep_id=sweep, ref="main", sha="counters")
        for name in ("tries", "lost"):
            redis.set(f"driftfleet:{name}:{job.identity}", SECRET)
        watched.go_on()
        assert fleet.closed(sweep, 60).missing == ()
        assert SECRET not in fleet.log.read_text()

    def test_what_a_dead_worker_is_said_to_have_taken(self, make_fleet: MakeFleet) -> None:
        watched = Watched(make_fleet, visibility_timeout_seconds=10)
        redis = watched.fleet.redis
        rows = [b"\x00\xff", SECRET, "{}", "5", "[1, 2]", json.dumps([5, "", "evil"]),
                json.dumps([{"headers": 5}, SECRET, {}])]  # fmt: skip
        for number, row in enumerate(rows):
            redis.hset("unacked", f"tag{number}", row)
            redis.zadd("unacked_index", {f"tag{number}": 1})
        assert wait_until(lambda: redis.exists("unacked", "unacked_index") == 0, 60)
        assert watched.worker.poll() is None
        watched.answers_the_honest()

    def _spoil(self, redis: Any, key: str) -> None:
        kind = redis.type(key)
        # At once: its owner may write it again at any time.
        with redis.pipeline() as pipe:
            pipe.delete(key)
            if kind == b"string" or key.split(":")[1:2] in (
                ["want"], ["cost"], ["outdated"], ["run"], ["tries"], ["lost"], ["roster"]
            ):  # fmt: skip
                pipe.rpush(key, SECRET)
            else:
                pipe.set(key, SECRET)
            pipe.execute()


def _well(fleet: BrokenFleet) -> bool:
    try:
        return bool(look(fleet.ledger, Broker(fleet.redis)).workers)
    except TransientError:
        return False
