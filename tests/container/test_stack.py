"""The whole fleet of docker-compose.yml, run for real: what it answers, and what it survives."""

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
import pytest

from tests.container.engine import docker, inspect
from tests.container.github import MANY, TOKEN
from tests.container.stack import Stack
from tests.e2e.test_demo import EXPECTED, told
from tests.workers import wait_until

# The first one builds the images, too.
pytestmark = pytest.mark.timeout(1500)

SERVICES = ("redis", "beat", "producer", "worker", "flower", "aws")


def verdicts(lines: str) -> dict[tuple[str, str], str]:
    """By root and variant: what `told` makes of lines of JSON."""
    return told(map(json.loads, lines.splitlines()))


def test_no_service_has_a_right_or_a_disk_that_it_does_not_need(stack: Stack) -> None:
    password = (stack.folder / "secrets" / "redis_password").read_text()
    for service in SERVICES:
        for container in stack.containers(service):
            facts = inspect(container)
            host = facts["HostConfig"]
            assert host["ReadonlyRootfs"], service
            assert host["CapDrop"] == ["ALL"], service
            assert not host["CapAdd"], service
            assert not host["Privileged"], service
            assert host["SecurityOpt"] == ["no-new-privileges:true"], service
            assert host["Memory"] > 0, service
            assert 0 < host["PidsLimit"] <= 1024, service
            assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}, service
            assert facts["Config"]["User"] not in ("", "0", "0:0", "root"), service
            assert password not in json.dumps(facts), service
            assert password not in docker("top", container).stdout, service


def test_workers_can_not_change_the_mirror_or_the_versions(stack: Stack) -> None:
    for container in stack.containers("worker"):
        mounts = {one["Destination"]: one["RW"] for one in inspect(container)["Mounts"]}
        assert mounts["/srv/mirror"] is False
        assert mounts["/srv/terraform"] is False
        assert not [place for place, writable in mounts.items() if writable]


def test_the_producer_can_sync_into_the_mirror_and_workers_see_what_is_there(stack: Stack) -> None:
    code = (
        "from driftfleet.configuration import load_settings\n"
        "from driftfleet.mirror.staging import staging\n"
        "mirror = load_settings().worker.mirror\n"
        "with staging(mirror) as folder:\n"
        "    (folder / 'one').mkdir()\n"
        "    (folder / 'one').rename(mirror / 'example.com')\n"
    )
    (producer,) = stack.containers("producer")
    docker("exec", producer, "python", "-c", code)
    for container in stack.containers("worker"):
        assert "example.com" in docker("exec", container, "ls", "/srv/mirror/providers").stdout
    docker("exec", producer, "rmdir", "/srv/mirror/providers/example.com")


def test_redis_is_reached_with_the_password_alone(stack: Stack) -> None:
    (redis,) = stack.containers("redis")
    refused = docker("exec", redis, "redis-cli", "llen", "driftfleet.checks.0").stdout
    assert "NOAUTH" in refused
    config = docker("exec", redis, "sh", "-c", "cat /run/redis/redis.conf").stdout
    assert (stack.folder / "secrets" / "redis_password").read_text() not in config
    told = stack.driftfleet("doctor", "--json", check=False).stdout
    findings = {one["what"]: one for one in map(json.loads, told.splitlines())}
    for what in ("broker", "password", "persistence", "eviction", "writes", "results"):
        assert findings[what]["level"] == "ok", findings[what]


def test_the_example_fleet_gets_the_right_verdicts_into_s3(stack: Stack) -> None:
    assert len(stack.containers("worker")) == 3
    done = stack.driftfleet("enqueue", "--wait", "--json", "platform/example", check=False)
    assert verdicts(done.stdout) == EXPECTED, done.stderr + stack.story()
    assert done.returncode == 1  # some can't be judged
    keys = in_s3(stack, "fleet/latest/")
    assert len([key for key in keys if key.startswith("fleet/latest/")]) == len(EXPECTED)
    status = stack.driftfleet("status", "--json", check=False).stdout
    assert len(status.splitlines()) >= len(EXPECTED)


def aws(stack: Stack, service: str) -> Any:
    """A client of what stands for AWS."""
    (container,) = stack.containers("aws")
    networks = inspect(container)["NetworkSettings"]["Networks"]
    (address,) = [one["IPAddress"] for one in networks.values()]
    return boto3.client(
        service, endpoint_url=f"http://{address}:5000", region_name="eu-central-1",
        aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip


def in_s3(stack: Stack, prefix: str) -> list[str]:
    listing = aws(stack, "s3").get_paginator("list_objects_v2")
    pages = listing.paginate(Bucket="driftfleet-dev", Prefix=prefix)
    return [one["Key"] for page in pages for one in page.get("Contents", ())]


def test_secrets_and_metrics_are_in_what_stands_for_aws(stack: Stack) -> None:
    aws(stack, "secretsmanager").create_secret(Name="github", SecretString=TOKEN)
    place = ("-e", "DRIFTFLEET_GITHUB__TOKEN=secretsmanager://github")
    told = stack.compose("exec", "-T", *place, "producer", "driftfleet", "doctor", "--json")
    found = [json.loads(line) for line in told.stdout.splitlines()]
    assert [one for one in found if "secretsmanager://github can be read" in one["finding"]], found
    assert not [one for one in found if one["level"] == "fail"], found
    cloudwatch = aws(stack, "cloudwatch")

    def named() -> set[str]:
        return {one["MetricName"] for one in cloudwatch.list_metrics()["Metrics"]}

    assert wait_until(lambda: {"Checks", "QueueJobs", "HeartbeatAge"} <= named(), 180), named()


def flower(stack: Stack, path: str, password: str = "") -> tuple[int, bytes]:
    """Flower's answer: its code and its body."""
    request = Request(f"http://127.0.0.1:{stack.flower_port}{path}")
    if password:
        coded = base64.b64encode(f"driftfleet:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {coded}")
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def test_flower_shows_the_tasks_with_a_password_and_not_without(stack: Stack) -> None:
    password = (stack.folder / "secrets" / "flower_password").read_text()
    stack.closed(stack.enqueue("platform/slow", "--root", "one"), 300)
    for path in ("/", "/tasks", "/api/tasks", "/metrics"):
        assert flower(stack, path)[0] == 401
        assert flower(stack, path, "wrong")[0] == 401
    code, body = flower(stack, "/api/tasks", password)
    assert code == 200
    shown = [one["args"] or "" for one in json.loads(body).values()]
    assert any("platform/slow one" in args for args in shown), shown
    assert flower(stack, "/tasks", password)[0] == 200
    (container,) = stack.containers("flower")
    ports = inspect(container)["HostConfig"]["PortBindings"]["5555/tcp"]
    assert [one["HostIp"] for one in ports] == ["127.0.0.1"]


def test_a_worker_that_is_killed_in_a_plan_loses_no_job(stack: Stack) -> None:
    sweep = stack.enqueue("platform/slow")
    busy: dict[str, str] = {}

    def all_run() -> bool:
        busy.clear()
        busy.update({one["root"]: one["worker"] for one in stack.overview()["running"]})
        return len(busy) == 3

    assert wait_until(all_run, 120), stack.story()
    victim = next(c for c in stack.containers("worker") if c[:12] in busy.values())
    docker("kill", victim)
    record = stack.closed(sweep, 400)
    assert record["missing"] == []
    assert record["summary"]["verdicts"] == {"clean": 3}
    # What it worked on was not answered by it: it was killed in the middle, and others did it.
    lines = stack.driftfleet("results", "--json", "platform/slow", check=False).stdout
    results = [json.loads(line) for line in lines.splitlines()]
    answered = {one["job"]["root"]: one["worker"] for one in results}
    lost = [root for root, worker in busy.items() if worker == victim[:12]]
    assert lost
    assert victim[:12] not in {answered[root] for root in lost}, (busy, answered)
    # What it leaves is a memory's: its disk is gone with it.
    stack.compose("up", "--detach", "--no-build")
    assert wait_until(lambda: len(stack.containers("worker")) == 3, 60), stack.story()
    assert wait_until(lambda: stack.healthy("worker"), 180), stack.story()


def test_a_hundred_checks_and_a_redis_that_is_restarted_leave_nothing_and_lose_nothing(
    stack: Stack,
) -> None:
    sweep = stack.enqueue("platform/many")
    (redis,) = stack.containers("redis")

    def answered() -> int:
        return len(in_s3(stack, "fleet/results/platform/many/"))

    assert wait_until(lambda: answered() > 10, 180), stack.story()
    docker("kill", redis)
    assert answered() < MANY - 10, "all were answered before Redis was killed: nothing was tried"
    assert wait_until(lambda: not stack.containers("redis"), 60)
    docker("start", redis)
    # It comes back with what it had, at once, not by what the producer asks for again after
    # minutes: the sweep is still known, or closed by its last answer already.
    assert wait_until(lambda: stack.healthy("redis"), 120), stack.story()
    assert stack.overview()["sweeps"] or stack.sweep(sweep), stack.story()
    assert "NOPERM" not in docker("logs", redis).stdout
    record = stack.closed(sweep, 400)
    assert record["missing"] == []
    assert sum(record["summary"]["verdicts"].values()) == MANY
    assert record["summary"]["verdicts"] == {"unapplied": MANY}
    assert len(in_s3(stack, "fleet/latest/platform/many/")) == MANY
    for container in stack.containers("worker"):
        assert inspect(container)["RestartCount"] == 0
        nothing_is_left(container)


def nothing_is_left(container: str) -> None:
    """In the one writable place but the files that GitHub gave, which have a limit of their own."""

    def left() -> set[str]:
        return set(docker("exec", container, "ls", "-A", "/var/lib/driftfleet").stdout.split())

    # What came twice, as after an outage of Redis, may be planned still when its sweep is closed.
    assert wait_until(lambda: left() <= {"cache"}, 120), left()
    kept = docker("exec", container, "du", "-sb", "/var/lib/driftfleet").stdout.split()[0]
    assert int(kept) < 1 << 26
    assert written(container) == []

    def running() -> list[str]:
        told = docker("top", container, "-eo", "pid,comm").stdout
        return [one for one in told.splitlines() if "terraform" in one or "<defunct>" in one]

    # One that has just ended, such as a health check, is defunct until its parent asks.
    assert wait_until(lambda: running() == [], 30), running()


def written(container: str) -> list[str]:
    """What differs in a container's writable layer but for the places of its mounts.

    Docker makes those when it makes the container.
    """
    mounts = {one["Destination"] for one in inspect(container)["Mounts"]}
    places = mounts.union(*(map(str, Path(mount).parents) for mount in mounts))
    lines = docker("diff", container).stdout.splitlines()
    return [line for line in lines if line.partition(" ")[2] not in places]


def test_a_plan_that_fills_the_disk_ends_and_its_neighbour_goes_on(stack: Stack) -> None:
    stack.compose("up", "--detach", "--no-build", "--scale", "worker=1")
    assert wait_until(lambda: len(stack.containers("worker")) == 1, 180), stack.story()
    sweep = stack.enqueue("platform/full")
    record = stack.closed(sweep, 300)
    assert record["missing"] == []
    lines = stack.driftfleet("results", "--json", "platform/full", check=False).stdout
    assert verdicts(lines) == {
        ("fills", "default"): "disk_quota",
        ("neighbour", "default"): "clean",
    }
    places = {json.loads(line)["worker"] for line in lines.splitlines()}
    assert len(places) == 1
    (container,) = stack.containers("worker")
    nothing_is_left(container)


def test_what_is_unhealthy_is_seen_and_an_outage_of_redis_is_not(stack: Stack) -> None:
    (redis,) = stack.containers("redis")
    docker("pause", redis)
    try:
        for service in ("worker", "producer", "beat", "flower"):
            (container,) = stack.containers(service)
            told = docker("exec", container, "driftfleet-health")
            assert told.stdout.startswith(f"{service}: its main loop turned"), told
    finally:
        docker("unpause", redis)
    (flower_one,) = stack.containers("flower")
    stopped = docker("exec", flower_one, "driftfleet-health", "worker", check=False)
    assert stopped.returncode == 1  # there is none in there


def test_it_ends_within_its_grace_with_plans_that_run(stack: Stack) -> None:
    stack.enqueue("platform/slow")
    assert wait_until(lambda: len(stack.overview()["running"]) >= 2, 120), stack.story()
    containers = [one for service in SERVICES for one in stack.containers(service)]
    began = time.monotonic()
    stack.compose("stop", seconds=400)
    took = time.monotonic() - began
    codes = {inspect(one)["Name"]: inspect(one)["State"]["ExitCode"] for one in containers}
    assert 137 not in codes.values(), (codes, stack.story())  # none had to be killed
    assert took < 100, codes
    done: Any = stack.compose("down", "--volumes")
    assert done.returncode == 0
