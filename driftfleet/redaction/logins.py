"""What logs in without a name before it: in headers, and in options of curl's."""

import re
from collections.abc import Iterator

from driftfleet.redaction.spans import GAP, Span
from driftfleet.redaction.values import value_at

_BEARER = re.compile(
    rf"\b(?P<scheme>Bearer|Basic|SSWS|GenieKey){GAP}{{1,20}}(?P<value>[A-Za-z0-9+/_.~=-]{{8,}}+)",
    re.I,
)
_USER_OPTION = re.compile(
    r"(?:^|[\s\"'])(?:-u|-U|--(?:proxy-)?user)[ =]{0,4}(?:\\*[\"'])?[\w.@+-]{1,80}:"
    r"(?=[^\s\"'/])"
)
# `basic auth user:password`, Grafana's `auth=user:password`, SMTP's `AUTH LOGIN ...`
_AUTH = re.compile(
    rf"auth(?:=|{GAP}{{1,4}})[\w.@-]{{1,40}}:(?P<value>[^\s\"'/:]{{4,}})"
    rf"|AUTH{GAP}(?:LOGIN|PLAIN){GAP}(?P<code>[A-Za-z0-9+/=]{{8,}}+)"
)
# `Bearer authentication`, and the like.
_LONGEST_WORD = 24


def login_spans(text: str) -> Iterator[Span]:
    """Where credentials stand that a scheme or an option leads to."""
    for match in _BEARER.finditer(text):
        value = match["value"]
        if not value.isalpha() or len(value) > _LONGEST_WORD:
            yield match.span("value")
    for match in _AUTH.finditer(text):
        yield match.span(match.lastgroup or 0)
    for match in _USER_OPTION.finditer(text):
        yield match.end(), value_at(text, match.end())[0][1]
