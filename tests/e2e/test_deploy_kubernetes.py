"""deploy/kubernetes as kubectl renders it: are they objects, do they fit together.

There is no cluster here. What can be tried for real is, in the files beside this one: the fleet's
settings, Redis, what KEDA counts in it, and the alarms.
"""

import re
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes import (
    DEPLOY,
    OVERLAYS,
    ROLES,
    container,
    each_overlay,
    environment,
    faults,
    of_kind,
    pods,
    references,
    render,
    rendered,
)

SECRETS = {"driftfleet-redis", "driftfleet-github", "driftfleet-flower"}


def test_there_are_a_redis_of_its_own_somebody_elses_and_isolated_plans() -> None:
    assert OVERLAYS == ["isolated", "managed-redis", "own-redis"]


@each_overlay
@pytest.mark.parametrize("oldest", [False, True])
def test_every_object_is_one_of_its_kind_and_has_no_other_key(overlay: str, oldest: bool) -> None:
    # README.md says from which version on.
    version = {"isolated": "1.33"}.get(overlay, "1.29") if oldest else "1.37"
    said = {_name(one): faults(one, version) for one in rendered(overlay)}
    assert {name: why for name, why in said.items() if why} == {}


def _name(one: dict[str, Any]) -> str:
    return f"{one['kind']} {one['metadata']['name']}"


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
        found = environment(overlay, role).items()
        named = [value for name, value in found if re.search("PASSWORD|TOKEN|KEY|SECRET", name)]
        assert all(value.startswith("file:///run/secrets/") for value in named)


@each_overlay
def test_every_secret_that_a_services_settings_name_is_mounted_there(overlay: str) -> None:
    (fleet,) = [
        m["data"]["fleet.yaml"]
        for m in of_kind(overlay, "ConfigMap").values()
        if "fleet.yaml" in m["data"]
    ]
    for role in ("producer", "worker"):
        named = re.findall("file://(/run/secrets/[a-z/]+)", fleet + str(environment(overlay, role)))
        mounts = [mount["mountPath"] for mount in container(overlay, role)["volumeMounts"]]
        assert named
        assert all(path.rpartition("/")[0] in mounts for path in named)


@each_overlay
def test_kedas_password_is_in_no_pod_of_the_fleet(overlay: str) -> None:
    for role in ROLES:
        for volume in pods(overlay)[role]["spec"]["volumes"]:
            if volume.get("secret", {}).get("secretName") == "driftfleet-redis":
                assert volume["secret"]["items"] == [{"key": "password", "path": "password"}]


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


def test_the_overlay_that_the_readme_shows_is_one(tmp_path: Path) -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "driftfleet").symlink_to(DEPLOY.parents[1])
    (tmp_path / "kustomization.yaml").write_text(shown)
    (tmp_path / "fleet.yaml").write_text("schedule: {every: 2h}\n")
    found = {_name(one): one for one in render(tmp_path)}
    worker = found["Deployment driftfleet-worker"]["spec"]["template"]["spec"]
    (image,) = [c["image"] for c in worker["containers"]]
    assert image == "123456789012.dkr.ecr.eu-central-1.amazonaws.com/driftfleet:0.1.0"
    (fleet,) = [v["configMap"]["name"] for v in worker["volumes"] if v["name"] == "fleet"]
    assert found[f"ConfigMap {fleet}"]["data"] == {"fleet.yaml": "schedule: {every: 2h}\n"}
    spec = found["ScaledObject driftfleet-worker"]["spec"]
    assert (spec["maxReplicaCount"], len(spec["triggers"])) == (40, 129)
    assert found["PersistentVolumeClaim driftfleet-mirror"]["spec"]["storageClassName"] == "efs-sc"
    account = found["ServiceAccount driftfleet-worker"]
    assert account["automountServiceAccountToken"] is False
    assert "eks.amazonaws.com/role-arn" in account["metadata"]["annotations"]


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

    assert mount("worker") == {"name": "mirror", "mountPath": "/srv/mirror", "readOnly": True}
    assert mount("producer") == {"name": "mirror", "mountPath": "/srv/mirror"}
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
        "driftfleet-metrics": [
            port["containerPort"]
            for role in ("worker", "producer")
            for port in container("own-redis", role)["ports"]
            if port["name"] == "metrics"
        ],
    }
    assert all(rule["from"] for door in doors.values() for rule in door)


@each_overlay
def test_nobody_reaches_the_nodes_metadata(overlay: str) -> None:
    for policy in of_kind(overlay, "NetworkPolicy").values():
        for rule in policy["spec"].get("egress", []):
            assert rule["ports"]
            for block in [to["ipBlock"] for to in rule["to"] if "ipBlock" in to]:
                within = ip_network(block["cidr"])
                assert all(
                    ip_network(one).subnet_of(within)  # type: ignore[arg-type]
                    for one in block.get("except", [])
                )
                excepted = {"0.0.0.0/0": "169.254.0.0/16", "::/0": "fd00:ec2::/32"}.get(
                    block["cidr"]
                )
                assert excepted is None or excepted in block["except"]
                if block["cidr"].startswith("169.254."):
                    assert {one["port"] for one in rule["ports"]} == {53}


def test_names_are_resolved_by_what_is_no_pod_too() -> None:
    (rule,) = of_kind("own-redis", "NetworkPolicy")["driftfleet-default"]["spec"]["egress"]
    assert {(one["protocol"], one["port"]) for one in rule["ports"]} == {("UDP", 53), ("TCP", 53)}
    # NodeLocal DNSCache; GKE's Cloud DNS.
    resolvers = {to["ipBlock"]["cidr"] for to in rule["to"] if "ipBlock" in to}
    assert resolvers == {"169.254.20.10/32", "169.254.169.254/32"}


def test_a_managed_redis_is_reached_by_its_network_and_none_is_run() -> None:
    policies = of_kind("managed-redis", "NetworkPolicy")
    (rule,) = policies["driftfleet-to-redis"]["spec"]["egress"]
    assert rule["to"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert "driftfleet-redis-from-keda" not in policies
    assert "redis" not in pods("managed-redis")
