"""Logs of services that still run: the last line may be half written."""

import json
from pathlib import Path
from typing import Any


def whole_lines(log: Path) -> list[str]:
    """The lines that have ended; none where there is no log yet."""
    return log.read_text().rpartition("\n")[0].splitlines() if log.exists() else []


def events(log: Path, event: str) -> list[dict[str, Any]]:
    """The lines of JSON that tell of this event."""
    told = (json.loads(line) for line in whole_lines(log) if line.startswith("{"))
    return [one for one in told if one.get("event") == event]
