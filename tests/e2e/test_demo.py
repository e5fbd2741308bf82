"""The example fleet, prepared and scanned as `make demo` does."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests import providers
from tests.installers import Program

EXPECTED = {
    ("network", "default"): "clean",
    ("catalog", "default"): "clean",
    ("hotfix", "default"): "clean",
    ("shop", "staging"): "clean",
    ("shop", "production"): "drifted",
    ("dns", "default"): "drifted",
    ("certificates", "default"): "drifted",
    ("billing", "default"): "unapplied",
    ("reports", "default"): "unapplied",
    ("gateway", "default"): "drifted_unapplied",
    ("broken", "default"): "hcl",
    ("legacy", "default"): "version",
    ("mainframe", "default"): "provider_missing",
    ("remote-state", "default"): "backend_unreachable",
}


def told(results: Iterable[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """By root and variant: the verdict, of an error its kind."""
    return {
        (one["job"]["root"], one["job"]["variant"]["name"]): (one["error"] or {}).get("kind")
        or one["verdict"]
        for one in results
    }


def test_the_example_fleet_shows_every_verdict(tmp_path: Path) -> None:
    providers.require_terraform()
    ignored = shutil.ignore_patterns("terraform.tfstate*", "*.auto.tfvars.json", "__pycache__")
    shutil.copytree(providers.REPOSITORY / "examples", tmp_path / "examples", ignore=ignored)
    installer = Program(tmp_path / "bin", listing="print('0.15.5')")
    environment = {
        **os.environ,
        "DRIFTFLEET_CONFIG": "examples/fleet.yaml",
        "DRIFTFLEET_TFENV": str(installer.path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    for _ in range(2):  # it starts from scratch each time
        subprocess.run(
            [sys.executable, "examples/prepare.py"],
            cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=120,
        )  # fmt: skip
    scan = [str(Path(sys.executable).with_name("driftfleet")), "scan", "--json", "examples/fleet"]
    done = subprocess.run(
        scan, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    site = tmp_path / "drift-results" / "site"
    assert (site / "index.html").is_file()
    assert len(list((site / "roots").rglob("*.html"))) == len(EXPECTED)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert told(results) == EXPECTED
    assert installer.starts == []
    (noisy,) = [one for one in results if one["job"]["root"] == "catalog"]
    assert noisy["summary"]["suppressed"] == 1
    (agreed,) = [one for one in results if one["job"]["root"] == "hotfix"]
    assert agreed["notes"]
