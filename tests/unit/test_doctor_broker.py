"""What a doctor says of what Redis tells of itself, and of the way to it; no Redis is asked."""

from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from driftfleet.errors import BrokerUnavailable
from driftfleet.redis_client import connect
from driftfleet.settings import Settings
from producer.doctor.broker import check_broker
from producer.doctor.broker_access import encryption_finding, is_loopback, place_of
from producer.doctor.broker_state import (
    Told,
    clock_finding,
    eviction_finding,
    latency_finding,
    memory_finding,
    persistence_finding,
    version_finding,
)
from producer.doctor.broker_trouble import mend_of_refusal, mend_of_silence, reason_of
from producer.doctor.findings import Finding

GOOD_INFO = {
    "redis_version": "7.0.15",
    "redis_mode": "standalone",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "maxmemory": 0,
    "maxmemory_policy": "noeviction",
    "used_memory": 1 << 20,
    "total_system_memory": 8 << 30,
}
GOOD_CONFIG = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
}
NOTHING = Told(None, None)


def told(*, config: dict[str, str] | None = None, **info: Any) -> Told:
    return Told({**GOOD_INFO, **info}, {**GOOD_CONFIG, **(config or {})})


def with_url(url: str) -> Settings:
    return Settings.model_validate({"broker": {"url": url}})


def only(url: str) -> Finding:
    (found,) = check_broker(with_url(url))
    return found


@pytest.mark.parametrize(
    ("info", "level", "words"),
    [
        ({"redis_version": "6.0.16"}, "fail", "6.2 is the oldest"),
        ({"redis_version": "5.0.7"}, "fail", "Redis 5.0.7"),
        ({"redis_version": "6.2.0"}, "ok", "Redis 6.2.0"),
        ({"redis_version": "10.0.1"}, "ok", "Redis 10.0.1"),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.1"}, "ok", "Valkey 8.0.1"),
        ({"redis_mode": "cluster"}, "warn", "Cluster"),
    ],
)
def test_a_version_has_to_be_new_enough(info: dict[str, Any], level: str, words: str) -> None:
    found = version_finding(told(**info), "redis://h:6379/0")
    assert found.level == level
    assert words in found.finding
    assert found.finding.startswith("redis://h:6379/0 answers")
    assert bool(found.mend) == (level != "ok")


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (told(), "ok", "append-only file, appendfsync everysec"),
        (Told(GOOD_INFO, None), "ok", "append-only file"),
        (Told(None, GOOD_CONFIG), "ok", "append-only file"),
        (told(config={"appendfsync": "no"}), "warn", "power cut"),
        (told(aof_last_write_status="err"), "fail", "aof_last_write_status: err"),
        (told(aof_enabled=0, rdb_last_bgsave_status="err"), "fail", "snapshot"),
        (told(aof_enabled=0, config={"save": "3600 1"}), "warn", "snapshots only (save 3600 1)"),
        (told(aof_enabled=0), "warn", "none: a restart of Redis forgets"),
        (Told({**GOOD_INFO, "aof_enabled": 0}, None), "warn", "CONFIG, which tells of snapshots"),
        (NOTHING, "skip", "INFO and CONFIG GET"),
    ],
)
def test_what_a_crash_takes_with_it_is_said(facts: Told, level: str, words: str) -> None:
    found = persistence_finding(facts)
    assert found.level == level
    assert words in found.finding
    assert bool(found.mend) == (level in ("warn", "fail"))


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        (told(), "ok"),
        (told(maxmemory_policy="allkeys-lru"), "fail"),
        (told(maxmemory_policy="volatile-ttl"), "fail"),
        (Told(None, {"maxmemory-policy": "allkeys-lfu"}), "fail"),
        (Told(None, GOOD_CONFIG), "ok"),
        (NOTHING, "skip"),
    ],
)
def test_a_redis_that_forgets_jobs_when_it_is_full_fails(facts: Told, level: str) -> None:
    assert eviction_finding(facts).level == level


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (told(), "ok", "1.0 MiB of 8.0 GiB used (the machine's, no maxmemory)"),
        (told(maxmemory=1 << 30), "ok", "1.0 MiB of 1.0 GiB used (maxmemory)"),
        (told(maxmemory=10 << 20, used_memory=9 << 20), "warn", "9.0 MiB of 10.0 MiB"),
        (told(used_memory=7 << 30), "warn", "7.0 GiB of 8.0 GiB"),
        (told(total_system_memory=0), "ok", "no limit"),
        (NOTHING, "skip", "INFO"),
    ],
)
def test_memory_is_warned_of_before_it_is_full(facts: Told, level: str, words: str) -> None:
    found = memory_finding(facts)
    assert (found.level, words in found.finding) == (level, True)


@pytest.mark.parametrize(("seconds", "level"), [(0.0002, "ok"), (0.05, "ok"), (0.051, "warn")])
def test_a_slow_redis_is_warned_of(seconds: float, level: str) -> None:
    assert latency_finding(seconds).level == level


@pytest.mark.parametrize(
    ("ahead", "uncertain", "level", "words"),
    [
        (0.1, 0, "ok", "0.1 s"),
        (-1.9, 0, "ok", "1.9 s"),
        (2.5, 0, "warn", "2.5 s ahead of Redis's"),
        (-2.5, 0, "warn", "2.5 s behind Redis's"),
        (31, 0, "fail", "ahead"),
        (-3600, 0, "fail", "3600.0 s behind"),
        (2.5, 1, "ok", "2.5 s"),  # the answer took a second: it may have been any of it
        (30.5, 1, "warn", "ahead"),
    ],
)
def test_clocks_that_differ_are_named_with_which_is_ahead(
    ahead: float, uncertain: float, level: str, words: str
) -> None:
    found = clock_finding(ahead, uncertain)
    assert (found.level, words in found.finding) == (level, True)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:se@h:1234/2", "redis://h:1234/2"),
        ("redis://me:se@h", "redis://me@h:6379/0"),
        ("rediss://:se@[::1]:6379", "rediss://[::1]:6379/0"),
        ("redis+socket://:se@/run/r.sock", "unix:///run/r.sock"),
        ("redis://h/0?password=se", "redis://h:6379/0"),
    ],
)
def test_where_redis_is_told_without_the_password(url: str, shown: str) -> None:
    assert place_of(connect(url)) == shown


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True),
        ("LOCALHOST", True), ("10.0.0.1", False), ("redis", False), ("0.0.0.0", False),
    ],
)  # fmt: skip
def test_loopback_is_known_by_its_address(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("url", "level", "words"),
    [
        ("redis://:p@127.0.0.1:1", "ok", "loopback"),
        ("redis://:p@redis:6379", "warn", "read jobs and the password"),
        ("redis+socket://:p@/run/r", "ok", "unix socket"),
        ("rediss://:p@redis:6379", "ok", "verified"),
        ("rediss://:p@redis:6379?ssl_cert_reqs=none", "fail", "any certificate"),
        ("rediss://:p@127.0.0.1:6379?ssl_cert_reqs=none", "fail", "any certificate"),
        ("rediss://:p@redis:6379?ssl_cert_reqs=required", "ok", "verified"),
        ("rediss://:p@redis:6379?ssl_cert_reqs=optional", "ok", "verified"),
        ("rediss://:p@redis:6379?ssl_ca_certs=/ca.pem", "ok", "verified"),
        (
            "rediss://:p@redis:6379?ssl_cert_reqs=required&ssl_check_hostname=false",
            "fail",
            "any host",
        ),
    ],
)
def test_the_way_to_redis_is_judged_as_celery_takes_it(url: str, level: str, words: str) -> None:
    found = encryption_finding(with_url(url), connect(url))
    assert (found.level, words in found.finding) == (level, True)
    assert bool(found.mend) == (level != "ok")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("?retries=3", "'retries' is no option of a connection"),
        ("?ssl_cert_reqs=required", "'ssl_cert_reqs' goes with rediss:// alone"),
    ],
)
def test_an_option_that_is_none_is_named(options: str, words: str) -> None:
    found = only(f"redis://:geheim@127.0.0.1:1/0{options}")
    assert (found.level, found.what) == ("fail", "broker")
    assert words in found.finding
    assert "geheim" not in str(found)


def test_what_tls_needs_has_to_be_right_and_there() -> None:
    base = "rediss://:geheim@127.0.0.1:1/0"
    assert "must be 'required'" in only(f"{base}?ssl_cert_reqs=CERT_REQUIRED").finding
    missing = only(f"{base}?ssl_cert_reqs=required&ssl_ca_certs=/none/ca.pem")
    assert (missing.level, "ssl_ca_certs: /none/ca.pem" in missing.finding) == ("fail", True)


def test_a_ca_file_that_is_not_there_is_named_by_its_setting(tmp_path: Path) -> None:
    broker = {"url": "rediss://:geheim@127.0.0.1:1", "ca_file": str(tmp_path / "ca.pem")}
    (found,) = check_broker(Settings.model_validate({"broker": broker}))
    assert found.level == "fail"
    assert found.finding.startswith(f"broker.ca_file: {tmp_path}/ca.pem")


def test_without_a_url_nothing_is_asked() -> None:
    (found,) = check_broker(Settings())
    assert (found.level, found.what) == ("skip", "broker")


def failed(cause: Exception | None) -> BrokerUnavailable:
    error = BrokerUnavailable(f"Redis did not answer: {cause}")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (redis.AuthenticationError("invalid username-password pair"), "correct the user"),
        (redis.BusyLoadingError("loading"), "wait until"),
        (redis.TimeoutError("Timeout reading from socket"), "hangs"),
        (None, "hangs"),
        (redis.ConnectionError("[SSL: ...] certificate verify failed: x"), "name its CA"),
        (redis.ConnectionError("[SSL: WRONG_VERSION_NUMBER]"), "speaks TLS"),
        (redis.ConnectionError("Connection closed by server."), "speaks TLS"),
        (redis.ConnectionError("Connection refused."), "whether it runs"),
    ],
)
def test_the_mend_of_a_silence_fits_what_came_instead(cause: Exception | None, words: str) -> None:
    assert words in mend_of_silence(failed(cause))


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (NoPermissionError("this user has no permissions"), "ACL SETUSER"),
        (redis.ReadOnlyError("You can't write against a read only replica."), "the primary"),
        (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "disk"),
        (redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "full"),
        (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), "replicas are away"),
        (redis.ResponseError("ERR whatever"), "Redis's log"),
    ],
)
def test_the_mend_of_a_refused_write_fits_the_refusal(
    cause: redis.ResponseError, words: str
) -> None:
    assert words in mend_of_refusal(cause)


def test_a_password_that_is_not_given_is_said_in_words() -> None:
    for said in ("HELLO must be called with the client already", "Authentication required."):
        error = failed(redis.AuthenticationError(said))
        assert reason_of(error) == "it wants a password, and broker.url has none"
    other = failed(redis.AuthenticationError("invalid password"))
    assert reason_of(other) == other.message
