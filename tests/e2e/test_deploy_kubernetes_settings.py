"""The settings of deploy/kubernetes, as pods load them, and the room that they have."""

from pathlib import Path

import pytest

from driftfleet.settings import Settings
from tests.kubernetes import (
    ROLES,
    amount,
    container,
    each_overlay,
    pods,
    settings_of,
)

MIB = 1 << 20


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of("own-redis", "worker", tmp_path)


@each_overlay
@pytest.mark.parametrize("role", ROLES)
def test_the_fleet_takes_these_settings(overlay: str, role: str, tmp_path: Path) -> None:
    found = settings_of(overlay, role, tmp_path)
    assert found.broker.url is not None
    assert found.broker.url.get_secret_value() == {
        "managed-redis": "rediss://driftfleet@redis.example.com:6379/0"
    }.get(overlay, "redis://driftfleet@driftfleet-redis.driftfleet.svc:6379/0")
    assert found.results.store.startswith("s3://")
    assert found.github.token == "file:///run/secrets/github/token"
    password = "file:///run/secrets/flower/password" if role == "flower" else None
    assert found.flower.password == password
    assert found.metrics.prometheus is not None
    ports = {p["name"]: p["containerPort"] for p in container(overlay, role).get("ports", [])}
    assert (
        ports
        == {
            "beat": {},
            "worker": {"metrics": found.metrics.prometheus.port},
            "producer": {"metrics": found.metrics.prometheus.port + 1},
            "flower": {"http": found.flower.port},
        }[role]
    )
    assert found.broker.password == "file:///run/secrets/redis/password"


def test_the_mirror_is_in_the_image_or_beside_what_a_sync_writes(tmp_path: Path) -> None:
    def mirror(overlay: str, role: str) -> Path | None:
        return settings_of(overlay, role, tmp_path).worker.mirror

    # Where the image's target with-terraform has it; its terraform is in /srv, too.
    assert mirror("isolated", "worker") == Path("/srv/mirror/providers")
    for role in ("beat", "producer", "worker"):
        # Not the mount itself, in which a sync has a folder of its own.
        assert mirror("own-redis", role) == Path("/srv/mirror/providers")
    assert mirror("own-redis", "flower") is None


@each_overlay
def test_beat_and_the_producer_sync_a_mirror_on_a_volume_and_none_in_an_image(
    overlay: str, tmp_path: Path
) -> None:
    for role in ("beat", "producer"):
        planned = settings_of(overlay, role, tmp_path).mirror.sync_at
        assert (planned is None) == (overlay == "isolated")


def test_a_worker_has_the_memory_for_as_many_plans_as_it_starts(settings: Settings) -> None:
    worker = settings.worker
    # docs/operations.md, "Sizing"; a plan is expected to take a fifth more than its last.
    plans = worker.concurrency * 1.2 * worker.plan_memory_bytes
    own = worker.memory_reserve_bytes + (45 + 20) * 1e6 + worker.concurrency * (60 + 13) * 1e6
    resources = container("own-redis", "worker")["resources"]
    limit = amount(resources["limits"]["memory"])
    assert plans + own <= limit <= 1.25 * (plans + own)
    assert resources["requests"]["memory"] == resources["limits"]["memory"]


def test_a_worker_has_the_disk_for_all_that_its_settings_allow(settings: Settings) -> None:
    workspaces = settings.worker.concurrency * settings.limits.workspace_bytes
    kept = settings.cache.limit_bytes + settings.installs.limit_bytes
    size = _size_of_tmp("worker")
    assert settings.worker.writable_root.is_relative_to("/tmp")
    # 1 GiB as docs/operations.md has it; the rest is a margin: the kubelet looks now and then.
    assert workspaces + kept + (1 << 30) + 512 * MIB <= size
    _disk_is_asked_for("worker", size)


def test_the_producer_has_the_disk_for_its_cache(tmp_path: Path) -> None:
    settings = settings_of("own-redis", "producer", tmp_path)
    assert settings.cache.folder is not None
    assert settings.cache.folder.is_relative_to("/tmp")
    size = _size_of_tmp("producer")
    assert settings.cache.limit_bytes + (1 << 30) <= size
    _disk_is_asked_for("producer", size)


def _size_of_tmp(role: str) -> float:
    pod = pods("own-redis")[role]["spec"]
    (mount,) = [m for m in container("own-redis", role)["volumeMounts"] if m["mountPath"] == "/tmp"]
    (volume,) = [v for v in pod["volumes"] if v["name"] == mount["name"]]
    return amount(volume["emptyDir"]["sizeLimit"])


def _disk_is_asked_for(role: str, size: float) -> None:
    resources = container("own-redis", role)["resources"]
    assert amount(resources["requests"]["ephemeral-storage"]) >= size
    # Logs count, too.
    assert amount(resources["limits"]["ephemeral-storage"]) >= size + 512 * MIB


@each_overlay
def test_every_pod_asks_for_what_it_takes(overlay: str) -> None:
    # docs/operations.md: at most 70, 220 + 70 + the results' 59, and 145 MB; Redis: below.
    least = {"beat": 70e6, "producer": 349e6, "flower": 145e6}
    for role in pods(overlay):
        resources = container(overlay, role)["resources"]
        assert amount(resources["limits"]["memory"]) >= least.get(role, 0)
        assert amount(resources["requests"]["cpu"]) > 0
        assert {"memory", "ephemeral-storage"} <= set(resources["limits"])
        assert amount(resources["requests"]["memory"]) == amount(resources["limits"]["memory"])


@pytest.mark.parametrize("role", ["worker", "producer"])
def test_what_runs_may_end_before_a_pod_is_killed(role: str, settings: Settings) -> None:
    grace = pods("own-redis")[role]["spec"]["terminationGracePeriodSeconds"]
    ends = settings.worker.drain_seconds + settings.worker.stop_grace_seconds + 30
    assert ends <= grace <= 600
