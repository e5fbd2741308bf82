"""deploy/kubernetes as kubectl renders it: are they objects, do they fit, do the sums hold.

There is no cluster here. What can be tried for real is: the fleet's settings are loaded; Redis and
KEDA's keys are in test_deploy_kubernetes_redis.py, the alarms in test_deploy_kubernetes_alarms.py.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from driftfleet.configuration import load_settings
from driftfleet.settings import Settings
from tests.kubernetes import (
    DEPLOY,
    OVERLAYS,
    amount,
    container,
    environment,
    faults,
    of_kind,
    pods,
    references,
    rendered,
)

ROLES = ("beat", "producer", "worker", "flower")
SECRETS = {"driftfleet-redis", "driftfleet-github", "driftfleet-flower"}
MIB = 1 << 20
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def settings_of(overlay: str, role: str, folder: Path) -> Settings:
    """What a pod would load."""
    (fleet,) = [m for m in of_kind(overlay, "ConfigMap").values() if "fleet.yaml" in m["data"]]
    (folder / "fleet.yaml").write_text(fleet["data"]["fleet.yaml"], encoding="utf-8")
    return load_settings(folder / "fleet.yaml", environment(overlay, role))


def test_there_are_a_redis_of_its_own_somebody_elses_and_isolated_plans() -> None:
    assert OVERLAYS == ["isolated", "managed-redis", "own-redis"]


@each_overlay
def test_every_object_is_one_of_its_kind_and_has_no_other_key(overlay: str) -> None:
    said = {f"{one['kind']} {one['metadata']['name']}": faults(one) for one in rendered(overlay)}
    assert {name: why for name, why in said.items() if why} == {}


@pytest.mark.parametrize("kind", ["Deployment", "NetworkPolicy", "ScaledObject", "PodMonitor"])
def test_a_misspelt_key_would_be_noticed(kind: str) -> None:
    one = next(iter(of_kind("own-redis", kind).values()))
    assert faults(one | {"spec": one["spec"] | {"minReplicasCount": 1}})


@each_overlay
def test_all_is_in_one_namespace_and_says_whose_it_is(overlay: str) -> None:
    for one in rendered(overlay):
        about = one["metadata"]
        assert about.get("namespace", about["name"]) == "driftfleet"
        # The selectors of Deployments are for ever; these can be changed.
        assert about.get("labels", {}).get("app.kubernetes.io/part-of") == "driftfleet" or (
            one["kind"] in ("TriggerAuthentication", "NetworkPolicy")
        )


@each_overlay
def test_what_is_named_is_there(overlay: str) -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in rendered(overlay)}
    there |= {("Secret", name) for name in SECRETS}
    assert set(references(rendered(overlay))) <= there


@each_overlay
def test_no_secret_is_in_it(overlay: str) -> None:
    assert of_kind(overlay, "Secret") == {}
    for role in ROLES:
        assert not any(re.search("PASSWORD|TOKEN", name) for name in environment(overlay, role))


def test_who_may_read_which_secret() -> None:
    wanted = {
        role: {n for k, n in references(pod) if k == "Secret"}
        for role, pod in pods("own-redis").items()
    }
    redis, github, flower = "driftfleet-redis", "driftfleet-github", "driftfleet-flower"
    assert wanted == {
        "beat": {redis}, "producer": {redis, github}, "worker": {redis, github},
        "flower": {redis, flower}, "redis": {redis},
    }  # fmt: skip


@each_overlay
def test_what_selects_pods_finds_some(overlay: str) -> None:
    labels = [pod["metadata"]["labels"] for pod in pods(overlay).values()]
    for one in rendered(overlay):
        selectors = _selectors(one)
        assert all(any(_matches(s, pod) for pod in labels) for s in selectors), one["metadata"]


def _selectors(one: Any) -> list[Any]:
    if isinstance(one, list):
        return [s for part in one for s in _selectors(part)]
    if not isinstance(one, dict) or "namespaceSelector" in one:
        return []
    found = [s for part in one.values() for s in _selectors(part)]
    return found + [one[key] for key in ("podSelector", "selector", "labelSelector") if key in one]


def _matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    known = {"matchLabels", "matchExpressions"}
    exact = selector.get("matchLabels", {}) if known & set(selector) else selector
    among = selector.get("matchExpressions", [])
    return all(labels.get(k) == v for k, v in exact.items()) and all(
        e["operator"] == "In" and labels.get(e["key"]) in e["values"] for e in among
    )


# Pod Security


@pytest.mark.parametrize("overlay", [o for o in OVERLAYS if o != "isolated"])
def test_every_pod_is_restricted_and_writes_to_volumes_alone(overlay: str) -> None:
    wrong = {role: _not_restricted(pod["spec"]) for role, pod in pods(overlay).items()}
    assert {role: why for role, why in wrong.items() if why} == {}
    (namespace,) = of_kind(overlay, "Namespace").values()
    for mode in ("enforce", "audit", "warn"):
        assert namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_isolation_takes_of_the_worker_what_bubblewrap_needs_and_no_more() -> None:
    (namespace,) = of_kind("isolated", "Namespace").values()
    found = pods("isolated")
    worker = found.pop("worker")["spec"]
    assert [_not_restricted(pod["spec"]) for pod in found.values()] == [[]] * len(found)
    assert _not_restricted(worker) == ["seccomp", "apparmor", "proc"]
    assert worker["hostUsers"] is False
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert environment("isolated", "worker")["DRIFTFLEET_WORKER__ISOLATION"] == "bubblewrap"


def test_nothing_that_bubblewrap_uses_is_on_a_volume_that_can_map_no_users() -> None:
    volumes = pods("isolated")["worker"]["spec"]["volumes"]
    assert not any("persistentVolumeClaim" in volume for volume in volumes)


def _not_restricted(pod: dict[str, Any]) -> list[str]:
    """What the level `restricted` (1.37) refuses, or we don't want."""
    (one,) = pod["containers"]
    own = one["securityContext"]
    merged = pod["securityContext"] | own
    kinds = {next(key for key in volume if key != "name") for volume in pod["volumes"]}
    ids = {merged[key] for key in ("runAsUser", "runAsGroup", "fsGroup")}
    wrong = {
        "user": merged["runAsNonRoot"] is not True or ids not in ({10001}, {999}),
        "escalation": own["allowPrivilegeEscalation"] or own.get("privileged", False),
        "capabilities": own["capabilities"] != {"drop": ["ALL"]},
        "root": own["readOnlyRootFilesystem"] is not True,
        "seccomp": merged["seccompProfile"] != {"type": "RuntimeDefault"},
        "apparmor": merged.get("appArmorProfile", {}).get("type") == "Unconfined",
        "proc": own.get("procMount", "Default") != "Default",
        "volumes": kinds - {"configMap", "secret", "emptyDir", "persistentVolumeClaim"},
        "host": {"hostNetwork", "hostPID", "hostIPC"} & set(pod),
        "port": any("hostPort" in port for port in one.get("ports", [])),
        "token": pod["automountServiceAccountToken"],
        "others": {"initContainers", "ephemeralContainers"} & set(pod),
    }
    return [name for name, is_so in wrong.items() if is_so]


# The sums


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of("own-redis", "worker", tmp_path)


@each_overlay
@pytest.mark.parametrize("role", ROLES)
def test_the_fleet_takes_these_settings(overlay: str, role: str, tmp_path: Path) -> None:
    found = settings_of(overlay, role, tmp_path)
    assert found.broker.url is not None
    assert found.broker.url.get_secret_value() == {
        "managed-redis": "rediss://redis.example.com:6379/0"
    }.get(overlay, "redis://driftfleet-redis:6379/0")
    assert found.results.store.startswith("s3://")
    assert found.github.token == "file:///run/secrets/github/token"
    assert found.flower.password == "file:///run/secrets/flower/password"
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
    assert found.worker.mirror == (
        None
        if role == "flower" or (overlay == "isolated" and role != "worker")
        else Path("/srv/providers")
    )


@each_overlay
def test_beat_and_the_producer_sync_a_mirror_on_a_volume_and_none_in_an_image(
    overlay: str, tmp_path: Path
) -> None:
    for role in ("beat", "producer"):
        planned = settings_of(overlay, role, tmp_path).mirror.sync_at
        assert (planned is None) == (overlay == "isolated")


def test_a_worker_has_the_memory_for_as_many_plans_as_it_starts(settings: Settings) -> None:
    worker = settings.worker
    # docs/operations.md, "Sizes"; a plan is expected to take a fifth more than its last.
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


# Probes, the mirror, the image


@each_overlay
def test_a_probe_asks_the_service_itself_and_never_redis(overlay: str) -> None:
    for role in ("beat", "producer", "worker"):
        one = container(overlay, role)
        for probe in (one["startupProbe"], one["livenessProbe"]):
            assert probe["exec"]["command"] == ["driftfleet-health", role]
            assert probe["timeoutSeconds"] >= 5
        # No Service has them behind it.
        assert "readinessProbe" not in one
    flower = container(overlay, "flower")
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert flower[name]["httpGet"] == {"path": "/healthcheck", "port": "http"}


def test_the_producer_alone_may_write_to_the_mirror() -> None:
    def mount(role: str) -> dict[str, Any] | None:
        mounts = container("own-redis", role)["volumeMounts"]
        return next((m for m in mounts if m["name"] == "mirror"), None)

    assert mount("worker") == {"name": "mirror", "mountPath": "/srv", "readOnly": True}
    assert mount("producer") == {"name": "mirror", "mountPath": "/srv"}
    assert mount("beat") is mount("flower") is None
    (claim,) = of_kind("own-redis", "PersistentVolumeClaim").values()
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


@each_overlay
def test_all_services_are_one_image_of_this_version(overlay: str) -> None:
    root = DEPLOY.parents[1]
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    images = {role: container(overlay, role)["image"] for role in pods(overlay)}
    assert images.pop("redis", "redis:8-trixie") == "redis:8-trixie"
    assert images == dict.fromkeys(ROLES, f"registry.example.com/driftfleet:{version}")
    assert [container(overlay, role)["args"] for role in ROLES] == [[role] for role in ROLES]


# The network


def test_nobody_is_let_in_but_to_redis_and_to_metrics() -> None:
    policies = of_kind("own-redis", "NetworkPolicy")
    everybody = policies["driftfleet-default"]["spec"]
    assert everybody["podSelector"] == {}
    assert everybody["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in everybody
    doors = {name: p["spec"]["ingress"] for name, p in policies.items() if "ingress" in p["spec"]}
    assert {
        name: [p["port"] for rule in door for p in rule["ports"]] for name, door in doors.items()
    } == {
        "driftfleet-redis": [6379],
        "driftfleet-redis-from-keda": [6379],
        "driftfleet-metrics": ["metrics"],
    }
    assert all(rule["from"] for door in doors.values() for rule in door)


@each_overlay
def test_nobody_reaches_the_nodes_metadata(overlay: str) -> None:
    for policy in of_kind(overlay, "NetworkPolicy").values():
        for rule in policy["spec"].get("egress", []):
            assert rule["ports"]
            for block in [to["ipBlock"] for to in rule["to"] if "ipBlock" in to]:
                excepted = {"0.0.0.0/0": "169.254.0.0/16", "::/0": "fd00:ec2::/32"}.get(
                    block["cidr"]
                )
                assert excepted is None or excepted in block["except"]


def test_a_managed_redis_is_reached_by_its_network_and_none_is_run() -> None:
    policies = of_kind("managed-redis", "NetworkPolicy")
    (rule,) = policies["driftfleet-to-redis"]["spec"]["egress"]
    assert rule["to"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert "driftfleet-redis-from-keda" not in policies
    assert "redis" not in pods("managed-redis")
