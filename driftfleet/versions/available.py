"""Which versions are there, or could be: the seam between deciding and installing."""

import re
from collections.abc import Sequence
from typing import Protocol

from driftfleet.versions.constraint import Malformed, Version, parse_version
from driftfleet.versions.version_file import Program

# "Terraform v1.11.4", "OpenTofu v1.6.2", and before 0.12 in the middle of other lines. The text and
# not `-json`: that has `terraform_version` for both, and ones before 0.13 don't know it.
_PRINTED = re.compile(r"^(Terraform|OpenTofu) v(\S{1,100})", re.MULTILINE)


class AvailableVersions(Protocol):
    """The versions of each program. Asked only where something asks for a version."""

    def installed(self, program: Program) -> Sequence[Version]:
        """Those that can be run now, in any order."""

    def installable(self, program: Program) -> Sequence[Version]:
        """Those that an installer could get; empty where there is none.

        Asked only where what is installed doesn't decide: a remote may have to tell.

        Raises
        ------
        InstallUnavailable
            It did not, and what it told before is not known either.
        """


def parse_printed(output: bytes) -> tuple[Program, Version] | None:
    """What ``terraform version`` or ``tofu version`` printed; None where it is nothing of that."""
    match = _PRINTED.search(output[:10_000].decode("utf-8", "replace"))
    if match is None:
        return None
    try:
        return ("tofu" if match[1] == "OpenTofu" else "terraform"), parse_version(match[2])
    except Malformed:
        return None
