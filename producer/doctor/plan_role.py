"""What `driftfleet doctor` finds of the role that plans run as: it is assumed, once."""

from collections.abc import Mapping

from driftfleet.errors import ConfigurationError, RoleRefused, RoleUnavailable
from driftfleet.settings import Settings
from producer.doctor.findings import Finding, fail, ok

_SESSION_NAME = "driftfleet-doctor"
_TRUST = (
    "who runs workers needs sts:AssumeRole on the role of worker.plan_role, and the role's trust "
    "policy has to name them: docs/results.md#whose-keys"
)


def plan_role(settings: Settings, environment: Mapping[str, str]) -> Finding | None:
    """Whether it can be assumed; None where plans have the worker's own credentials."""
    arn = settings.worker.plan_role
    if arn is None:
        return None
    # Imported where it is used: botocore takes its time.
    from driftfleet.assumed_role import Role, Sts  # noqa: PLC0415

    role = Role(arn, settings.worker.plan_external_id)
    try:
        Sts(role, "worker.plan_", environment).assume(
            _SESSION_NAME, settings.limits.timeout_seconds
        )
    except RoleRefused as error:
        return fail("plan role", error.message, _TRUST)
    except ConfigurationError as error:
        return fail("plan role", error.message, "plans have no other credentials than the role's")
    except RoleUnavailable as error:
        return fail("plan role", error.message, "can this machine reach STS (sts.REGION)?")
    return ok("plan role", f"{arn} can be assumed; plans have its keys and no others")
