"""A view of the machine for what a root makes run: its workspace, the mirror and the program.

bubblewrap (bwrap(1)) puts terraform, its providers and whatever they start into a mount and a PID
namespace of their own. There neither the worker's environment and files nor another check's
workspace exist, all is read-only but the workspace, and whatever lives ends with the program.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftfleet.bubblewrap import CLOSED, KERNEL, NAMESPACES
from driftfleet.errors import CheckFailed, ConfigurationError
from driftfleet.results import ErrorKind
from driftfleet.settings import WorkerSettings
from driftfleet.tree import FilesInside
from worker.process import Completed
from worker.workspace import Workspace

# What programs are made of. All but the first are links to it, or folders of their own.
_USR = Path("/usr")
_SYSTEM = (_USR, *(Path("/", name) for name in ("bin", "lib", "lib32", "lib64", "libx32", "sbin")))
# What programs look up: names, addresses, certificates. No more of /etc is anybody's business.
_ETC = (
    "alternatives", "ca-certificates", "crypto-policies", "gai.conf", "group",
    "host.conf", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types",
    "nsswitch.conf", "passwd", "pki/ca-trust/extracted", "pki/tls/certs", "pki/tls/cert.pem",
    "protocols", "resolv.conf", "services", "ssl/cert.pem", "ssl/certs", "ssl/openssl.cnf",
    "timezone",
)  # fmt: skip
# Where git finds what it runs while modules are fetched.
_HELPERS = Path(__file__).parent
_STATE_BYTES = 16 << 20
# As many as the kernel follows.
_MOST_LINKS = 40


@dataclass(frozen=True)
class Isolation:
    """The view of one check: ``workspace`` can be written to, ``shown`` can be read."""

    bwrap: Path
    workspace: Path
    shown: tuple[Path, ...]

    def wrap(self, arguments: Sequence[str], folder: Path, shown: Sequence[Path] = ()) -> list[str]:
        """The command that runs ``arguments`` in ``folder`` with this view and ``shown``."""
        # The program may be a link to what isn't in view.
        program = Path(arguments[0]).resolve()
        own = str(self.workspace)
        return [
            str(self.bwrap),
            *NAMESPACES,
            *_system(),
            *KERNEL,
            *_read_only((*self.shown, *shown, program)),
            "--bind", own, own,
            # In memory, as the second of those is.
            *CLOSED, "--remount-ro", "/",
            "--chdir", str(folder),
            "--", str(program), *arguments[1:],
        ]  # fmt: skip

    def require_view(self, done: Completed) -> None:
        """Raise `ConfigurationError` where bubblewrap itself failed: nothing was run."""
        said = done.stderr.decode("utf-8", "replace").strip()
        if done.exit_code == 1 and not done.stdout and re.fullmatch(r"bwrap: .*", said):
            raise ConfigurationError(
                f"worker.isolation is 'bubblewrap', and this worker can't: {said}; "
                "docs/isolation.md says what it needs of the machine or the container"
            )

    def require_state(self, root: Path, data: str) -> None:
        """Refuse a local state that is out of view; to be called after ``init``.

        ``root`` is the root's folder in the workspace, ``data`` terraform's own in it. Terraform
        takes a state that it doesn't see for an empty one, and would want to create everything.

        Raises
        ------
        CheckFailed
            Of kind ``backend_unreachable``; names the file.
        """
        backend = _backend(root, f"{data}/terraform.tfstate")
        if backend.get("type") != "local":
            return
        config = backend.get("config") or {}
        for key in ("path", "workspace_dir"):
            written = config.get(key)
            if isinstance(written, str) and not self._shows(root / written):
                raise CheckFailed(
                    "init",
                    ErrorKind.BACKEND_UNREACHABLE,
                    f"the local backend's {key} '{written}' is out of the view that "
                    "worker.isolation gives to plans: name its folder in worker.isolation_shows",
                )

    def _shows(self, path: Path) -> bool:
        """Whether a path leads in the view to where it leads outside, link by link."""
        places = {_USR, self.workspace, *(p for one in self.shown for p in (one, one.resolve()))}
        current, waiting, links = Path("/"), list(reversed(path.parts[1:])), 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                current = current.parent
                continue
            current = current / part
            # What is bound is a folder or a file there, whatever it is here.
            if current in places or any(place.is_relative_to(current) for place in places):
                continue
            if not any(current.is_relative_to(place) for place in places):
                return False
            if current.is_symlink():
                links += 1
                target = current.readlink()
                current = Path("/") if target.is_absolute() else current.parent
                waiting += reversed(target.parts[1:] if target.is_absolute() else target.parts)
                if links > _MOST_LINKS:
                    return False
        return any(current.is_relative_to(place) for place in places)


def isolation_of(
    settings: WorkerSettings,
    environment: Mapping[str, str],
    workspace: Workspace,
    named: Iterable[Path] = (),
) -> Isolation | None:
    """The view that the settings give to a check; None where it is the worker's own.

    ``environment`` is the worker's. ``named`` are files that it names for plans; they need not be
    there.

    Raises
    ------
    ConfigurationError
        bubblewrap, or a folder that is to be shown, is not there; or one holds all workspaces.
    """
    if settings.isolation == "none":
        return None
    bwrap = shutil.which("bwrap", path=environment.get("PATH"))
    if bwrap is None:
        raise ConfigurationError(
            "worker.isolation is 'bubblewrap', and 'bwrap' is no program on this worker: install "
            "bubblewrap 0.8 or newer"
        )
    shown = [path for path in (settings.mirror, *settings.isolation_shows) if path is not None]
    for path in shown:
        _require(path)
    there = [path for path in named if os.path.exists(path)]
    for path in (*_SYSTEM, *shown, *there, *git_shows(())):
        if settings.writable_root.resolve().is_relative_to(path.resolve()):
            raise ConfigurationError(
                f"{path} holds worker.writable_root, so worker.isolation would show every check's "
                "files to every plan: move worker.writable_root, or name less in "
                "worker.isolation_shows and in the variables that name files"
            )
    return Isolation(Path(bwrap).absolute(), workspace.path, (*shown, *there))


def git_shows(mirrors: Iterable[Path]) -> tuple[Path, ...]:
    """What git is to see while modules are fetched: `worker.credential_helper`, and ``mirrors``."""
    python = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve()}
    # The machine's own configuration may hold a secret: it is for nothing else.
    own = [path for path in (Path("/etc/gitconfig"),) if path.exists()]
    return (*sorted(python), *own, _HELPERS / "credential_helper.py", *mirrors)


def _require(path: Path) -> None:
    try:
        path.stat()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror} (worker.isolation_shows)") from error


def _system() -> Iterator[str]:
    for path in _SYSTEM:
        if path.is_symlink():
            yield from ("--symlink", os.readlink(path), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    for name in _ETC:
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")


def _read_only(paths: Iterable[Path]) -> Iterator[str]:
    """Each path and what it leads to; what holds others comes before them."""
    places = {place for path in paths for place in (path.absolute(), path.resolve())}
    for place in sorted(places):
        # Of these it sees all, and the latter may be links there.
        if not any(place.is_relative_to(folder) for folder in _SYSTEM):
            yield from ("--ro-bind", str(place), str(place))


def _backend(top: Path, path: str) -> Mapping[str, Any]:
    """What ``init`` noted of the backend; empty where there is none."""
    try:
        noted = json.loads(FilesInside(top, _STATE_BYTES).read(path))["backend"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return noted if isinstance(noted, dict) else {}
