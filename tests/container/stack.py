"""The services of docker-compose.yml as a test starts, asks, breaks and ends them."""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.container.engine import SECONDS, docker, inspect, run
from tests.container.github import TOKEN
from tests.workers import wait_until

_FLEET = """\
github: {url: "https://github:8443", token: "file:///run/secrets/github_token"}
repositories: [platform/example]
broker: {visibility_timeout_seconds: 15}
worker: {concurrency: 2, drain_seconds: 5}
metrics: {cloudwatch: {every_seconds: 10}}
limits: {timeout_seconds: 180, workspace_bytes: 134217728}
cache: {limit_bytes: 67108864}
variants:
  - root: shop
    variants:
      - {name: staging, workspace: staging, var_files: [shop/staging.tfvars]}
      - {name: production, workspace: production, var_files: [shop/production.tfvars]}
"""


class Stack:
    """A project of docker-compose in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        image: str,
        furnished: str,
        workers: int,
        compose: list[str] | None = None,
    ) -> None:
        self.folder = folder
        self.project = f"driftfleet{os.getpid()}{int(time.time()) % 10000}"
        self._furnished = furnished
        # The older one where there is one: with Compose v2 test_compose_v2.py runs.
        older = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
        self._compose = compose or older
        self.files: tuple[str, ...] = ("-f", "docker-compose.yml", "-f", "stack.yml")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.flower_port = int(probe.getsockname()[1])
        settings = {
            "DRIFTFLEET_IMAGE": image,
            "TEST_IMAGE": furnished,
            "FLOWER_PORT": str(self.flower_port),
            "WORKERS": str(workers),
            "WORKER_DISK": "512m",
        }
        example = (folder / "deploy" / "compose" / "env.example").read_text()
        lines = [line for line in example.splitlines() if line.partition("=")[0] not in settings]
        lines += [f"{name}={value}" for name, value in settings.items()]
        (folder / ".env").write_text("\n".join(lines) + "\n")
        (folder / "fleet.yaml").write_text(_FLEET)
        _write_secret(folder / "secrets" / "github_token", TOKEN)

    def compose(
        self, *arguments: str, check: bool = True, seconds: float = 2 * SECONDS
    ) -> subprocess.CompletedProcess[str]:
        command = [*self._compose, "-p", self.project, *self.files, *arguments]
        # The older one gives an answer of a busy engine a minute by itself.
        environment = {**os.environ, "COMPOSE_HTTP_TIMEOUT": str(SECONDS)}
        return run(
            command, check=check, seconds=seconds, folder=self.folder, environment=environment
        )

    def up(self) -> None:
        """Start all of it, and wait until all of it is healthy."""
        self.compose("up", "--no-start", "volumes")
        self._furnish()
        done = self.compose("up", "--detach", "--no-build", check=False)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.story()}"
        services = ("redis", "beat", "producer", "flower", "worker", "aws")
        assert wait_until(lambda: all(map(self.healthy, services)), SECONDS), self.story()

    def _furnish(self) -> None:
        """A new volume is filled with what the image has at its place."""
        places = {"terraform": "terraform", "providers": "mirror", "example": "example"}
        mounts = [
            word
            for volume, folder in places.items()
            for word in ("--volume", f"{self.project}_{volume}:/srv/{folder}")
        ]
        docker("run", "--rm", *mounts, self._furnished, "--version")

    def containers(self, service: str) -> list[str]:
        """Ids of a service's containers that run."""
        found = docker(
            *("ps", "--quiet", "--no-trunc"),
            *("--filter", f"label=com.docker.compose.project={self.project}"),
            *("--filter", f"label=com.docker.compose.service={service}"),
        )
        return found.stdout.split()

    def healthy(self, service: str) -> bool:
        ids = self.containers(service)
        return bool(ids) and all(
            inspect(one)["State"]["Health"]["Status"] == "healthy" for one in ids
        )

    def driftfleet(
        self, *arguments: str, check: bool = True, seconds: float = 2 * SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the producer's container."""
        return self.compose(
            "exec", "-T", "producer", "driftfleet", *arguments, check=check, seconds=seconds
        )

    def enqueue(self, repo: str, *options: str) -> str:
        """Ask for a repository's checks now; the sweep."""
        said = self.driftfleet("enqueue", "--json", *options, repo).stdout
        return str(json.loads(said.splitlines()[0])["sweep_id"])

    def overview(self) -> dict[str, Any]:
        """What `driftfleet top` sees."""
        found: dict[str, Any] = json.loads(self.driftfleet("top", "--json").stdout)
        return found

    def sweep(self, sweep_id: str) -> dict[str, Any] | None:
        """The record of a closed sweep; None while it is open."""
        code = (
            "import sys\n"
            "from driftfleet.configuration import load_settings\n"
            "from driftfleet.store import open_objects\n"
            "found = open_objects(load_settings().results).get(sys.argv[1])\n"
            "sys.stdout.write(found.decode())\n"
        )
        place = f"sweeps/{sweep_id}.json"
        said = self.compose("exec", "-T", "producer", "python", "-c", code, place).stdout
        record: dict[str, Any] = json.loads(said)
        return record if record["closed_at"] else None

    def closed(self, sweep_id: str, seconds: float) -> dict[str, Any]:
        """The record of a sweep, once it is closed."""
        assert wait_until(lambda: self.sweep(sweep_id) is not None, seconds), self.story()
        record = self.sweep(sweep_id)
        assert record is not None
        return record

    def story(self) -> str:
        """For the message of a test that failed."""
        ours = ("ps", "--all", "--filter", f"label=com.docker.compose.project={self.project}")
        state = docker(*ours, check=False).stdout
        ids = docker(*ours, "--quiet", check=False).stdout.split()
        health = "{{.Name}} {{.State.Status}} {{.State.ExitCode}} {{json .State.Health}}"
        told = docker("inspect", "--format", health, *ids, check=False).stdout if ids else ""
        logs = self.compose("logs", "--no-color", "--tail", "15", check=False).stdout
        return f"{state}\n{told}\n{logs}"

    def remove(self) -> None:
        """End what runs, at once, and remove all that was made."""
        self.compose("kill", check=False)
        self.compose("down", "--volumes", "--remove-orphans", check=False)


def _write_secret(path: Path, text: str) -> None:
    # Into the file, as docs/compose.md has it.
    path.write_text(text)
