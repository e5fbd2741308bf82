"""Secrets in URLs: who logs in, and what signs."""

import re
from collections.abc import Iterator

from driftfleet.redaction.randomness import looks_random
from driftfleet.redaction.spans import MASK, Span

_AUTHORITY = re.compile(r"://(?P<rest>[^\s\"'`<>\\]++)")
_ENCODED_USER = re.compile(
    r"%3A%2F%2F(?P<user>(?:[^\s\"'<>&%/]|%(?!40|2F|26)){1,2000})%40", re.IGNORECASE
)
# Names that log in with a key or are asked for a password: no secret by themselves.
_PLAIN_USER = re.compile(r"[a-z][a-z_.-]{0,19}|\*{3}|[a-z]{1,8}-user|[a-zA-Z]{1,12}")
_OPEN_SCHEMES = ("ssh", "git", "sftp", "scp")
_WEB_SCHEMES = ("http", "https", "ssh", "git")
_QUERY = re.compile(
    r"(?:[?&]|%26|%3F|&amp;|\\u0026)(?:sig|signature|se?cret|x-amz-(?:signature|security-token"
    r"|credential)|x-goog-(?:signature|credential)|awsaccesskeyid|access_?token|id_token|code"
    r"|refresh_token|client_secret|auth|authorization|token|api_?key|apikey|password|pwd|jwt"
    r"|private_token|job_token|subscription-key|assertion)(?:=|%3D)"
    r"(?P<value>(?:(?!%26|&amp;|\\u0026)[^\s\"'`<>&#\\])+)",
    re.IGNORECASE,
)
_KEY_QUERY = re.compile(r"[?&]key=(?P<value>[^\s\"'`<>&#\\]++)", re.IGNORECASE)
# In a header of AWS's, which terraform may have wrapped.
_SIGNED = re.compile(r"(?<![\w-])(?:Signature|Credential)=(?P<value>[\w/+=-]{16,}+)")
_INTERPOLATED = re.compile(r"[^:]*:\$\{[^}]*\}")
# user:password@tcp(host:3306)/name, as Go's MySQL driver has it
_DSN = re.compile(r"@(?:tcp|udp|unix)\(")
_LONGEST_USER = 300
_ENDS = frozenset(" \t\r\n\"'`<>│")


def url_spans(text: str) -> Iterator[Span]:
    """Where user-info, signatures and tokens of URLs stand."""
    for match in _AUTHORITY.finditer(text):
        yield from _user_info(text, match)
    for pattern in (_QUERY, _ENCODED_USER, _SIGNED):
        for match in pattern.finditer(text):
            if not match[match.lastgroup or 0].startswith(MASK):
                yield match.span(match.lastgroup or 0)
    for match in _KEY_QUERY.finditer(text):
        if looks_random(match["value"]):
            yield match.span("value")
    for match in _DSN.finditer(text):
        start = match.start()
        first = max(0, start - _LONGEST_USER)
        while start > first and text[start - 1] not in _ENDS:
            start -= 1
        if ":" in text[start : match.start()]:
            yield start, match.start()


def _user_info(text: str, match: re.Match[str]) -> Iterator[Span]:
    """Who logs in. There may be several URLs in what has no blank: a list, a proxy's address."""
    start, rest = match.start("rest"), match["rest"]
    begin = 0
    for part in rest.split("://"):
        if (length := _user_length(text, start + begin, part)) > 0:
            yield start + begin, start + begin + length
        begin += len(part) + 3


def _user_length(text: str, start: int, part: str) -> int:
    ends = [i for i in map(part.find, "/?#") if i >= 0]
    authority = part[: min(ends, default=len(part))]
    at = authority.rfind("@")
    if at < 0:
        # A password that nobody has encoded may hold a slash; a port holds none.
        user, colon, port = authority.partition(":")
        at = part.rfind("@")
        if not user or not colon or not port or port.isdigit() or at < 0:
            return 0
        return at
    scheme = text[max(0, start - 23) : max(0, start - 3)].lower()
    user = authority[:at]
    if ":" not in user:
        if scheme.endswith(_OPEN_SCHEMES) and not looks_random(user):
            return 0
        return 0 if _PLAIN_USER.fullmatch(user) else at
    # A database's name holds no such sign, its password may.
    last = at if scheme.endswith(_WEB_SCHEMES) else max(at, part.rfind("@"))
    return 0 if user == MASK or _INTERPOLATED.fullmatch(user) else last
