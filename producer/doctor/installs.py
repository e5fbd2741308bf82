"""Checks of what `driftfleet doctor` finds of versions: what installs them, and where they are."""

import os
from collections.abc import Mapping
from pathlib import Path

from driftfleet.errors import ConfigurationError
from driftfleet.installs.choice import TENV, TFENV, find_installer, open_installs
from driftfleet.installs.installer import find_program
from driftfleet.installs.tfenv import find_tfenv
from driftfleet.settings import Settings
from producer.cache_place import with_kept_installs
from producer.doctor.findings import Finding, fail, ok, skip, warn

_GPGV = "install gpgv (Debian's package gpgv)"


def installer(settings: Settings, environment: Mapping[str, str]) -> Finding:
    """What would install the versions that roots ask for, and whether signatures are checked."""
    wanted = settings.installs.installer
    if wanted == "none":
        return skip("installer", "installs.installer is none: only what is there can plan")
    try:
        find_installer(settings.installs, environment)
        tfenv = find_tfenv(environment) if wanted != "tenv" else None
    except ConfigurationError as error:
        return fail("installer", error.message, "correct or remove it (docs/installs.md)")
    tenv = find_program("tenv", environment) if wanted != "tfenv" else None
    if tfenv is None and tenv is None:
        means = {"tfenv": TFENV, "tenv": TENV}.get(wanted, f"{TFENV}; for OpenTofu {TENV}")
        return warn(
            "installer",
            "nothing here installs versions: a root that asks for one that is not there can't be "
            "planned",
            f"{means}; or set installs.installer to none",
        )
    programs = "Terraform" if tenv else "Terraform, not OpenTofu"
    found = [f"tfenv at {tfenv} ({programs})"] if tfenv else []
    found += (
        [f"tenv at {tenv} ({'OpenTofu' if tfenv else 'Terraform and OpenTofu'})"] if tenv else []
    )
    return _signatures(settings, environment, "; ".join(found), tfenv)


def _signatures(
    settings: Settings, environment: Mapping[str, str], found: str, tfenv: Path | None
) -> Finding:
    verify = settings.installs.verify_signatures
    if verify is False:
        text = f"{found}; no signatures are checked (installs.verify_signatures: false)"
        return ok("installer", text)
    if tfenv is None:
        return ok("installer", f"{found}; checks signatures itself")
    gpgv = find_program("gpgv", environment)
    if gpgv is not None:
        return ok("installer", f"{found}; signatures are checked with {gpgv}")
    if verify:
        text = f"{found}; installs.verify_signatures is true, and there is no gpgv"
        return fail("installer", text, _GPGV)
    return warn("installer", f"{found}; without gpgv it checks no signatures", _GPGV)


def installed(settings: Settings, environment: Mapping[str, str]) -> Finding:
    """Whether versions can be installed, and how many are."""
    kept = with_kept_installs(settings, environment)
    try:
        installs = open_installs(kept, environment)
        there = installs.installed()
    except ConfigurationError as error:
        first, _, mend = error.message.partition(": take ")
        return fail("versions", first, f"take {mend}" if mend else "see docs/installs.md")
    folder = installs.folder
    size = sum(one.size_bytes for one in there) / (1 << 20)
    many = f"{len(there)} installed" + (f", {size:,.0f} MiB" if there else "")
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    if not existing.is_dir():
        return fail(
            "versions",
            f"{folder}: {existing} is no folder",
            "name another in installs.folder (DRIFTFLEET_INSTALLS__FOLDER)",
        )
    if os.access(existing, os.W_OK | os.X_OK):
        return ok(
            "versions", f"{folder}: {many}" + ("" if existing == folder else ", not made yet")
        )
    if there and settings.installs.installer == "none":
        # As in an image that has them: nobody is to add any.
        return ok("versions", f"{folder}: {many}, and nothing is to install more")
    mend = (
        "name a folder that can be written to in installs.folder (DRIFTFLEET_INSTALLS__FOLDER), or "
        "install ahead whatever roots ask for: driftfleet versions --install TARGET"
    )
    return warn("versions", f"{folder} is read-only: {many}, and no more can be", mend)
