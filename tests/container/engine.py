"""Docker as tests use it: its command, and images that are built once."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

# Of one command; on an idle machine it takes some. Nothing here is about how long one takes.
SECONDS = 300
_BUILD_SECONDS = 1500
TOP = Path(__file__).resolve().parents[2]
# Where no image registry and no package index can be reached from a bridge: `host`.
NETWORK = os.environ.get("DRIFTFLEET_BUILD_NETWORK", "host")


def require_docker() -> None:
    """Skip without an engine; `make test-container` asks for one, and fails without."""
    reason = "no Docker engine answers"
    if shutil.which("docker"):
        asked = docker("info", "--format", "{{.ServerVersion}}", check=False)
        if asked.returncode == 0 and asked.stdout.strip():
            return
    else:
        reason = "no docker"
    if os.environ.get("REQUIRE_DOCKER"):
        pytest.fail(f"{reason}: install Docker, and start its engine")
    pytest.skip(reason)


def docker(
    *arguments: str, check: bool = True, seconds: float = SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run docker; where it fails and ``check`` is set, an `AssertionError` with what it said."""
    return run(["docker", *arguments], check=check, seconds=seconds)


def run(
    command: Sequence[str],
    *,
    check: bool = True,
    seconds: float = SECONDS,
    folder: Path | None = None,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; one that doesn't end in time fails with what it said so far."""
    line = " ".join(command)
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as late:
        # Of a program that is killed they are bytes, whatever was asked for.
        said = b"".join(one for one in (late.stdout, late.stderr) if isinstance(one, bytes))
        pytest.fail(f"{line}:\n{said.decode(errors='replace')[-6000:]}\nno end in {seconds:.0f} s")
    if check:
        assert done.returncode == 0, f"{line}:\n{done.stdout[-3000:]}{done.stderr[-6000:]}"
    return done


def inspect(container: str) -> dict[str, Any]:
    """What the engine knows of a container."""
    facts: dict[str, Any] = json.loads(docker("inspect", container).stdout)[0]
    return facts


def build_image(
    context: Path, tag: str, *options: str, check: bool = True, **arguments: str
) -> str:
    """Build with the plain builder, without BuildKit; return what it said."""
    given = [
        word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")
    ]
    # A build that fails would leave a container.
    options = ("--force-rm", "--network", NETWORK, "--tag", tag, *options, *given)
    command = ["docker", "build", *options, str(context)]
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = run(command, check=check, seconds=_BUILD_SECONDS, environment=environment)
    return done.stdout + done.stderr


def tfenv_version() -> str:
    """``none`` where its archive was not put into vendor/, which is part of no repository."""
    found = list((TOP / "vendor").glob("tfenv-*.tar.gz"))
    return found[0].name.removeprefix("tfenv-").removesuffix(".tar.gz") if found else "none"
