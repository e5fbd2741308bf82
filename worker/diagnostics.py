"""Reads what terraform prints: JSON messages of ``plan -json``, and plain text of ``init``."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_BOX = re.compile(r"^\s*[╷│╵]\s?")
_HEAD = re.compile(r"(Error|Warning): ?(.*)")
_PLACE = re.compile(r"on (?P<file>\S.{0,4096}?) line (?P<line>[0-9]{1,9})")
_WITH = re.compile(r"with (?P<address>\S+?),?$")


@dataclass(frozen=True)
class Diagnostic:
    """One complaint of terraform's. ``file`` is relative to the root module.

    ``address`` is of the resource that it is about, or ``provider["..."]``.
    """

    severity: str
    summary: str
    detail: str = ""
    file: str | None = None
    line: int | None = None
    address: str | None = None


@dataclass(frozen=True)
class PlanMessages:
    """What ``terraform plan -json`` said. Addresses are in the order in which they came."""

    diagnostics: tuple[Diagnostic, ...] = ()
    drift_addresses: tuple[str, ...] = ()
    change_addresses: tuple[str, ...] = ()
    terraform_version: str = ""
    # It comes last: without it the plan did not come to its end.
    has_summary: bool = False

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that are no warnings."""
        return tuple(d for d in self.diagnostics if d.severity == "error")


def parse_messages(stdout: bytes) -> PlanMessages:
    """Read one JSON message a line and skip what is none: a provider may print anything."""
    diagnostics: list[Diagnostic] = []
    addresses: dict[str, list[str]] = {"resource_drift": [], "planned_change": []}
    version, has_summary = "", False
    for message in _messages(stdout):
        kind = message.get("type")
        if kind == "diagnostic":
            diagnostics.append(_diagnostic(_mapping(message.get("diagnostic"))))
        elif kind == "version":
            version = _text(message.get("terraform")) or _text(message.get("tofu"))
        elif kind == "change_summary":
            has_summary = True
        elif kind in addresses:
            resource = _mapping(_mapping(message.get("change")).get("resource"))
            addresses[kind].append(_text(resource.get("addr")))
    return PlanMessages(
        diagnostics=tuple(diagnostics),
        drift_addresses=tuple(addresses["resource_drift"]),
        change_addresses=tuple(addresses["planned_change"]),
        terraform_version=version,
        has_summary=has_summary,
    )


def _messages(stdout: bytes) -> Iterator[dict[str, Any]]:
    for line in stdout.split(b"\n"):
        if not line.lstrip().startswith(b"{"):
            continue
        try:
            message = json.loads(line.decode(errors="replace"))
        except (ValueError, RecursionError):
            continue
        if isinstance(message, dict) and isinstance(message.get("type"), str):
            yield message


def _diagnostic(body: dict[str, Any]) -> Diagnostic:
    place = _mapping(body.get("range"))
    line = _mapping(place.get("start")).get("line")
    return Diagnostic(
        severity=_text(body.get("severity")) or "error",
        summary=_text(body.get("summary")),
        detail=_text(body.get("detail")),
        file=_text(place.get("filename")) or None,
        line=line if isinstance(line, int) else None,
        address=_text(body.get("address")) or None,
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def tail_of(output: bytes, most_bytes: int) -> str:
    """The end of an output, from the beginning of a line, or of a word where it is one line.

    What the cut runs through may be a secret, which nobody would know by its half.
    """
    tail = output[-most_bytes:]
    if len(output) > most_bytes:
        tail = tail.partition(b"\n")[2] or tail.partition(b" ")[2]
    return tail.decode("utf-8", "replace")


def parse_text(output: bytes) -> tuple[Diagnostic, ...]:
    """Read the diagnostics out of what ``-no-color`` prints, in its box or, without one, plain.

    The lines of source that terraform quotes are left out: they may hold a literal secret.
    """
    text = _ANSI.sub("", output.decode(errors="replace"))
    return tuple(_parse_block(block) for block in _blocks(text.split("\n")))


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """The lines of each diagnostic, without its box.

    Plain diagnostics only end where the next one begins; a box ends itself, and may hold a line
    that looks like a beginning.
    """
    block: list[str] = []
    boxed = False
    for raw in lines:
        line = raw.rstrip()
        if line.startswith(("╷", "╵")):
            if block:
                yield block
            block, boxed = [], line.startswith("╷")
            continue
        bare = _BOX.sub("", line) if boxed else line
        if _HEAD.match(bare) and not (boxed and block):
            if block:
                yield block
            block = [bare]
        elif block:
            block.append(bare)
    if block:
        yield block


def _parse_block(lines: list[str]) -> Diagnostic:
    paragraphs = _paragraphs(lines)
    head = " ".join(paragraphs[0])
    match = _HEAD.match(head)
    assert match, "a block begins with its head"
    place: re.Match[str] | None = None
    address: re.Match[str] | None = None
    detail = paragraphs[1:]
    if detail and (place := _search(_PLACE, detail[0])):
        address = _search(_WITH, detail[0])
        detail = detail[1:]
    return Diagnostic(
        severity=match[1].lower(),
        summary=match[2].strip(),
        detail="\n\n".join("\n".join(p) for p in detail),
        file=place["file"] if place else None,
        line=int(place["line"]) if place else None,
        address=address["address"] if address else None,
    )


def _paragraphs(lines: list[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            found[-1].append(line.strip())
        elif found[-1]:
            found.append([])
    return [p for p in found if p]


def _search(pattern: re.Pattern[str], lines: list[str]) -> re.Match[str] | None:
    """The first line that begins so; only the place's own lines do, not the source below them."""
    return next((m for m in map(pattern.match, lines) if m), None)
