"""Names of sweeps: they sort by time, and name files and keys."""

import re
import secrets
from datetime import UTC, datetime

_FORM = re.compile(r"[a-z]+-([0-9]{8}T[0-9]{6})-[0-9a-f]{6}")


def new_sweep_id(kind: str, now: datetime) -> str:
    """``KIND-YYYYmmddTHHMMSS-RANDOM``; ``kind`` is who asked, such as ``enqueue``."""
    return f"{kind}-{now.astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def asked_at(sweep_id: str) -> datetime | None:
    """When a sweep was asked for, to the second; None where its name doesn't say so."""
    match = _FORM.fullmatch(sweep_id)
    try:
        return datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if match else None
    except ValueError:
        # Anybody may have sent it.
        return None
