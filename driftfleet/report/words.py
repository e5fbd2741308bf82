"""How values read on a page."""

import re
from datetime import UTC, datetime, timedelta

from jinja2 import pass_context
from jinja2.runtime import Context

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
# Controls, what has no width, and what turns the direction of the text around it.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """Text in one line in which nothing hides: what can't be seen is there as ``⟨202E⟩``."""
    return _UNSEEN.sub(lambda match: f"⟨{ord(match.group()):04X}⟩", text)


def visible_lines(text: str) -> str:
    """`visible`, for a block that keeps its lines and tabs."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in lines)


def length(span: timedelta) -> str:
    """One number and its unit: ``12 min``, ``5 h``, ``134 d``."""
    seconds = max(int(span.total_seconds()), 0)
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    return f"{seconds // _HOUR} h" if seconds < 2 * _DAY else f"{seconds // _DAY} d"


def duration(seconds: float) -> str:
    """What something took: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``1 h 02 min``."""
    whole = round(seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"


def moment(at: datetime) -> str:
    """``2026-11-29 14:02 UTC``."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def iso(at: datetime) -> str:
    """As programs read it, to the second, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def number(count: int) -> str:
    """``12,345``."""
    return f"{count:,}"


def size(count: int) -> str:
    """Bytes: ``812 B``, ``1.2 MB``."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return (
        f"{value:.1f} {units[0]}" if value < 10 and units[0] != "B" else f"{value:.0f} {units[0]}"
    )


@pass_context
def age(context: Context, at: datetime) -> str:
    """How long it was ago when the page was made."""
    return length(context["edition"].at - at)
