"""The AWS provider without AWS: moto's server is the cloud, terraform applies to it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import boto3

from driftfleet import process
from driftfleet.model import decode_record
from driftfleet.results import Result
from producer.embedded import held_port

TOP = Path(__file__).resolve().parents[2]
PROVIDER = "registry.terraform.io/hashicorp/aws"
REGION = "eu-central-1"
# A new `aws_sqs_queue` waits 25 s for its attributes to settle: applies mostly sleep.
APPLIES_AT_ONCE = 8

HEADER = """\
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  s3_use_path_style = true
}
"""


def find_mirror() -> Path | None:
    """An unpacked provider mirror that holds the AWS provider; None where this machine has none."""
    named = os.environ.get("DRIFT_PROVIDER_MIRROR")
    if named and (Path(named) / PROVIDER).is_dir():
        return Path(named)
    finder = TOP.parent / "shared" / "tools" / "find-provider-mirror"
    if not finder.is_file():
        return None
    found = subprocess.run([finder], capture_output=True, text=True, check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else None


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A running moto server, and what terraform needs to plan and apply against it."""

    endpoint: str
    mirror: Path
    environment: Mapping[str, str] = field(repr=False)

    def client(self, service: str) -> Any:
        """A boto3 client: how somebody changes things outside Terraform."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def demand_credentials(self, *, after_requests: float) -> None:
        """Let moto refuse keys that it never issued, once ``after_requests`` more were served."""
        request = Request(
            f"{self.endpoint}/moto-api/reset-auth",
            data=str(after_requests).encode(),
            headers={"Content-Type": "text/plain"},  # moto reads no form
        )
        with urlopen(request, timeout=10):
            pass


@contextlib.contextmanager
def running_cloud(folder: Path, mirror: Path) -> Iterator[Cloud]:
    """Start moto's server on a free loopback port; its log, and a HOME, go into ``folder``."""
    home = folder / "home"
    home.mkdir()
    configuration = folder / "terraform.rc"
    configuration.write_text(mirror_configuration(mirror))
    with running_moto(folder / "moto.log") as endpoint:
        yield Cloud(
            endpoint=endpoint,
            mirror=mirror,
            environment={
                **terraform_environment(home, configuration),
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )


def mirror_configuration(mirror: Path) -> str:
    """A CLI configuration that knows the mirror and nothing else."""
    return f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'


def terraform_environment(home: Path, configuration: Path) -> dict[str, str]:
    """What the plain `terraform` command runs with; nothing of the caller's but PATH."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TF_CLI_CONFIG_FILE": str(configuration),
        "CHECKPOINT_DISABLE": "1",
    }


@contextlib.contextmanager
def running_moto(log: Path, command: Sequence[str] = ()) -> Iterator[str]:
    """Moto's server, which gives its endpoint, and ends with this process whatever ends it."""
    usual = [str(Path(sys.executable).with_name("moto_server"))]
    # What answers at it is this server, and not what another test has started meanwhile.
    with held_port() as port, log.open("ab") as output:
        server = process.start(
            [*(command or usual), "-p", str(port)],
            {"PATH": os.environ["PATH"], "HOME": str(log.parent)},
            death_signal=signal.SIGKILL,
            folder=log.parent,
            stdout=output,
            stderr=output,
        )
        try:
            if not _answers(f"http://127.0.0.1:{port}/moto-api/", server):
                said = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"moto's server did not start: {said}")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()


def _answers(url: str, server: process.Process, limit_seconds: float = 180) -> bool:
    deadline = time.monotonic() + limit_seconds
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=5):
                return True
        except (URLError, OSError):
            time.sleep(0.1)
    return False


def write_root(root: Path, code: str, header: str = HEADER) -> None:
    """Write a root module of one file."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "main.tf").write_text(f"{header}\n{code}")


def terraform(root: Path, *arguments: str, environment: Mapping[str, str]) -> None:
    """Run terraform in a root; an `AssertionError` with its output where it fails."""
    ended = subprocess.run(
        ["terraform", *arguments],
        cwd=root,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ended.returncode == 0, f"terraform {arguments} in {root.name}:\n{ended.stderr}"


def apply(roots: Sequence[Path], environment: Mapping[str, str]) -> None:
    """Apply roots, several at once. What stays is what people commit: code, lock file, state."""

    def one(root: Path) -> None:
        terraform(root, "init", "-input=false", "-no-color", environment=environment)
        terraform(
            root, "apply", "-auto-approve", "-input=false", "-no-color", environment=environment
        )
        shutil.rmtree(root / ".terraform", ignore_errors=True)  # no providers, no folder

    with ThreadPoolExecutor(APPLIES_AT_ONCE) as pool:
        list(pool.map(one, roots))


@dataclass(frozen=True)
class Scan:
    """What `driftfleet scan --json` answered."""

    exit_code: int
    results: Mapping[str, Result]
    stderr: str


def scan_command(folder: Path, mirror: Path | None, results: Path, concurrency: int) -> list[str]:
    """The command whose stdout is one result a line."""
    return [
        str(Path(sys.executable).with_name("driftfleet")),
        *("scan", str(folder), "--json"),
        *(("--mirror", str(mirror)) if mirror else ()),
        *("--concurrency", str(concurrency)),
        *("--results", str(results)),
    ]


def read_results(stdout: bytes) -> dict[str, Result]:
    """Results by root; anything else on stdout is an error, and so is a root answered twice."""
    results = [decode_record(Result, line) for line in stdout.splitlines()]
    by_root = {result.job.root: result for result in results}
    assert len(by_root) == len(results), f"answered twice: {[r.job.root for r in results]}"
    return by_root


def scan(
    folder: Path,
    *,
    mirror: Path,
    environment: Mapping[str, str],
    scratch: Path,
    concurrency: int = 2,
    limit_seconds: float = 900,
) -> Scan:
    """Run the real command; ``scratch`` takes its results and temporary files, and is made anew."""
    shutil.rmtree(scratch, ignore_errors=True)
    temporary = scratch / "t"
    temporary.mkdir(parents=True)
    with (scratch / "out").open("wb") as out, (scratch / "err").open("wb") as err:
        ended = subprocess.run(
            scan_command(folder, mirror, scratch / "results", concurrency),
            cwd=scratch,
            env={**environment, "TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            check=False,
            timeout=limit_seconds,
        )
    stderr = (scratch / "err").read_text(errors="replace")
    try:
        results = read_results((scratch / "out").read_bytes())
    except Exception as error:
        error.add_note(f"exit code {ended.returncode}, stderr:\n{stderr[-4000:]}")
        raise
    return Scan(ended.returncode, results, stderr)
