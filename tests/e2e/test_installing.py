"""A scan on a machine without Terraform: what roots ask for is installed, once."""

import json
import os
import shutil
import sys
from pathlib import Path

from tests.conftest import require_program
from tests.e2e.command import run_command
from tests.installers import Program, own_terraform

ROOT = 'terraform {\n  backend "local" {}\n}\n'


def test_a_scan_installs_what_roots_ask_for_and_finds_it_there_the_next_time(
    tmp_path: Path,
) -> None:
    terraform, version = own_terraform()
    require_program("redis-server", "install redis")
    real = str(terraform)
    # As the real one, it gets what there is, and says so of what there isn't.
    code = (
        f"import shutil\nif version != {version!r}:\n"
        f"    sys.exit('No versions matching ' + version)\nshutil.copy({real!r}, place)"
    )
    program = Program(tmp_path / "bin", code=code)
    repository = tmp_path / "repository"
    for root, wanted in (("a", version), ("b", version), ("c", "9.9.9")):
        (repository / root).mkdir(parents=True)
        (repository / root / "main.tf").write_text(ROOT)
        (repository / root / ".terraform-version").write_text(f"{wanted}\n")
    environment = {
        "PATH": path_without_terraform(tmp_path / "path"),
        "HOME": str(tmp_path / "home"),
        "DRIFTFLEET_TFENV": str(program.path),
    }
    (tmp_path / "home").mkdir()
    for _ in range(2):
        done = run_command(["scan", "--json", repository], tmp_path, environment, expect=1)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        assert {r["job"]["root"]: r["verdict"] for r in records} == {
            "a": "clean",
            "b": "clean",
            "c": "error",
        }
        (failed,) = [r["error"] for r in records if r["error"]]
        assert (failed["kind"], "9.9.9" in failed["message"]) == ("version", True)
    words = [start["words"] for start in program.starts]
    assert words.count(["install", version]) == 1


def path_without_terraform(folder: Path) -> str:
    """What a scan and an installer need, and no Terraform."""
    folder.mkdir()
    for name in ("redis-server", "git", "false", "sh", "env", Path(sys.executable).name):
        found = shutil.which(name)
        if found is not None:
            (folder / name).symlink_to(os.path.realpath(found))
    return str(folder)
