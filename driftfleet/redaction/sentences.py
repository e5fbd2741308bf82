"""Passwords in sentences and in command lines, where no sign leads to them."""

import re
from collections.abc import Iterator

from driftfleet.redaction.spans import GAP, Span, without_stop

# `the password ... is not valid; got X`
_GOT = re.compile(
    rf"\b(?:got|value|received|given|found|actual|was){GAP}{{1,8}}[\"'`]?"
    r"(?P<value>[^\s\"'`│,;\\]{8,200})"
)
# Signs that stand in passwords, and hardly in names, paths and versions.
_ODD = re.compile(r"(?<![^\s\"'`(│])(?P<value>[^\s\"'`│,;:/@\\]{8,64})(?![^\s\"'`),.;│])")
_SIGNS = re.compile(r"[!#$%^*~?]")
_PASSWORD = re.compile(r"passw|pwd|passphrase", re.I)
_REACH = 140
# Options whose letter is no word; `-p` alone is a port as often as not.
_COMMAND = re.compile(
    r"\b(?:(?:sqlcmd|osql|bcp)\b[^\n]{0,160}?\s-P|redis-cli\b[^\n]{0,160}?\s-a"
    r"|(?:mysql|mysqldump|mysqladmin|sshpass|login|twine)\b[^\n]{0,160}?\s-p"
    r"|sudo\b[^\n]{0,60}?<<<|ldap\w{3,8}\b[^\n]{0,160}?\s-w)"
    r"[ ]?\\*[\"']?(?P<value>[^\s\"'\\-][^\s\"'\\]*)"
)
_LINES = re.compile(r"(?:^|\n|\\n)[\s│-]{0,40}[a-z_][\w-]{0,31}:(?P<value>[^\s\"'\\]{4,})")
# A line of PostgreSQL's .pgpass: host:port:database:user:password
_PGPASS = re.compile(
    r"(?<![\w.-])[\w.-]{1,80}:(?:[0-9]{4,5}|\*):[^:\s]{1,60}:[^:\s]{1,60}:(?P<value>\S+)"
)
_CLOUD_CONFIG = "chpasswd"
_CLOUD_CONFIG_REACH = 400


def sentence_spans(text: str) -> Iterator[Span]:
    """Where a password stands that only what is said before tells of."""
    for pattern in (_COMMAND, _PGPASS):
        for match in pattern.finditer(text):
            yield match.span("value")
    position = text.find(_CLOUD_CONFIG)
    while position >= 0:
        end = position + _CLOUD_CONFIG_REACH
        yield from (m.span("value") for m in _LINES.finditer(text, position, end))
        position = text.find(_CLOUD_CONFIG, end)
    for word in _PASSWORD.finditer(text):
        yield from _after(text, word.end())


def _after(text: str, start: int) -> Iterator[Span]:
    end = min(len(text), start + _REACH)
    for match in _GOT.finditer(text, start, end):
        if _is_mixed(match["value"]) and "/" not in match["value"]:
            yield without_stop(text, *_whole(text, match.span("value")))
    for match in _ODD.finditer(text, start, end):
        if _SIGNS.search(match["value"]) and _is_mixed(match["value"]):
            yield without_stop(text, *match.span("value"))


def _whole(text: str, span: Span) -> Span:
    """What the reach has cut off belongs to it."""
    start, end = span
    while end < len(text) and not text[end].isspace() and text[end] not in "\"'`│,;\\":
        end += 1
    return start, end


def _is_mixed(value: str) -> bool:
    return any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
