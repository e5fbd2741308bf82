"""The fleet's image, with every right taken away that it doesn't need.

It is built from this checkout, or named in DRIFTFLEET_IMAGE.
"""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import providers
from tests.container.engine import build_image, docker, tfenv_version
from tests.runtime_api import RuntimeApi
from tests.standin import StandIn
from tests.standin.fixture import serving
from tests.workers import wait_until

# The first one builds the images, too.
pytestmark = pytest.mark.timeout(1500)

CLOSED = (
    *("--read-only", "--tmpfs", "/tmp:exec,size=512m", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--network", "host"),
)


@pytest.fixture
def ghe(tmp_path: Path) -> Iterator[StandIn]:
    with serving(tmp_path / "ghe") as standin:
        yield standin


def inside(image: str, command: str) -> str:
    """What a shell in the image prints."""
    return docker("run", "--rm", *CLOSED, "--entrypoint", "sh", image, "-c", command).stdout


def test_the_command_is_what_it_runs(image: str) -> None:
    done = docker("run", "--rm", *CLOSED, image, "--version")
    assert done.stdout.startswith("driftfleet, version "), done.stderr


def test_doctor_runs_and_finds_what_is_missing(image: str) -> None:
    done = docker("run", "--rm", *CLOSED, image, "doctor", check=False)
    assert "ok    git" in done.stdout
    assert " workspaces    /tmp/driftfleet-10001" in done.stdout
    assert "Traceback" not in done.stderr


def test_it_has_a_user_of_its_own_and_tini_above_it(image: str) -> None:
    assert inside(image, "id -u; id -g").split() == ["10001", "10001"]
    facts = json.loads(docker("image", "inspect", image).stdout)[0]["Config"]
    assert facts["User"] == "10001:10001"
    assert facts["Entrypoint"][0] == "/usr/bin/tini"
    assert facts["Labels"]["org.opencontainers.image.title"] == "driftfleet"


def test_it_has_what_checks_need_and_nothing_that_builds(image: str) -> None:
    inside(
        image, "for one in git bwrap gpgv curl unzip bash tini driftfleet; do command -v $one; done"
    )
    there = "for one in gcc cc make g++ ld; do command -v $one; done; true"
    assert inside(image, there) == ""
    assert inside(image, "find / -xdev -name .git 2>/dev/null; true") == ""
    # What is the image's own can be written by nobody but root.
    assert inside(image, "find /opt /usr/local -xdev -perm /022 ! -type l 2>/dev/null; true") == ""


def test_it_is_a_few_layers_with_labels_and_a_health_check(image: str) -> None:
    facts = json.loads(docker("image", "inspect", image).stdout)[0]
    base = json.loads(docker("image", "inspect", "python:3.13-slim-trixie").stdout)[0]
    assert len(facts["RootFS"]["Layers"]) == len(base["RootFS"]["Layers"]) + 3
    assert facts["Size"] - base["Size"] < 260_000_000
    assert facts["Config"]["Healthcheck"]["Test"] == ["CMD", "driftfleet-health"]
    labels = facts["Config"]["Labels"]
    names = {name.removeprefix("org.opencontainers.image.") for name in labels}
    assert names == {"title", "description", "version", "revision", "base.name"}


def test_what_is_no_service_is_healthy_while_it_runs(image: str) -> None:
    assert "nothing to look at" in inside(image, "driftfleet-health")


def test_a_service_that_has_not_started_is_unhealthy(image: str) -> None:
    done = docker(
        *("run", "--rm", *CLOSED, "--entrypoint", "driftfleet-health", image, "worker"), check=False
    )
    assert (done.returncode, "nobody answers" in done.stdout) == (1, True)


def test_no_zombie_stays(image: str) -> None:
    """A process whose parent has ended belongs to the first one."""
    name = docker(
        *("run", "--rm", "--detach", *CLOSED, "--entrypoint", "/usr/bin/tini", image),
        *("--", "sh", "-c", "(sleep 0.2 & exec true); exec sleep 60"),
    ).stdout.strip()
    try:
        assert wait_until(lambda: len(docker("top", name).stdout.splitlines()) == 3, 60)
    finally:
        docker("kill", name)


def test_the_second_target_has_terraform_and_installs_nothing(
    with_terraform: str, terraform_version: str
) -> None:
    done = docker("run", "--rm", *CLOSED, with_terraform, "doctor", "--json", check=False)
    found = {one["what"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert terraform_version in found["terraform"]["finding"], found
    assert found["versions"]["level"] == "ok", found
    assert "1 installed" in found["versions"]["finding"], found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"TERRAFORM_VERSIONS": "9.9.9"}, "vendor/terraform/9.9.9/terraform is not there"),
        ({"PROVIDERS": "vendor"}, "vendor/providers is not there"),
        ({"PROVIDERS": "all"}, "PROVIDERS is 'all': it can be none, or vendor"),
        ({"TFENV_VERSION": "0.0.1"}, "vendor/tfenv-0.0.1.tar.gz is not there"),
    ],
)
def test_what_is_not_there_ends_the_build_with_the_reason(
    image: str, context: Path, arguments: dict[str, str], words: str
) -> None:
    given = {"TFENV_VERSION": tfenv_version(), **arguments}
    said = build_image(context, f"{image}-fails", check=False, **given)
    assert words in said
    assert "Successfully tagged" not in said


def test_a_build_without_tfenv_says_so(image: str, context: Path) -> None:
    # A checksum of its own, so that no cache answers for the step that says it.
    apart = {"TFENV_VERSION": "none", "TFENV_SHA256": uuid.uuid4().hex}
    said = build_image(context, f"{image}-without", "--target", "tfenv", **apart)
    assert "tfenv is left out of this image" in said
    docker("image", "rm", f"{image}-without")


def test_the_function_answers_in_a_sandbox(image: str, ghe: StandIn, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    results.chmod(0o777)  # the container's user is another
    terraform = Path(providers.require_terraform()).resolve()
    root = 'resource "terraform_data" "this" {\n  input = "one"\n}\n'
    ghe.add_repository("payments/infra", {"root/main.tf": root})
    environment = {
        "AWS_LAMBDA_FUNCTION_NAME": "driftfleet",
        "DRIFTFLEET_GITHUB__URL": ghe.url,
        "DRIFTFLEET_GITHUB__TOKEN": "env://THE_TOKEN",
        "THE_TOKEN": ghe.token,
        "DRIFTFLEET_RESULTS__STORE": "file:///mnt/results",
    }
    with RuntimeApi() as api:
        started = docker(
            *("run", "--rm", "--detach", *CLOSED, "--user", "993:990"),
            *("--volume", f"{results}:/mnt/results"),
            *("--volume", f"{terraform}:/usr/local/bin/terraform:ro"),
            *(part for pair in environment.items() for part in ("--env", "=".join(pair))),
            *("--env", f"AWS_LAMBDA_RUNTIME_API={api.address}"),
            *("--entrypoint", "/opt/driftfleet/bin/python", image),
            *("-m", "awslambdaric", "worker.aws_lambda.handler"),
        )
        container = started.stdout.strip()
        assert container, started.stderr
        try:
            event = {"repo": "payments/infra", "root": "root"}
            for number in (1, 2):
                answered = api.send(event, seconds=180).wait(180)
                assert answered.result["verdict"] == "unapplied", answered.result
                assert wait_until(lambda number=number: api.asked > number, 60)

            def running() -> list[str]:
                return docker("top", container).stdout.splitlines()[1:]

            assert wait_until(lambda: len(running()) == 1, 60), running()
            assert "awslambdaric" in running()[0]
        finally:
            docker("kill", container)
