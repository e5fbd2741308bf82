"""The world of a Lambda function, made with bubblewrap: nothing can be written but /tmp."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from driftfleet import process
from tests import providers
from tests.conftest import require_program
from tests.runtime_api import RuntimeApi

_REPOSITORY = Path(__file__).resolve().parents[1]
_TASK = "/var/task"
_PYTHON = "/var/venv/bin/python"
REPO = "payments/infra"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")
_DEVICES = ("null", "zero", "full", "random", "urandom")


@dataclass
class LambdaSandbox:
    """A sandbox that outlives its function's process: its /tmp is ``folder``.

    ``size_bytes`` makes /tmp one of its own with that size, which ends with the process. ``binds``
    are folders or files by the place where the function has them, ``writable`` may be written.
    """

    api: RuntimeApi
    folder: Path
    log: Path
    environment: Mapping[str, str]
    binds: Mapping[str, Path] = field(default_factory=dict)
    writable: Mapping[str, Path] = field(default_factory=dict)
    size_bytes: int | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[process.Process]:
        """The function's process, started as the image's entry point does, until the block's end.

        Its end is the end of every process of the sandbox.
        """
        with self.log.open("ab") as log:
            function = process.start(
                [*self._world(), _PYTHON, "-m", "awslambdaric", "worker.aws_lambda.handler"],
                self._environment(),
                death_signal=signal.SIGKILL,
                stdout=log,
                stderr=log,
                new_session=True,
            )
        try:
            yield function
        finally:
            function.kill()
            function.wait()

    def told(self) -> str:
        """All that the function has logged."""
        return self.log.read_text(errors="replace")

    def processes(self, function: process.Process) -> list[list[str]]:
        """The arguments of what runs in the sandbox, but for bubblewrap's own and the function."""
        found = []
        for one in psutil.Process(function.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if one.cmdline() and not {"bwrap", "awslambdaric"} & {
                    Path(argument).name for argument in one.cmdline()
                }:
                    found.append(one.cmdline())
        return found

    def files(self) -> list[str]:
        """What lies in /tmp, folders only where they are empty."""
        paths = (path for path in self.folder.rglob("*") if path.is_file() or not any_in(path))
        return sorted(str(path.relative_to(self.folder)) for path in paths)

    def _environment(self) -> dict[str, str]:
        """As Lambda's is: no HOME, no TMPDIR, keys of the function's role."""
        return {
            "PATH": f"/opt/tools:{os.environ['PATH']}",
            "PYTHONPATH": _TASK,
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "en_US.UTF-8",
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "driftfleet",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/02/[$LATEST]abc",
            "AWS_REGION": "eu-central-1",
            **self.environment,
        }

    def _world(self) -> Sequence[str]:
        bwrap = require_program("bwrap", "apt-get install bubblewrap")
        prefix, own = Path(sys.base_prefix), Path(sys.prefix)
        binds = {name: Path(name) for name in _SYSTEM if Path(name).exists()}
        if not prefix.is_relative_to("/usr"):
            binds[str(prefix)] = prefix
        terraform = Path(providers.require_terraform()).resolve()
        binds |= {
            str(Path(_PYTHON).parents[1]): own,
            "/opt/tools/terraform": terraform,
            **{f"{_TASK}/{name}": _REPOSITORY / name for name in _PACKAGES},
            **self.binds,
        }
        tmp = (
            ["--bind", str(self.folder), "/tmp"]
            if self.size_bytes is None
            else ["--size", str(self.size_bytes), "--tmpfs", "/tmp"]
        )
        return [
            str(bwrap), "--unshare-user", "--uid", "993", "--gid", "990", "--unshare-pid",
            "--unshare-ipc", "--cap-drop", "ALL", "--die-with-parent", "--proc", "/proc",
            *(part for name in _DEVICES for part in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")),
            *(part for at, path in binds.items() for part in ("--ro-bind", str(path), at)),
            *tmp,
            *(part for at, path in self.writable.items() for part in ("--bind", str(path), at)),
            "--remount-ro", "/", "--chdir", _TASK, "--",
        ]  # fmt: skip


_PACKAGES = ("driftfleet", "producer", "worker", "examples")


def any_in(folder: Path) -> bool:
    """Whether a folder holds anything."""
    return folder.is_dir() and not folder.is_symlink() and any(folder.iterdir())


def asking(root: str, **keys: str) -> dict[str, str]:
    return {"repo": REPO, "root": root, **keys}


def error_of(result: Mapping[str, Any]) -> tuple[str, str]:
    assert result["error"] is not None, result
    return result["error"]["kind"], result["error"]["message"]
