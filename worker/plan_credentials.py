"""The credentials of plans where `worker.plan_role` names a role: its keys, for one check."""

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from driftfleet.errors import CheckFailed, RoleRefused
from driftfleet.jobs import Job
from driftfleet.results import ErrorKind
from driftfleet.role_name import MARGIN_SECONDS
from driftfleet.settings import WorkerSettings

if TYPE_CHECKING:
    from driftfleet.assumed_role import Keys, Sts

# What STS takes, and CloudTrail then shows for all that the plan asks of AWS.
_NOT_PLAIN = re.compile(r"[^\w+=,.@-]+", re.ASCII)
_LONGEST_NAME = 64
_DIGEST = 8


class PlanRole:
    """Assumes the role anew for each check: what a plan has ends soon after it."""

    def __init__(self, sts: "Sts") -> None:
        self._sts = sts

    def keys(self, job: Job, seconds: float) -> "Keys":
        """Keys for a check that may take so long.

        Raises
        ------
        CheckFailed
            The role may not be assumed.
        ConfigurationError
            There is nothing to assume it with.
        RoleUnavailable
            Not this time.
        """
        try:
            return self._sts.assume(session_name(job), seconds + MARGIN_SECONDS)
        except RoleRefused as error:
            raise CheckFailed("init", ErrorKind.CREDENTIALS, error.message) from error


def plan_role_of(settings: WorkerSettings, environment: Mapping[str, str]) -> PlanRole | None:
    """The role that the settings name; None where plans have the worker's own credentials."""
    if settings.plan_role is None:
        return None
    # Imported where it is used: botocore takes its time, and most fleets need none of it here.
    from driftfleet.assumed_role import Role, Sts  # noqa: PLC0415

    role = Role(settings.plan_role, settings.plan_external_id)
    return PlanRole(Sts(role, "worker.plan_", environment))


def session_name(job: Job) -> str:
    """The repository and the root, as far as 64 plain characters tell them apart."""
    whole = f"{job.source.slug}/{job.root}"
    name = _NOT_PLAIN.sub("-", whole).strip("-.") or "root"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST]
    return f"{name[: _LONGEST_NAME - _DIGEST - 1]}-{digest}"


def variables_of(keys: "Keys") -> dict[str, str]:
    """The variables that a plan finds its credentials in."""
    return {
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_SESSION_TOKEN": keys.session_token,
    }
