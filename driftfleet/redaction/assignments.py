"""Values that something is set to whose name says that it is a secret."""

import re
from collections.abc import Iterator

from driftfleet.redaction.known import SHORTEST_SECRET
from driftfleet.redaction.names import WORDS, is_about, is_weak
from driftfleet.redaction.randomness import looks_random
from driftfleet.redaction.spans import GAP, Span
from driftfleet.redaction.values import LONGEST_JUDGED, is_secret, strings_in_brackets, value_at

_ARN = re.compile(r"arn:aws[\w-]{0,12}:[a-z0-9-]{1,40}:[a-z0-9-]{0,30}:[0-9]{0,12}:[^\s\"'`=<>]*+")
# What closes a name, and what leads to its value: `"`, `\"`, `']`; `=`, `:`, `=>`, ` is `, ` -> `.
_CLOSE = r"(?:\\{0,3}[\"'`]\]?|\]|%22|&quot;|&#34;|\\u0022)?"
_SIGN = (
    rf"(?::?{GAP}{{1,40}}(?P<verb>is|was|->|to){GAP}{{1,8}}(?:cty\.\w{{1,20}}\()?(?=\\*[\"'`])"
    rf"|{GAP}{{0,40}}(?P<sign>=>|:=|\?=|\+=|=|:|%3D|%3A){GAP}{{0,40}}(?:(?<=:)\[(?=[^\"'\[\]\s]))?"
    rf"|(?P<blank>{GAP}{{1,40}})"
    rf"|(?P<tag>>)(?=[^<\s]))"
)
_NAME = re.compile(
    rf"(?P<word>{WORDS})(?P<rest>s?(?:[_.-]?[A-Za-z0-9]{{1,32}}+){{0,8}}){_CLOSE}{_SIGN}",
    re.I | re.A,
)
_SCHEME = re.compile(
    r"(?:Basic|Bearer|Token|Digest|ApiKey|AWS4-HMAC-SHA256|GenieKey|SSWS)\s+", re.I
)
_NEXT = re.compile(
    rf"\\*[\"'`]?\)?,?{GAP}{{1,8}}(?:->|but{GAP}{{1,8}}now){GAP}{{1,8}}(?:cty\.\w{{1,20}}\()?(?=\\*[\"'`])"
)
# ODBC's way to quote.
_BRACED = re.compile(r"\{(?P<value>[^\s\"{}=$][^\"{}\n=]{0,128})\}(?=;|\s|$)")
_Q = r"\\{0,3}[\"']?"
# `{name = "PASSWORD", value = "..."}`, as lists of variables have it.
_NAMED_VALUE = re.compile(
    rf"name{_Q}\s?[=:]\s?{_Q}[\w.-]{{0,60}}?(?P<word>{WORDS})(?P<rest>[\w.-]{{0,40}}){_Q}"
    rf"(?:{GAP}|,|\\n){{0,20}}{_Q}value{_Q}{GAP}{{0,8}}[=:]{GAP}{{0,8}}",
    re.I,
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
_OPEN_TAG = re.compile(r"<[\w:.-]*$")
# `aws_x.y.z`, as code has it; `operation=Configure`, which the sentence goes on with.
_TRAVERSAL = re.compile(r"[a-z]{1,20}_\w{1,60}\.[a-z_]\w*(?:[.\[]|\s|$)")
_OTHER_FIELD = re.compile(r"[A-Za-z_.]{3,}=[\w.-]+$")
_HEX = re.compile(r"[0-9a-fA-F]+")
_HASH_LENGTH = 32
_OPENING = re.compile(r"\\*[\"'`]")
_LINE = re.compile(r"[^\r\n\"'\]]+")
_WORDLIKE = re.compile(r"[A-Z_]+|[A-Za-z][a-z]*(?:[-_'.][A-Za-z]?[a-z]*)*[?!.,:;]*")
_OPTION = re.compile(r"(?:^|[\s\"'=])--?[\w-]*$")
_PATH = re.compile(r"[\w.-]/[\w./-]{0,60}$")
_PATH_REACH = 80
_START_OF_LINE = re.compile(r"(?:^|\n)[ \t│|+~-]*[\w.\"'-]*$")
# SQL, and tools that tell what was wrong with which.
_PASSWORD = re.compile(r"passw|pwd|passphrase|pass$", re.I)


def assignment_spans(text: str) -> Iterator[Span]:
    """Where the values stand that are told to be secrets."""
    position = bracketed = 0
    for match in _names(text):
        if match.start() < position:
            continue
        if match["sign"] == "=" and (braced := _BRACED.match(text, match.end())):
            yield braced.span("value")
            position = braced.end()
        elif match["sign"] and text[match.end() : match.end() + 1] in ("[", "{"):
            # Once: what is in it belongs to the outer one.
            if match.start() >= bracketed:
                strings, bracketed = strings_in_brackets(text, match.end())
                yield from (s for s in strings if is_secret(text, s, quoted=True))
        else:
            for span in _values(text, match):
                yield span
                position = max(position, span[1])
    for match in _NAMED_VALUE.finditer(text):
        span, quoted = value_at(text, match.end())
        if not is_about(match["word"], match["rest"]) and is_secret(text, span, quoted=quoted):
            yield span


def _names(text: str) -> Iterator[re.Match[str]]:
    """Where names stand that make a secret of what follows. One may begin inside of another."""
    places = iter(_ARN.finditer(text))
    place = next(places, None)
    position = 0
    while match := _NAME.search(text, position):
        while place and place.end() <= match.start():
            place = next(places, None)
        position = max(match.end("word"), match.start() + 1)
        if place and place.start() <= match.start():
            position = place.end()
            continue
        # The tag of an image is no value.
        before = max(0, match.start() - _PATH_REACH), match.start()
        is_tag = match["sign"] == ":" and _PATH.search(text, *before)
        is_other = is_about(match["word"], match["rest"]) and not _is_role_secret(text, match)
        if not is_tag and not is_other:
            yield match


def _is_role_secret(text: str, match: re.Match[str]) -> bool:
    """Vault's `secret_id` is one, and a UUID; AWS's is a name. Google's `private_key_id`."""
    if match["rest"].lower().strip("_-") != "id":
        return False
    if match["word"].lower().startswith("private"):
        return True
    is_uuid = _UUID.search(text, match.end(), match.end() + 40)
    return match["word"].lower() == "secret" and is_uuid is not None


def _values(text: str, match: re.Match[str]) -> Iterator[Span]:
    start = match.end()
    word = match["word"].lower()
    if match["sign"] and word in ("cookie", "authorization"):
        yield from _header(text, start, word)
        return
    if scheme := _SCHEME.match(text, start):
        start = scheme.end()
    if match["tag"]:
        if not _OPEN_TAG.search(text, max(0, match.start() - 60), match.start()):
            return
        end = text.find("<", start)
        span, quoted = (start, end if end >= 0 else len(text)), True
    else:
        span, quoted = value_at(text, start)
    if not is_secret(text, span, quoted=quoted) or not _is_meant(text, match, span, quoted=quoted):
        return
    yield span
    # A change: `"old" -> "new"`.
    while following := _NEXT.match(text, span[1]):
        span, quoted = value_at(text, following.end())
        if not is_secret(text, span, quoted=quoted):
            return
        yield span


def _header(text: str, start: int, word: str) -> Iterator[Span]:
    """The whole line: a cookie is several things, and some schemes are of several words."""
    if scheme := _SCHEME.match(text, start):
        start = scheme.end()
    quote = _OPENING.match(text, start)
    line = _LINE.match(text, quote.end() if quote else start)
    if not line or not is_secret(text, line.span(), quoted=bool(quote)):
        return
    value = line.group().rstrip()
    if len(value) <= LONGEST_JUDGED:
        is_word = not scheme and _WORDLIKE.fullmatch(value.strip().split(" ")[0])
        if "=" not in value if word == "cookie" else is_word:
            return
    yield line.start(), line.start() + len(value)


def _is_meant(text: str, match: re.Match[str], span: Span, *, quoted: bool) -> bool:
    """Whether a bare value is one: it may be the sentence that goes on."""
    value = text[slice(*span)]
    if len(value) > LONGEST_JUDGED:
        return True
    if "${" in value and match["word"].lower().startswith("connection"):
        return False
    if is_weak(match["word"]) and not (len(value) >= 16 and any(c.isdigit() for c in value)):
        return False
    if match["blank"]:
        return _is_meant_after_blank(text, match, value, quoted=quoted)
    return bool(quoted or match["verb"] or match["tag"]) or _is_meant_bare(text, match, span)


def _is_meant_bare(text: str, match: re.Match[str], span: Span) -> bool:
    value = text[slice(*span)]
    if match["sign"] not in (":", "%3A"):
        return not _TRAVERSAL.match(text, span[0]) and (len(value) > 2 or not value.isdigit())
    if _OTHER_FIELD.match(value):
        return False
    if not _WORDLIKE.fullmatch(value):
        return len(value) >= SHORTEST_SECRET or any(c.isdigit() for c in value)
    # As in YAML: nothing else in the line.
    ends_line = text[span[1] : span[1] + 1] in ("", "\n", "\r")
    begins = _START_OF_LINE.search(text, max(0, match.start() - 80), match.start())
    return ends_line and begins is not None and len(value) >= SHORTEST_SECRET


def _is_odd(value: str) -> bool:
    """No word, name, path or sentence."""
    name = re.fullmatch(r"[a-z0-9]{1,20}(?:[-_.][a-z0-9]{1,20})+", value)
    return not name and not _WORDLIKE.fullmatch(value) and "/" not in value and " " not in value


def _is_meant_after_blank(text: str, match: re.Match[str], value: str, *, quoted: bool) -> bool:
    before = text[max(0, match.start() - 60) : match.start()]
    if _OPTION.search(before) and not match["rest"].startswith(" "):
        return not value.startswith("-")
    if _UUID.fullmatch(value) or (len(value) >= _HASH_LENGTH and _HEX.fullmatch(value)):
        return True
    if not _PASSWORD.search(match["word"]) and match["word"].lower() != "identified by":
        # `token "github"` is a name as often as not.
        return quoted and len(value) >= 8 and (looks_random(value) or _is_odd(value))
    if quoted:
        return True
    if match["rest"] not in ("", "s"):
        return False
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return (
        mixed
        and len(value) >= SHORTEST_SECRET
        and not re.fullmatch(r"\d+-\w+|v\d[\d.]*|.*/.*", value)
    )
