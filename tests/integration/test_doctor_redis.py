"""A doctor at real Redis servers, each made ill in one way."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from driftfleet.ledger import RedisLedger, WorkerSeen
from driftfleet.settings import Settings
from producer.doctor.broker import Clocks, Look, check_broker
from producer.doctor.findings import Finding, ok
from producer.doctor.fleet import workers
from producer.embedded import embedded_redis
from tests.certificates import Certificate, make_certificate
from tests.redis_on_a_port import ELSEWHERE, Server, serving

WHATS = [
    "broker", "encryption", "password", "persistence", "eviction", "memory", "writes", "latency",
    "clock",
]  # fmt: skip


# How fast it answers says how busy this machine is.
CALM = Clocks(timer=lambda: 0.0)


def look(
    url: str, clocks: Clocks | None = None, *more: Look, ca_file: Path | None = None
) -> Mapping[str, Finding]:
    """What is found, by what was looked at; in no case is a password in it.

    Unless there are other ``clocks`` it takes no time.
    """
    settings = Settings.model_validate({"broker": {"url": url, "ca_file": ca_file}})
    found = list(check_broker(settings, more, clocks or CALM))
    assert "geheim" not in "".join(map(str, found))
    assert all(bool(one.mend) == (one.level in ("warn", "fail")) for one in found)
    return {one.what: one for one in found}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """As a fleet should have it, but for TLS."""
    with serving(tmp_path, "appendonly yes", "requirepass geheim") as running:
        yield running


@pytest.fixture
def operator(server: Server) -> Iterator[redis.Redis]:
    with server.client("geheim") as client:
        yield client


def url_of(server: Server) -> str:
    return server.url(user=":geheim")


def test_a_redis_as_it_should_be_is_well_and_keeps_nothing(
    server: Server, operator: redis.Redis
) -> None:
    found = look(url_of(server))
    assert list(found) == WHATS
    assert {one.level for one in found.values()} == {"ok"}
    version = operator.info()["redis_version"]
    assert found["broker"].finding == f"redis://127.0.0.1:{server.port}/0 answers: Redis {version}"
    assert found["password"].finding == "Redis wants one"
    assert operator.keys() == []


@pytest.mark.parametrize(
    ("configuration", "what", "level", "words"),
    [
        ({"maxmemory-policy": "allkeys-lru"}, "eviction", "fail", "allkeys-lru"),
        ({"appendonly": "no"}, "persistence", "warn", "none: a restart"),
        ({"appendonly": "no", "save": "3600 1"}, "persistence", "warn", "save 3600 1"),
        ({"appendfsync": "no"}, "persistence", "warn", "power cut"),
        ({"maxmemory": "100kb"}, "memory", "warn", "of 0.1 MiB used (maxmemory)"),
        ({"maxmemory": "100kb"}, "writes", "fail", "'maxmemory'"),
        ({"min-replicas-to-write": "1"}, "writes", "fail", "replicas"),
    ],
)
def test_what_is_wrong_with_its_configuration_is_found(
    server: Server,
    operator: redis.Redis,
    configuration: dict[str, str],
    what: str,
    level: str,
    words: str,
) -> None:
    for name, value in configuration.items():
        operator.config_set(name, value)
    found = look(url_of(server))
    assert (found[what].level, words in found[what].finding) == (level, True)
    assert list(found) == WHATS


def test_a_replica_takes_no_jobs(server: Server, operator: redis.Redis) -> None:
    operator.replicaof("127.0.0.1", 1)
    found = look(url_of(server))["writes"]
    assert (found.level, "primary" in found.mend) == ("fail", True)


def test_a_redis_whose_disk_takes_no_snapshot_fails(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with serving(folder, "save 3600 1") as server, server.client() as operator:
        # Root may write anywhere but into a folder that is gone.
        (folder / "redis.log").unlink()
        folder.rmdir()
        operator.set("x", "y")
        operator.bgsave()
        until(lambda: operator.info("persistence")["rdb_last_bgsave_status"] == "err")
        found = look(server.url())
    assert (found["persistence"].level, found["writes"].level) == ("fail", "fail")
    assert "rdb_last_bgsave_status: err" in found["persistence"].finding
    assert "MISCONF" in found["writes"].finding


def until(call: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not call():
        assert time.monotonic() < deadline
        os.sched_yield()


class TestPassword:
    """Whether Redis asks for one, whatever we would say."""

    @pytest.fixture
    def open_server(self, tmp_path: Path) -> Iterator[Server]:
        # protected-mode looks at who asks, and that is loopback here.
        with serving(tmp_path) as running:
            yield running

    def test_none_is_fine_on_loopback_and_fails_elsewhere(self, open_server: Server) -> None:
        assert look(open_server.url())["password"].level == "ok"
        found = look(open_server.url(host=ELSEWHERE))
        assert found["password"].level == "fail"
        assert found["encryption"].level == "warn"

    def test_one_in_the_url_that_nobody_asks_for_is_none(self, open_server: Server) -> None:
        found = look(open_server.url(user=":geheim", host=ELSEWHERE))["password"]
        assert (found.level, "whatever broker.url says" in found.finding) == ("fail", True)

    def test_a_user_of_our_own_does_not_close_the_door_for_others(
        self, open_server: Server
    ) -> None:
        with open_server.client() as operator:
            operator.acl_setuser(
                "fleet", enabled=True, passwords=["+geheim"], commands=["+@all"],
                keys=["*"], channels=["*"],
            )  # fmt: skip
            url = open_server.url(user="fleet:geheim", host=ELSEWHERE)
            found = look(url)
            assert found["broker"].finding.startswith(f"redis://fleet@{ELSEWHERE}:")
            assert found["password"].level == "fail"
            operator.config_set("requirepass", "another")
            assert look(url)["password"].level == "ok"

    @pytest.mark.parametrize(
        ("user", "words"),
        [("", "wants a password, and broker.url has none"), (":falsch", "invalid")],
    )
    def test_a_wrong_one_or_none_is_told_and_nothing_else(
        self, server: Server, user: str, words: str
    ) -> None:
        found = look(server.url(user=user))
        assert list(found) == ["broker"]
        assert (found["broker"].level, words in found["broker"].finding) == ("fail", True)
        assert "password" in found["broker"].mend


def test_who_may_not_look_is_told_what_was_not_seen(server: Server, operator: redis.Redis) -> None:
    operator.acl_setuser(
        "fleet", enabled=True, passwords=["+geheim"], keys=["driftfleet:*"],
        commands=["+@all", "-info", "-config", "-time"],
    )  # fmt: skip
    found = look(server.url(user="fleet:geheim"))
    skipped = {what for what, one in found.items() if one.level == "skip"}
    assert skipped == {"broker", "persistence", "eviction", "memory", "clock"}
    assert {one.level for what, one in found.items() if what not in skipped} == {"ok"}
    assert "INFO and CONFIG GET" in found["eviction"].finding


def test_who_may_not_write_fails(server: Server, operator: redis.Redis) -> None:
    operator.acl_setuser(
        "fleet", enabled=True, passwords=["+geheim"], keys=["other:*"], commands=["+@all"]
    )
    found = look(server.url(user="fleet:geheim"))["writes"]
    assert (found.level, "ACL SETUSER" in found.mend) == ("fail", True)


class TestTls:
    """Whether the certificate is looked at."""

    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Certificate:
        return make_certificate(tmp_path)

    @pytest.fixture
    def tls(self, tmp_path: Path, certificate: Certificate) -> Iterator[Server]:
        configuration = (
            f"tls-cert-file {certificate.path}",
            f"tls-key-file {certificate.key}",
            f"tls-ca-cert-file {certificate.path}",
            "tls-auth-clients no",
        )
        with serving(tmp_path, *configuration, tls=True) as running:
            yield running

    def test_one_that_is_verified_is_well(self, tls: Server, certificate: Certificate) -> None:
        found = look(tls.url(tls=True), ca_file=certificate.path)
        assert list(found) == WHATS
        assert (found["broker"].level, found["encryption"].level) == ("ok", "ok")
        assert found["broker"].finding.startswith("rediss://127.0.0.1:")

    def test_one_whose_authority_the_url_names_is_well(
        self, tls: Server, certificate: Certificate
    ) -> None:
        found = look(tls.url(options=f"?ssl_ca_certs={certificate.path}"))
        assert (found["broker"].level, found["encryption"].level) == ("ok", "ok")

    def test_one_that_nobody_looks_at_fails(self, tls: Server) -> None:
        found = look(tls.url(options="?ssl_cert_reqs=none"))
        assert (found["broker"].level, found["encryption"].level) == ("ok", "fail")

    def test_one_of_an_unknown_authority_fails_and_the_mend_names_the_option(
        self, tls: Server
    ) -> None:
        found = look(tls.url(tls=True))
        assert list(found) == ["broker"]
        assert "broker.ca_file" in found["broker"].mend

    def test_speaking_plainly_to_it_is_told_as_that(self, tls: Server) -> None:
        found = look(tls.url())["broker"]
        assert (found.level, "rediss://" in found.mend) == ("fail", True)

    def test_speaking_tls_to_who_does_not_is_told_as_that(self, server: Server) -> None:
        found = look(server.url(options="?ssl_cert_reqs=none"))["broker"]
        assert (found.level, "rediss://" in found.mend) == ("fail", True)


def test_a_redis_that_hangs_is_a_finding_within_ten_seconds(server: Server) -> None:
    os.kill(server.process.pid, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        found = look(url_of(server), Clocks())
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert time.monotonic() - begun < 10
    assert list(found) == ["broker"]
    assert (found["broker"].level, "hangs" in found["broker"].mend) == ("fail", True)


def test_one_that_begins_to_hang_meanwhile_is_one_too(server: Server) -> None:
    def stop(_: redis.Redis) -> list[Finding]:
        os.kill(server.process.pid, signal.SIGSTOP)
        return []

    begun = time.monotonic()
    try:
        found = look(
            url_of(server), Clocks(), stop, lambda client: [ok("more", str(client.ping()))]
        )
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert time.monotonic() - begun < 10
    assert list(found) == WHATS
    assert found["broker"].level == "fail"


def test_one_that_is_slow_is_not_waited_for(server: Server) -> None:
    """Each look at the clock is as if a second had gone by."""
    ticks = iter(range(1000))
    found = look(url_of(server), Clocks(timer=lambda: float(next(ticks))))
    assert found["broker"].level == "fail"
    assert "not enough" in found["broker"].finding


def test_slow_answers_are_warned_of(server: Server) -> None:
    ticks = iter(range(1000))
    # It is read twice a PING.
    found = look(url_of(server), Clocks(timer=lambda: next(ticks) * 0.03))
    assert found["latency"].level == "warn"
    assert "60.0 ms" in found["latency"].finding


@pytest.mark.parametrize(
    ("ahead", "level", "words"),
    [(5, "warn", "ahead of"), (-5, "warn", "behind"), (3600, "fail", "ahead of"), (0, "ok", "")],
)
def test_a_clock_that_is_wrong_is_found(
    server: Server, ahead: float, level: str, words: str
) -> None:
    clocks = replace(CALM, day=lambda: time.time() + ahead)
    found = look(url_of(server), clocks)["clock"]
    assert (found.level, words in found.finding) == (level, True)


def test_workers_that_told_of_themselves_are_seen(server: Server, operator: redis.Redis) -> None:
    assert look(url_of(server), None, workers)["workers"].level == "warn"
    ledger = RedisLedger(operator)
    ledger.say(WorkerSeen(name="w1", slots=4, seen_at=ledger.now()))
    found = look(url_of(server), None, workers)["workers"]
    assert (found.level, found.finding) == ("ok", "1, with 4 slots: w1 (4)")


def test_who_may_not_see_workers_is_told_so(server: Server, operator: redis.Redis) -> None:
    operator.acl_setuser(
        "fleet", enabled=True, passwords=["+geheim"], keys=["*"], commands=["+@all", "-hgetall"]
    )
    found = look(server.url(user="fleet:geheim"), None, workers)["workers"]
    assert (found.level, "hgetall" in found.finding) == ("skip", True)


def test_a_redis_that_is_not_there_is_told_with_its_address() -> None:
    found = look("redis://:geheim@127.0.0.1:1")
    assert list(found) == ["broker"]
    assert "127.0.0.1:1" in found["broker"].finding


def test_one_on_a_unix_socket_is_well(tmp_path_factory: pytest.TempPathFactory) -> None:
    with embedded_redis(tmp_path_factory.mktemp("r")) as embedded:
        found = look(embedded.url)
    assert list(found) == WHATS
    assert found["broker"].finding.startswith("unix://")
    assert {found[what].level for what in ("broker", "encryption", "password")} == {"ok"}
