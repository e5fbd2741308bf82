"""deploy/kubernetes with a real Redis: the server that it starts, and what KEDA counts in it."""

import contextlib
import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from pydantic import SecretStr
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from driftfleet.celery_app import build_app, send
from driftfleet.jobs import CHECK_QUEUES
from driftfleet.settings import BrokerSettings, Settings
from producer.broker import Broker, queue_keys
from producer.embedded import find_server, held_port
from tests.kubernetes import DEPLOY, amount, container, environment, of_kind, settings_of
from tests.ledgers import job
from tests.redis_on_a_port import Server, serving
from tests.workers import wait_until

_PASSWORD = "correct-horse-battery"
# By key of the secret; neither is one of letters and digits alone.
_PASSWORDS = {"password": "p'a$s \\w\"ord", "keda": "another-horse"}
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
    settings = settings_of("own-redis", "worker", tmp_path)
    assert spec["advanced"]["scalingModifiers"]["target"] == str(settings.worker.concurrency)
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= settings.worker.drain_seconds


@pytest.mark.parametrize(
    ("overlay", "address", "tls"),
    [
        ("own-redis", "driftfleet-redis.driftfleet.svc:6379", "disable"),
        ("managed-redis", "redis.example.com:6379", "enable"),
    ],
)
def test_keda_asks_the_redis_of_the_fleet_by_a_name_that_holds_in_its_own_namespace(
    overlay: str, address: str, tls: str
) -> None:
    (found,) = of_kind(overlay, "TriggerAuthentication").values()
    maps = of_kind(overlay, "ConfigMap")
    told = {
        t["parameter"]: maps[t["name"]]["data"][t["key"]]
        for t in found["spec"]["configMapTargetRef"]
    }
    assert told == {"address": address, "tls": tls, "username": "driftfleet-keda"}
    if overlay == "own-redis":
        service = of_kind(overlay, "Service")["driftfleet-redis"]
        about, (port,) = service["metadata"], service["spec"]["ports"]
        assert address == f"{about['name']}.{about['namespace']}.svc:{port['port']}"
    url = environment(overlay, "worker")["DRIFTFLEET_BROKER__URL"]
    assert url == f"{'rediss' if tls == 'enable' else 'redis'}://driftfleet@{address}/0"
    password = {"parameter": "password", "name": "driftfleet-redis", "key": "keda"}
    assert found["spec"]["secretTargetRef"] == [password]


# The server that components/redis starts


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Its port."""
    with running_own(tmp_path_factory.mktemp("own")) as (port, process):
        yield port
        process.terminate()
        assert process.wait(60) == 0


@contextlib.contextmanager
def running_own(folder: Path) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """Start it by the command and the files of the pod, with other places; its port."""
    for name, password in _PASSWORDS.items():
        (folder / name).write_text(f"{password}\n")
    (conf,) = [m for m in of_kind("own-redis", "ConfigMap").values() if "redis.conf" in m["data"]]
    assert container("own-redis", "redis")["command"] == ["sh", "/etc/redis/start.sh"]
    with held_port() as port:
        for name, text in conf["data"].items():
            (folder / name).write_text(_moved(text, folder, port))
        process = subprocess.Popen(["sh", folder / "start.sh"], stdout=subprocess.DEVNULL)
        try:
            fleet(port, patiently=True).ping()
            yield port, process
        finally:
            process.kill()
            process.wait()


def _moved(text: str, folder: Path, port: int) -> str:
    places = {
        "bind * -::*": "bind 127.0.0.1", "port 6379": f"port {port}", "dir /data": f"dir {folder}",
        "/run/secrets/redis": f"{folder}", "/etc/redis": f"{folder}",
        "exec redis-server": f"exec {find_server()}",
    }  # fmt: skip
    for place, here in places.items():
        text = text.replace(place, here)
    # Redis knows it from 7.2 on.
    return text if _knows_setinfo() else text.replace("+client|setinfo ", "")


def _knows_setinfo() -> bool:
    said = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True)
    (version,) = re.findall(r" v=(\d+\.\d+)", said.stdout)
    return tuple(map(int, version.split("."))) >= (7, 2)


def fleet(port: int, *, patiently: bool = False) -> redis.Redis:
    """As the fleet."""
    retry = Retry(ConstantBackoff(0.05), 1000 if patiently else 0)
    return redis.Redis(
        port=port, username="driftfleet", password=_PASSWORDS["password"], retry=retry,
        decode_responses=True,
    )  # fmt: skip


def test_the_two_get_in_with_their_passwords_and_nobody_else_does(own: int) -> None:
    with redis.Redis(port=own) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    default = redis.Redis(port=own, password=_PASSWORDS["password"])
    with default, pytest.raises(redis.AuthenticationError):
        default.ping()
    assert fleet(own).ping()


def test_the_fleet_may_do_what_it_has_to_and_keda_may_count(own: int) -> None:
    word = quote(_PASSWORDS["password"], safe="")
    url = f"redis://driftfleet:{word}@127.0.0.1:{own}/0"
    with build_app(Settings(broker=BrokerSettings(url=SecretStr(url)))) as app:
        send(app, [job(repo="acme/infra", root=f"r{n}") for n in range(4)])
    keda = redis.Redis(port=own, username="driftfleet-keda", password=_PASSWORDS["keda"])
    with keda, fleet(own) as client:
        assert Broker(client).length() == 4
        assert metric(keda) == 1
        for refused in (
            ("RPUSH", queue_keys()[0], "x"), ("LRANGE", queue_keys()[0], 0, -1), ("KEYS", "*"),
            ("HGETALL", "unacked"), ("ZCARD", "driftfleet:later"), ("CONFIG", "GET", "*"),
        ):  # fmt: skip
            with pytest.raises(redis.exceptions.NoPermissionError):
                keda.execute_command(*refused)


def test_the_fleets_user_is_the_one_of_the_documentation() -> None:
    documented = (DEPLOY.parents[1] / "docs" / "redis.md").read_text(encoding="utf-8")
    (rule,) = re.findall(r"ACL SETUSER driftfleet on[^`]*", documented)
    script = (DEPLOY / "components" / "redis" / "start.sh").read_text(encoding="utf-8")
    (user,) = re.findall(r"^user driftfleet on .*", script, re.MULTILINE)
    # Of Redis 7.2; and what `driftfleet doctor` looks at.
    more = {"+client|setinfo", "+info", "+config|get"}
    assert set(re.findall(r"[+~&-]\S+", user)) == set(re.findall(r"[+~&-]\S+", rule)) | more


def test_it_keeps_what_it_has_and_forgets_nothing(own: int) -> None:
    with fleet(own) as client:
        found = client.config_get("*")
    kept = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    assert {name: found[name] for name in kept} == kept
    bound = int(found["maxmemory"])
    limit = amount(container("own-redis", "redis")["resources"]["limits"]["memory"])
    # Copies of pages while it rewrites its file.
    assert 2 * bound <= limit
    (claim,) = of_kind("own-redis", "StatefulSet")["driftfleet-redis"]["spec"][
        "volumeClaimTemplates"
    ]
    assert amount(claim["spec"]["resources"]["requests"]["storage"]) >= 4 * bound


def test_it_comes_back_with_what_it_had(tmp_path: Path) -> None:
    """A transaction in the append-only file is read again with the rights of the user `default`."""
    with running_own(tmp_path) as (port, process):
        with fleet(port) as client:
            both = client.pipeline(transaction=True).set("driftfleet:a", 1).set("driftfleet:b", 2)
            both.execute()
            assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
            # Written, that is: while a slow disk takes what was before, it waits up to two seconds.
            assert wait_until(lambda: client.info("persistence")["aof_buffer_length"] == 0, 60)
        process.kill()
    with running_own(tmp_path) as (port, _), fleet(port) as client:
        assert client.mget("driftfleet:a", "driftfleet:b") == ["1", "2"]


def test_it_does_not_start_without_passwords(tmp_path: Path) -> None:
    script = _moved((DEPLOY / "components/redis/start.sh").read_text(), tmp_path, 0)
    (tmp_path / "password").write_text("one")
    (tmp_path / "keda").write_text("\n")
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "the keys password and keda" in done.stderr


def test_its_probes_tell_life_without_a_password_and_readiness_with_it(
    own: int, tmp_path: Path
) -> None:
    one = container("own-redis", "redis")
    environ = {"PATH": "/usr/bin:/bin:/usr/local/bin"}
    alive = [*one["livenessProbe"]["exec"]["command"]]
    alive[1:1] = ["-p", str(own)]
    assert subprocess.run(alive, env=environ, check=False).returncode == 0
    alive[2] = "1"
    assert subprocess.run(alive, env=environ, check=False, stderr=-3).returncode != 0
    shell, option, script = one["readinessProbe"]["exec"]["command"]
    for password, code in ((_PASSWORDS["password"], 0), ("wrong", 1)):
        (tmp_path / "password").write_text(password)
        here = script.replace("/run/secrets/redis", str(tmp_path))
        here = here.replace("redis-cli", f"redis-cli -p {own}")
        asked = subprocess.run([shell, option, here], env=environ, check=False)
        assert asked.returncode == code
