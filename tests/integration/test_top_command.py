"""`driftfleet top` at a real Redis with a real worker, on a terminal and without one."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from driftfleet.configuration import environment_of, process_environment
from driftfleet.ledger import OpenSweep, RedisLedger, Running
from producer.broker import Broker
from producer.overview import look
from tests.faults.conftest import MakeFleet, make_fleet
from tests.faults.fleet import BrokenFleet, kill_group
from tests.redis_server import RedisServer, redis_server
from tests.workers import short_folder, wait_until

__all__ = ["make_fleet"]

_MAIN = "from producer.cli import main; main()"
_TOP = [sys.executable, "-c", _MAIN, "top"]
# So that a Ctrl-C on it becomes a signal.
_ON_ITS_TERMINAL = [sys.executable, "-c", f"import os; os.login_tty(os.dup(0)); {_MAIN}", "top"]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with short_folder("t") as folder, redis_server(folder) as running:
        yield running


def environment(url: str) -> dict[str, str]:
    return {**process_environment(), "DRIFTFLEET_BROKER__URL": url}


def top(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_TOP, *options], env=environment(url), capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip


class Terminal:
    """A command on a terminal of 80 by 24; what it prints is kept."""

    def __init__(self, url: str, *options: str) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        self._slave = slave
        self.before = termios.tcgetattr(slave)
        self.text = ""
        # xdist sets COLUMNS for what it starts, and it goes before the terminal's own size.
        own = {k: v for k, v in environment(url).items() if k not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [*_ON_ITS_TERMINAL, *options],
            env={**own, "TERM": "xterm-256color"},
            stdin=slave, stdout=slave, stderr=slave,
        )  # fmt: skip

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Until it was printed after what was waited for before."""
        end = time.monotonic() + seconds
        seen = ""
        while text not in seen:
            assert time.monotonic() < end, f"no {text!r} in {seen[-3000:]!r}"
            seen += self._read()
        self.text += seen

    def press(self, key: str) -> None:
        os.write(self.master, key.encode())

    def end(self, seconds: float = 60) -> int:
        """Its exit code."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end
            self.text += self._read()
        # A terminal gives 4 KiB at a time, and who reads it may have stood still for some views.
        while left := self._read():
            self.text += left
        return self.process.returncode

    def is_as_before(self) -> bool:
        """Whether the terminal is as it was: echo, lines, cursor, screen."""
        screens = re.findall(r"\x1b\[\?(1049|25)([hl])", self.text)
        last = dict(screens)
        return termios.tcgetattr(self._slave) == self.before and last == {"1049": "l", "25": "h"}

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self._slave)

    def _read(self) -> str:
        if not select.select([self.master], [], [], 0.1)[0]:
            return ""
        return os.read(self.master, 65_536).decode(errors="replace")


@contextlib.contextmanager
def running_top(url: str) -> Iterator[Terminal]:
    running = Terminal(url, "--every", "0.2")
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def terminal(server: RedisServer) -> Iterator[Terminal]:
    with running_top(server.url) as running:
        yield running


class TestAFleet:
    def test_it_shows_what_a_worker_does_and_not_what_a_dead_one_did(
        self, make_fleet: MakeFleet
    ) -> None:
        fleet = make_fleet(concurrency=1)
        fleet.write_slow("slow", 200)
        fleet.write_quick("quick")
        fleet.ask("gone")
        worker = fleet.start_worker()
        assert wait_until(lambda: fleet.ledger.recent() != [], 60)
        fleet.ask("slow", "quick")
        fleet.wait_for_plan()
        assert wait_until(lambda: fleet.ledger.workers() != [], 60)
        seen = look(fleet.ledger, Broker(fleet.redis))
        ((check,), (sweep,)) = seen.running, seen.sweeps
        assert (check.root, check.variant, check.phase) == ("slow", "default", "plan")
        assert 0 < seen.at - check.started_at < 150
        assert (sweep.asked, sweep.waiting, sweep.running, sweep.answered) == (2, 1, 1, 0)
        assert (seen.slots, seen.waiting, seen.later) == (1, 1, 0)
        assert seen.oldest_seconds is not None
        assert [one.error for one in seen.errors] == ["source_missing"]
        self._printed(fleet)
        kill_group(worker)
        assert len(fleet.ledger.running(sweep.sweep_id)) == 1
        # Its lease ends a minute after its death.
        fleet.redis.delete(f"driftfleet:run:{next(iter(fleet.ledger.running(sweep.sweep_id)))}")
        seen = look(fleet.ledger, Broker(fleet.redis))
        assert (seen.running, seen.sweeps[0].waiting, seen.sweeps[0].running) == ((), 2, 0)
        # Which removes what the dead one has left on the disk.
        fleet.start_worker()
        fleet.wait_for_plan()

    def _printed(self, fleet: BrokenFleet) -> None:
        url = environment_of(fleet.settings)["DRIFTFLEET_BROKER__URL"]
        once = top(url, "--once")
        assert (once.returncode, once.stderr) == (0, "")
        assert "1/1 slots busy   1 waiting   0 later" in once.stdout
        row = next(line for line in once.stdout.splitlines() if " slow " in line)
        assert row.split()[2] == "plan"
        assert "source_missing" in once.stdout
        # Without a terminal there is only one look anyway.
        assert top(url).stdout.splitlines()[2] == once.stdout.splitlines()[2]
        told = top(url, "--json")
        record = json.loads(told.stdout)
        assert told.stdout.count("\n") == 1
        assert record["slots"] == {"busy": 1, "total": 1}
        assert record["running"][0]["root"] == "slow"


def cpu_seconds(client: redis.Redis) -> float:
    """The CPU time that a server has taken so far."""
    told: Any = client.info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"])


class TestCost:
    @pytest.mark.alone("takes less than a second")
    def test_a_hundred_thousand_pending_checks_are_counted_and_not_fetched(
        self, server: RedisServer
    ) -> None:
        client = server.client
        ledger, broker = RedisLedger(client), Broker(client)
        for n in range(200):
            ledger.open(f"s{n}", [])
            client.sadd(f"driftfleet:sweep:s{n}:pending", *range(500))
            ledger.seal(OpenSweep(sweep_id=f"s{n}", asked=500, deadline=2e9))
        for n in range(50):
            running = Running(title=f"o/r root{n} default", phase="plan", worker="w", started_at=1)
            ledger.note(f"s{n}", f"c{n}", running)
            client.set(f"driftfleet:run:c{n}", "token", ex=60)
        client.lpush("driftfleet.checks.03", *["{}"] * 100_000)
        client.config_resetstat()
        sent = client.info("stats")["total_net_output_bytes"]
        # What both work: a machine that stands still works nothing.
        began = time.process_time() + cpu_seconds(client)
        seen = look(ledger, broker)
        took = time.process_time() + cpu_seconds(client) - began
        stats = client.info("stats")
        print(f"{took:.2f} s, {stats['total_net_output_bytes'] - sent:,} bytes")
        assert (len(seen.sweeps), seen.sweeps[0].asked, seen.waiting) == (200, 500, 100_000)
        assert sum(one.waiting + one.running for one in seen.sweeps) == 100_000
        assert len(seen.running) == 50
        assert stats["total_net_output_bytes"] - sent < 200_000
        assert took < 1
        asked = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
        changing = {"set", "del", "eval", "evalsha", "zadd", "hset", "expire", "sadd", "lpush"}
        assert not asked & {"smembers", "keys", "scan", "sscan", *changing}


class TestATerminal:
    @pytest.mark.parametrize(("key", "code"), [("q", 0), ("\x03", 130)])
    def test_a_key_ends_it_and_the_terminal_is_as_before(
        self, terminal: Terminal, key: str, code: int
    ) -> None:
        terminal.wait_for("nothing runs")
        terminal.wait_for("q ends it")
        assert termios.tcgetattr(terminal.master) != terminal.before
        terminal.press(key)
        assert terminal.end() == code
        assert terminal.is_as_before()
        assert "Traceback" not in terminal.text

    def test_term_ends_it_and_the_terminal_is_as_before(self, terminal: Terminal) -> None:
        terminal.wait_for("q ends it")
        terminal.process.terminate()
        assert terminal.end() == 128 + signal.SIGTERM
        assert terminal.is_as_before()

    def test_it_shows_what_is_new_and_takes_another_size(
        self, terminal: Terminal, server: RedisServer
    ) -> None:
        terminal.wait_for("no open sweep")
        ledger = RedisLedger(server.client)
        ledger.open("s1", [])
        ledger.seal(OpenSweep(sweep_id="s1", source="o/\x1b[31mnew", asked=1, deadline=2e9))
        terminal.wait_for("o/\\x1b[31mnew")
        termios.tcsetwinsize(terminal.master, (50, 160))
        terminal.wait_for("SWEEP")
        terminal.press("q")
        assert terminal.end() == 0

    def test_a_redis_that_goes_away_is_told_and_comes_back(
        self, terminal: Terminal, server: RedisServer
    ) -> None:
        terminal.wait_for("q ends it")
        server.kill()
        terminal.wait_for("Redis did not answer: ")
        terminal.wait_for("s old)")
        server.start()
        ledger = RedisLedger(server.client)
        ledger.open("back", [])
        ledger.seal(OpenSweep(sweep_id="back", asked=1, deadline=2e9))
        terminal.wait_for("back")
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.is_as_before()

    def test_a_redis_that_hangs_does_not_hold_up_the_keys(self, server: RedisServer) -> None:
        # It is not given up before this test would be.
        with running_top(f"{server.url}?socket_timeout=600") as terminal:
            terminal.wait_for("q ends it")
            server.signal(signal.SIGSTOP)
            terminal.wait_for("Redis does not answer (")
            terminal.press("q")
            assert terminal.end() == 0
            assert terminal.is_as_before()


def test_a_redis_that_is_away_when_it_begins_is_one_line(tmp_path: Path) -> None:
    done = top(f"redis+socket://:geheim@{tmp_path}/s")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: Redis did not answer: ")
    assert done.stderr.count("\n") == 1
    assert "geheim" not in done.stderr


def test_without_a_broker_it_says_which_setting_is_missing() -> None:
    done = top("")
    assert done.returncode == 2
    assert "broker.url" in done.stderr
