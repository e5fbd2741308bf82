"""deploy/kubernetes with a real Redis: the server that it starts, and what KEDA counts in it."""

import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from pydantic import SecretStr

from driftfleet.celery_app import build_app, send
from driftfleet.configuration import load_settings
from driftfleet.jobs import CHECK_QUEUES
from driftfleet.settings import BrokerSettings, Settings
from producer.broker import Broker, queue_keys
from producer.embedded import find_server
from tests.kubernetes import DEPLOY, amount, container, environment, of_kind, pods
from tests.ledgers import job
from tests.redis_on_a_port import Server, serving

_PASSWORD = "correct-horse-battery"
_FOLDER = DEPLOY / "components" / "autoscaling"
# What KEDA's scaler runs for each of its keys (2.20, pkg/scalers/redis_scaler.go), shortened.
_LENGTH = """
local kind = redis.call('type', KEYS[1]).ok
if kind == 'hash' then return redis.call('hlen', KEYS[1]) end
if kind == 'list' or kind == 'none' then return redis.call('llen', KEYS[1]) end
return redis.error_reply('unsupported: ' .. kind)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("redis"), f"requirepass {_PASSWORD}") as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with server.client(_PASSWORD) as client:
        client.flushall()
        yield client


def scaled_object() -> dict[str, Any]:
    (one,) = of_kind("own-redis", "ScaledObject").values()
    return dict(one["spec"])


def metric(client: redis.Redis) -> float:
    """What KEDA would tell the autoscaler."""
    spec = scaled_object()
    formula = spec["advanced"]["scalingModifiers"]["formula"]
    assert re.fullmatch(r"\((w\d{3} \+ )*w\d{3}\) / 4 \+ running", formula)
    values = {
        trigger["name"]: float(client.eval(_LENGTH, 1, trigger["metadata"]["listName"]))
        for trigger in spec["triggers"]
    }
    return float(eval(formula, {}, values))


def workers(client: redis.Redis) -> int:
    """What the autoscaler makes of it."""
    target = float(scaled_object()["advanced"]["scalingModifiers"]["target"])
    return min(max(-int(-metric(client) // target), 1), scaled_object()["maxReplicaCount"])


def test_keda_counts_what_waits_in_every_queue_at_every_priority(
    server: Server, client: redis.Redis
) -> None:
    url = server.url(user=f":{_PASSWORD}")
    # Enough repositories for every queue, and in each enough checks for every priority.
    jobs = [job(repo=f"acme/{n:03d}", root=f"r{place}") for n in range(200) for place in range(4)]
    positions = [(0, 50, 200, 900)[place] for _ in range(200) for place in range(4)]
    with build_app(Settings(broker=BrokerSettings(url=SecretStr(url)))) as app:
        send(app, jobs, positions=positions)
    lengths = [client.llen(key) for key in queue_keys()]
    assert len(lengths) == 4 * len(CHECK_QUEUES)
    assert all(lengths), "some list is never filled by this test"
    assert metric(client) == len(jobs) / 4 == Broker(client).length() / 4


def test_keda_counts_what_workers_have_taken_and_not_what_was_put_off(
    server: Server, client: redis.Redis
) -> None:
    url = server.url(user=f":{_PASSWORD}")
    with build_app(Settings(broker=BrokerSettings(url=SecretStr(url)))) as app:
        send(app, [job(repo="acme/infra", root=f"r{n}") for n in range(9)])
        queue = job(repo="acme/infra").queue
        with app.connection_for_read() as connection:
            channel = connection.channel()
            taken = [channel.basic_get(queue) for _ in range(3)]
            assert all(taken)
            client.zadd("driftfleet:later", {"one": 1, "two": 2})
            assert metric(client) == 6 / 4 + 3
            assert workers(client) == 3


@pytest.mark.parametrize(
    ("waiting", "running", "expected"),
    [(0, 0, 1), (0, 2, 1), (1, 2, 2), (8, 0, 1), (16, 4, 4), (0, 20, 10), (5000, 20, 10)],
)
def test_as_many_workers_as_the_queue_asks_for(
    client: redis.Redis, waiting: int, running: int, expected: int
) -> None:
    if waiting:
        client.rpush(CHECK_QUEUES[7], *["x"] * waiting)
    if running:
        client.hset("unacked", mapping={str(n): "x" for n in range(running)})
    assert workers(client) == expected


def test_the_manifest_is_the_one_that_the_script_writes() -> None:
    script = runpy.run_path(str(_FOLDER / "scaledobject.py"))
    assert script["FILE"].read_text(encoding="utf-8") == script["text"]()
    names = [t["metadata"]["listName"] for t in scaled_object()["triggers"]]
    assert names == ["unacked", *queue_keys()]
    # KEDA takes off what is white at the ends.
    assert names == [name.strip() for name in names]


def test_how_many_there_are_is_keda_s_alone_and_slots_are_the_settings(tmp_path: Path) -> None:
    spec = scaled_object()
    assert spec["scaleTargetRef"] == {"name": "driftfleet-worker"}
    assert "replicas" not in of_kind("own-redis", "Deployment")["driftfleet-worker"]["spec"]
    assert spec["minReplicaCount"] >= 1
    assert "fallback" not in spec
    (fleet,) = [m for m in of_kind("own-redis", "ConfigMap").values() if "fleet.yaml" in m["data"]]
    (tmp_path / "fleet.yaml").write_text(fleet["data"]["fleet.yaml"])
    settings = load_settings(tmp_path / "fleet.yaml", environment("own-redis", "worker"))
    assert spec["advanced"]["scalingModifiers"]["target"] == str(settings.worker.concurrency)
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= settings.worker.drain_seconds


@pytest.mark.parametrize(
    ("overlay", "address", "tls"),
    [
        ("own-redis", "driftfleet-redis:6379", "disable"),
        ("managed-redis", "redis.example.com:6379", "enable"),
    ],
)
def test_keda_asks_the_redis_of_the_fleet(overlay: str, address: str, tls: str) -> None:
    (found,) = of_kind(overlay, "TriggerAuthentication").values()
    maps = of_kind(overlay, "ConfigMap")
    told = {
        t["parameter"]: maps[t["name"]]["data"][t["key"]]
        for t in found["spec"]["configMapTargetRef"]
    }
    assert told == {"address": address, "tls": tls}
    url = environment(overlay, "worker")["DRIFTFLEET_BROKER__URL"]
    assert url == f"{'rediss' if tls == 'enable' else 'redis'}://{address}/0"
    password = {"parameter": "password", "name": "driftfleet-redis", "key": "password"}
    assert found["spec"]["secretTargetRef"] == [password]


def test_kedas_user_may_count_and_nothing_else(server: Server, client: redis.Redis) -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    (rule,) = re.findall(r"ACL SETUSER driftfleet-keda [^`]*", text)
    words = rule.replace("PASSWORD", "another-horse").split()
    client.execute_command(*words)
    with redis.Redis(
        port=server.port, username="driftfleet-keda", password="another-horse"
    ) as keda:
        client.rpush(queue_keys()[-1], "x")
        assert metric(keda) == 0.25
        for refused in (
            ("RPUSH", queue_keys()[0], "x"), ("LRANGE", queue_keys()[0], 0, -1),
            ("CONFIG", "GET", "*"),
            ("HGETALL", "unacked"), ("KEYS", "*"), ("ZCARD", "driftfleet:later"),
        ):  # fmt: skip
            with pytest.raises(redis.exceptions.NoPermissionError):
                keda.execute_command(*refused)


# The server that components/redis starts


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Its port: the command and the file of the pod, with other places."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "password").write_text(f"{_PASSWORD}\n")
    (conf,) = [m for m in of_kind("own-redis", "ConfigMap").values() if "redis.conf" in m["data"]]
    with serving(folder) as free:
        port = free.port
    lines = (
        conf["data"]["redis.conf"]
        .replace("port 6379", f"port {port}")
        .replace("/data", str(folder))
    )
    (folder / "redis.conf").write_text(lines.replace("bind * -::*", "bind 127.0.0.1"))
    shell, option, script = container("own-redis", "redis")["command"]
    for place, here in (
        ("/run/secrets/redis", folder), ("/etc/redis", folder), ("redis-server", find_server()),
    ):  # fmt: skip
        script = script.replace(str(place), str(here))
    process = subprocess.Popen([shell, option, script], stdout=subprocess.DEVNULL)
    try:
        _await(port)
        yield port
    finally:
        process.terminate()
        assert process.wait(10) == 0


def _await(port: int) -> None:
    redis.Redis(
        port=port,
        password=_PASSWORD,
        retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 200),
    ).ping()


def test_it_wants_the_password_keeps_what_it_has_and_forgets_nothing(own: int) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=own).ping()
    with redis.Redis(port=own, password=_PASSWORD, decode_responses=True) as client:
        assert client.config_get("append*") | client.config_get("maxmemory*") | {
            "appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction",
        } == client.config_get("append*") | client.config_get("maxmemory*")  # fmt: skip
        bound = int(client.config_get("maxmemory")["maxmemory"])
    limit = amount(container("own-redis", "redis")["resources"]["limits"]["memory"])
    # Copies of pages while it rewrites its file.
    assert 2 * bound <= limit
    claim = of_kind("own-redis", "StatefulSet")["driftfleet-redis"]["spec"]["volumeClaimTemplates"][
        0
    ]
    assert amount(claim["spec"]["resources"]["requests"]["storage"]) >= 4 * bound


def test_its_probes_tell_life_without_the_password_and_readiness_with_it(
    own: int, tmp_path: Path
) -> None:
    one = container("own-redis", "redis")
    environ = {"PATH": "/usr/bin:/bin:/usr/local/bin"}
    alive = [*one["livenessProbe"]["exec"]["command"]]
    alive[1:1] = ["-p", str(own)]
    assert subprocess.run(alive, env=environ, check=False).returncode == 0
    shell, option, script = one["readinessProbe"]["exec"]["command"]
    for password, code in ((_PASSWORD, 0), ("wrong", 1)):
        (tmp_path / "password").write_text(password)
        here = script.replace("/run/secrets/redis", str(tmp_path)).replace(
            "redis-cli", f"redis-cli -p {own}"
        )
        assert subprocess.run([shell, option, here], env=environ, check=False).returncode == code


def test_no_password_is_in_the_manifests_of_redis() -> None:
    pod = yaml.safe_dump(pods("own-redis")["redis"])
    assert 'requirepass "$password"' in pod.replace("\\", "")
    assert "--requirepass" not in pod
