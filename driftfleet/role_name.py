"""Roles of AWS, as parts of the settings name them, and how long one can be had."""

import re

_ROLE = re.compile(r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)

# STS gives a role for no less; and for no more to who has its keys from a role itself, as all have
# that run on AWS: docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html, "Role chaining".
LEAST_SECONDS, MOST_SECONDS = 900, 3600
# After its last second a check still ends programs that use the keys.
MARGIN_SECONDS = 60


def require_role(role: str, such_as: str) -> str:
    """``role`` where it can be a role's ARN, such as ``such_as``'s. Raises ``ValueError``."""
    if not _ROLE.fullmatch(role):
        raise ValueError(f"must be a role's ARN, such as arn:aws:iam::123456789012:role/{such_as}")
    return role


def require_external_id(external_id: str) -> str:
    """``external_id`` where STS takes it as one. Raises ``ValueError``."""
    if not _EXTERNAL_ID.fullmatch(external_id):
        raise ValueError("must be 2 to 1224 letters, digits or any of '+=,.@:/-_'")
    return external_id
