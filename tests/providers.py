"""Support for tests that plan with the real terraform and the demo provider of the examples.

`build_mirror` once a session or a test, `write_root` and `fault_root` for the roots, `apply` where
a state is wanted. Nothing is left behind but what the test's own folders hold.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
# What runs the demo provider, besides what is in its mirror.
MADE_OF = (REPOSITORY / "examples" / "provider", Path(sys.prefix), Path(sys.base_prefix))
PROVIDER_ADDRESS = "registry.terraform.io/driftfleet/demo"
REQUIRES_DEMO = """\
terraform {
  required_providers {
    demo = {
      source  = "driftfleet/demo"
      version = "1.0.0"
    }
  }
}
"""


def _load_mirror_module() -> ModuleType:
    path = REPOSITORY / "examples" / "provider" / "mirror.py"
    spec = importlib.util.spec_from_file_location("demo_provider_mirror", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_mirror = _load_mirror_module()
build_mirror = _mirror.build_mirror
cli_config = _mirror.cli_config


def require_terraform() -> str:
    """The path of terraform; where there is none the test is skipped, and fails under CI."""
    if path := shutil.which("terraform"):
        return path
    if os.environ.get("CI") == "true":
        pytest.fail("terraform is not on the PATH")
    pytest.skip("terraform is not on the PATH")


def write_root(folder: Path, hcl: str, **files: str) -> Path:
    """Write ``hcl`` as ``main.tf``, and further files by ``name_ext="..."`` (``name.ext``)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.tf").write_text(hcl, encoding="utf-8")
    for name, text in files.items():
        stem, _, extension = name.rpartition("_")
        (folder / f"{stem}.{extension}").write_text(text, encoding="utf-8")
    return folder


def file_root(path: Path, content: str, **arguments: Any) -> str:
    """HCL of a root with one ``demo_file.this``."""
    return REQUIRES_DEMO + _block(
        'resource "demo_file" "this"', {"path": str(path), "content": content, **arguments}
    )


def fault_root(kind: str, **arguments: Any) -> str:
    """HCL of a root whose plan meets a fault; kind `environ` gives an output ``environ``.

    ``arguments`` are the data source's: seconds, megabytes, then_hang, marker.
    """
    if kind == "environ":
        return (
            REQUIRES_DEMO
            + 'data "demo_environ" "this" {}\n'
            + 'output "environ" {\n  value = data.demo_environ.this.json\n}\n'
        )
    fault = _block('data "demo_fault" "this"', {"kind": kind, **arguments})
    return REQUIRES_DEMO + fault + 'output "detail" {\n  value = data.demo_fault.this.detail\n}\n'


def _block(header: str, arguments: Mapping[str, Any]) -> str:
    lines = [f"  {name} = {json.dumps(value)}" for name, value in arguments.items()]
    return "\n".join([f"{header} {{", *lines, "}", ""])


@contextmanager
def terraform_environment(
    mirror: Path, extra: Mapping[str, str] | None = None
) -> Iterator[dict[str, str]]:
    """An environment that knows only ``mirror``; its HOME and TMPDIR end with the block.

    TMPDIR is short: a plugin's unix socket lies in it.
    """
    with tempfile.TemporaryDirectory(prefix="df-", ignore_cleanup_errors=True) as place:
        for name in ("home", "tmp"):
            Path(place, name).mkdir()
        config = Path(place, "terraform.rc")
        config.write_text(cli_config(mirror), encoding="utf-8")
        yield {
            "PATH": os.environ["PATH"],
            "HOME": f"{place}/home",
            "TMPDIR": f"{place}/tmp",
            "TF_CLI_CONFIG_FILE": str(config),
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            **(extra or {}),
        }


def terraform(
    folder: Path, environment: Mapping[str, str], *arguments: str, expect: tuple[int, ...] = (0,)
) -> subprocess.CompletedProcess[str]:
    """Run terraform in ``folder`` to its end, within 120 s; an unexpected exit code fails."""
    done = subprocess.run(
        [require_terraform(), *arguments],
        cwd=folder, env=dict(environment), timeout=120,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in expect, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def apply(
    folder: Path, mirror: Path, env: Mapping[str, str] | None = None, *arguments: str
) -> None:
    """``terraform init`` and ``apply`` in ``folder``; ``.terraform`` is taken away again."""
    with terraform_environment(mirror, env) as environment:
        terraform(folder, environment, "init", "-no-color")
        terraform(folder, environment, "apply", "-auto-approve", "-no-color", *arguments)
    shutil.rmtree(folder / ".terraform")


def plan(
    folder: Path, environment: Mapping[str, str], *arguments: str
) -> tuple[int, dict[str, Any]]:
    """Plan an initialised root: the exit code (0 or 2) and the plan's JSON."""
    file = Path(environment["TMPDIR"]) / "plan"
    done = terraform(
        folder, environment, "plan", "-lock=false", "-detailed-exitcode", "-no-color",
        f"-out={file}", *arguments, expect=(0, 2),
    )  # fmt: skip
    shown = terraform(folder, environment, "show", "-json", str(file))
    return done.returncode, json.loads(shown.stdout)


def processes_with(text: str) -> list[psutil.Process]:
    """Every process that has ``text`` among its arguments."""
    found = []
    for process in psutil.process_iter():
        try:
            if text in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def processes_in_group(group: int) -> list[psutil.Process]:
    """Every process of a process group that is no zombie."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, ProcessLookupError):
            continue
    return found


def eventually(condition: Callable[[], bool], timeout_seconds: float = 60.0) -> None:
    """Wait until ``condition`` holds; fail where it does not in time."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.02)
