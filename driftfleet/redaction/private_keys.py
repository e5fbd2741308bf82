"""Private keys: in their armour, cut off, in one line with escapes, and without armour."""

import re
from collections.abc import Iterator

from driftfleet.redaction.randomness import looks_random
from driftfleet.redaction.spans import GAP, Span

_GAP = rf"(?:{GAP}|\\[nrt]){{0,40}}"
_KIND = rf"(?:[A-Z0-9]{{1,12}}{_GAP}){{0,4}}PRIVATE{_GAP}KEY(?:{_GAP}BLOCK)?"
_BEGIN = re.compile(rf"-----BEGIN{_GAP}{_KIND}-----")
_END = re.compile(rf"-----END{_GAP}{_KIND}-----")
# A quote ends the string that a key is in, unless the next one goes on with it.
_END_OR_QUOTE = re.compile(
    rf"(?P<quote>[\"'](?![\"'\s,+\\n│]{{0,12}}[A-Za-z0-9+/=]{{32}}))|{_END.pattern}"
)
# Public ones begin so, too: "-----BEGIN CERTIFICATE", "-----BEGIN PUBLIC KEY".
_ENCODED = r"LS0tLS1CRUdJTi(?!BDRVJU|BQVUJM|BTU0gy)[A-Za-z0-9+/=]{4,}+"
# DER of PKCS#1, of PKCS#8 and of EC; OpenSSH's magic. Lines of it may follow.
_DER = r"(?:MII[A-Za-z0-9+/]{2,5}IBA[AD]|MH[cg]CAQEE|MIGHAgEAM|b3BlbnNzaC1rZXktdjE)"
_BREAK = r"(?:[\s│]|\\[nrt]){1,12}"
_BARE = re.compile(
    rf"{_ENCODED}|{_DER}[A-Za-z0-9+/=]{{8,}}+(?:{_BREAK}[A-Za-z0-9+/=]{{32,}}+){{0,200}}"
    rf"(?:{_BREAK}[A-Za-z0-9+/]{{2,64}}={{1,2}})?"
    r"|AGE-SECRET-KEY-1[A-Z0-9]{20,}+"
    r"|PuTTY-User-Key-File-[0-9][^\0]*"
)
_LINE = re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{40,}+={0,2}")
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\ \n\r\t│|")


def private_key_spans(text: str) -> Iterator[Span]:
    """Where keys stand. One without its end goes on to the end of its string, or of the text."""
    position = 0
    while begin := _BEGIN.search(text, position):
        end = _END_OR_QUOTE.search(text, begin.end())
        position = len(text) if not end else end.start() if end["quote"] else end.end()
        yield begin.start(), position
    position = 0
    for end in _END.finditer(text):
        yield _beginning(text, end.start(), position), end.end()
        position = end.end()
    for match in _BARE.finditer(text):
        yield match.span()
    if position or _BEGIN.search(text):
        # What is left of one that was torn apart.
        yield from (m.span() for m in _LINE.finditer(text) if looks_random(m.group()))


def _beginning(text: str, end: int, first: int) -> int:
    """Where the body begins of a key whose beginning was cut off."""
    start = end
    while start > first and text[start - 1] in _BASE64:
        start -= 1
    # Its words belong to the sentence before.
    words = re.compile(r"(?:[A-Za-z]{1,24}[\s│|]{1,8}){0,50}").match(text, start, end)
    return max(start, words.end() if words else start)
