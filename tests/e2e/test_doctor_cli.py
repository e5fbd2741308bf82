"""`driftfleet doctor` as people run it: its exit code, and that it leaves nothing."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require_program
from tests.e2e.command import run_command
from tests.redis_on_a_port import ELSEWHERE, Server, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    require_program("terraform", "install Terraform 1.11")
    (tmp_path / "redis").mkdir()
    with serving(tmp_path / "redis", "requirepass geheim") as running:
        yield running


def environment(tmp_path: Path, url: str) -> dict[str, str]:
    for name in ("here", "results"):
        (tmp_path / name).mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "here"),
        "DRIFTFLEET_BROKER__URL": url,
        "DRIFTFLEET_RESULTS__STORE": f"file://{tmp_path}/results",
        "DRIFTFLEET_WORKER__WRITABLE_ROOT": str(tmp_path / "w"),
    }


def test_a_machine_as_it_should_be_is_exit_0_and_nothing_is_left(
    tmp_path: Path, server: Server
) -> None:
    variables = environment(tmp_path, server.url(user=":geheim"))
    done = run_command(["doctor"], tmp_path / "here", variables, expect=0)
    assert "geheim" not in done.stdout + done.stderr
    assert "refuses a second writer" in done.stdout
    assert [path.name for path in (tmp_path / "results").iterdir()] == [".lock"]
    assert not (tmp_path / "w").exists()
    with server.client("geheim") as operator:
        assert operator.keys() == []


def test_any_failure_is_exit_1_with_its_mend(tmp_path: Path, server: Server) -> None:
    with server.client("geheim") as operator:
        operator.config_set("maxmemory-policy", "allkeys-lru")
        operator.config_set("requirepass", "")
    variables = environment(tmp_path, server.url(host=ELSEWHERE))
    variables["DRIFTFLEET_GITHUB__TOKEN"] = "env://NOBODY"
    done = run_command(["doctor", "--json"], tmp_path / "here", variables, expect=1)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    failed = {one["what"] for one in found if one["level"] == "fail"}
    assert failed == {"secret", "password", "eviction"}
    assert all(one["mend"] for one in found if one["level"] == "fail")
