"""The same stack with Compose v2 or newer, and with plans in namespaces of their own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.engine import TOP, build_image, docker, inspect, run
from tests.container.stack import Stack

# The first one builds the images, too.
pytestmark = pytest.mark.timeout(1500)

_TAG = "driftfleet-test-compose2"


@pytest.fixture(scope="module")
def compose(folder: Path) -> list[str]:
    """Compose v2 or newer: this machine's, else Debian's in a container that sees the engine."""
    if run(["docker", "compose", "version"], check=False).returncode == 0:
        return ["docker", "compose"]
    file = str(TOP / "tests" / "container" / "compose2.Dockerfile")
    build_image(folder / "deploy", _TAG, "--file", file)
    socket = "/var/run/docker.sock:/var/run/docker.sock"
    return [
        *("docker", "run", "--rm", "--network", "none", "--volume", socket),
        *("--volume", f"{folder}:{folder}", "--workdir", str(folder)),
        *(_TAG, "docker-compose"),
    ]


@pytest.fixture(scope="module")
def stack(folder: Path, image: str, furnished: str, compose: list[str]) -> Iterator[Stack]:
    stack = Stack(folder, image, furnished, 1, compose)
    with (folder / ".env").open("a") as settings:
        settings.write("COMPOSE_FILE=docker-compose.yml:stack.yml:deploy/compose/isolation.yml\n")
    stack.files = ()
    try:
        stack.up()
        yield stack
    finally:
        stack.remove()


def test_it_is_version_2_or_newer(stack: Stack) -> None:
    # The one after 2 is 5.
    version = stack.compose("version", "--short").stdout.strip().lstrip("v")
    assert int(version.partition(".")[0]) >= 2, version


def test_it_parses_and_means_the_same(stack: Stack) -> None:
    config = json.loads(stack.compose("config", "--format", "json").stdout)
    assert set(config["services"]) >= {"redis", "beat", "producer", "worker", "flower", "volumes"}
    for name, service in config["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name


def test_a_worker_isolates_plans_without_a_capability(stack: Stack) -> None:
    (worker,) = stack.containers("worker")
    host = inspect(worker)["HostConfig"]
    assert (host["CapDrop"], host["CapAdd"] or []) == (["ALL"], [])
    assert "no-new-privileges:true" in host["SecurityOpt"]
    told = docker("exec", worker, "driftfleet", "doctor", "--json", check=False).stdout
    found = {one["what"]: one for one in map(json.loads, told.splitlines())}
    assert found["isolation"]["level"] == "ok", found["isolation"]


def test_an_isolated_check_has_its_verdict(stack: Stack) -> None:
    done = stack.driftfleet(
        "enqueue", "--wait", "--json", "--root", "roots/00[0-3]", "platform/many", check=False
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["verdict"] for one in results] == ["unapplied"] * 4, stack.story()
