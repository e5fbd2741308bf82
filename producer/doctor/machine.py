"""Checks of what `driftfleet doctor` finds on this machine: programs and folders."""

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from driftfleet.bubblewrap import why_refused
from driftfleet.ephemeral import EphemeralFolders
from driftfleet.errors import ConfigurationError
from driftfleet.git_version import OLDEST_GIT, is_new_enough
from driftfleet.mirror.permissions import require_unwritable
from driftfleet.settings import Settings
from producer.cache_place import cache_folder, why_not_kept
from producer.doctor.findings import Finding, fail, ok, warn
from producer.programs import printed
from producer.stage import can_plan, program_on_path


def terraform(settings: Settings, environment: Mapping[str, str]) -> Finding:
    """Whether terraform is there and runs."""
    program = settings.worker.terraform
    path = program_on_path(settings, environment)
    if path is None and _plans_by_versions(settings, environment):
        return _planned_by_versions(program, settings.terraform.default)
    if path is None:
        return fail(
            "terraform",
            f"'{program}' is no program here",
            "install Terraform (https://developer.hashicorp.com/terraform/install) and put it on "
            "the PATH, or name it in worker.terraform (DRIFTFLEET_WORKER__TERRAFORM)",
        )
    version = _terraform_version(printed([path, "version", "-json"], environment) or b"")
    if version is None:
        return fail(
            "terraform",
            f"{path} does not tell its version",
            f"run `{path} version` and see what it says",
        )
    return ok("terraform", f"{version} at {path}")


def _plans_by_versions(settings: Settings, environment: Mapping[str, str]) -> bool:
    try:
        return can_plan(settings, environment)
    except ConfigurationError:
        # It is told of by what looks at installers and versions.
        return False


def _planned_by_versions(program: str, default: str) -> Finding:
    """Of a machine where roots are planned by what is installed for them."""
    if default:
        return ok(
            "terraform",
            f"none on the PATH; where a root asks for none, terraform.default {default}",
        )
    return warn(
        "terraform",
        f"'{program}' is no program here: a root that asks for no version can't be planned",
        "set terraform.default to the version that plans those",
    )


def git(environment: Mapping[str, str]) -> Finding:
    """Whether modules can be fetched from git repositories."""
    mend = f"install git {OLDEST_GIT} or newer; roots without such modules need none"
    path = shutil.which("git")
    if path is None:
        return warn("git", "no program here, and modules in git repositories need it", mend)
    told = (printed([path, "version"], environment) or b"").decode("utf-8", "replace").strip()
    if not is_new_enough(told):
        return warn("git", f"{told or 'no version told'} at {path}: private modules fail", mend)
    return ok("git", f"{told.removeprefix('git version ')} at {path}")


def _terraform_version(printed: bytes) -> str | None:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(printed)["terraform_version"])
    return None


def mirror(settings: Settings) -> Finding:
    """Whether the provider mirror is there."""
    folder = settings.worker.mirror
    if folder is None:
        return warn(
            "mirror",
            "worker.mirror is not set: only roots with built-in resources can be planned, since "
            "workers take providers from a mirror alone",
            "make one (docs/mirror.md), and name it in worker.mirror (DRIFTFLEET_WORKER__MIRROR) "
            "or with scan --mirror; where only others plan, they need it and this machine doesn't",
        )
    if not folder.is_dir():
        return fail(
            "mirror",
            f"{folder}: no such folder",
            "make one with `driftfleet mirror sync TARGET --mirror DIR`, and name it in "
            "worker.mirror",
        )
    try:
        hosts = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    except OSError as error:
        return fail("mirror", f"{folder}: can't be read: {error.strerror}", "make it readable")
    try:
        require_unwritable(folder)
    except ConfigurationError as error:
        return fail("mirror", error.message.partition(". Mend it")[0], f"chmod -R go-w {folder}")
    if not hosts:
        return warn("mirror", f"{folder} is empty", "fill it, or providers can't be installed")
    return ok("mirror", f"{folder}: {', '.join(hosts)}")


def isolation(settings: Settings, environment: Mapping[str, str]) -> Finding:
    """Whether plans can be isolated as the settings ask."""
    bwrap = shutil.which("bwrap", path=environment.get("PATH"))
    if bwrap is None:
        return fail("isolation", "'bwrap' is no program here", "install bubblewrap 0.8 or newer")
    if reason := why_refused(Path(bwrap), environment):
        return fail("isolation", f"{bwrap} can't: {reason}", "docs/isolation.md: What it needs")
    missing = [str(path) for path in settings.worker.isolation_shows if not path.exists()]
    if missing:
        return fail(
            "isolation",
            f"{', '.join(missing)}: no such file or folder",
            "correct worker.isolation_shows (DRIFTFLEET_WORKER__ISOLATION_SHOWS)",
        )
    return ok("isolation", f"plans have namespaces of their own, by {bwrap}")


def writable_root(settings: Settings) -> Finding:
    """Whether a worker could make its workspaces."""
    folder = settings.worker.writable_root
    existed = folder.exists()
    try:
        EphemeralFolders(folder).create().remove()
    except ConfigurationError as error:
        return fail(
            "workspaces",
            error.message.partition(";")[0],
            "name a writable folder in worker.writable_root (DRIFTFLEET_WORKER__WRITABLE_ROOT)",
        )
    if not existed:
        with contextlib.suppress(OSError):
            folder.rmdir()
    return ok("workspaces", f"{folder}: can be made")


def cache(settings: Settings, environment: Mapping[str, str]) -> Finding:
    """Whether what is fetched can be kept."""
    folder = cache_folder(settings, environment)
    if folder is None:
        return warn(
            "cache",
            f"{why_not_kept(settings, environment)}: everything is fetched anew each time",
            "name a writable folder in cache.folder (DRIFTFLEET_CACHE__FOLDER)",
        )
    return ok("cache", str(folder))
