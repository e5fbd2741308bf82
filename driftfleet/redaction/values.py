"""What follows a name: where a value begins and ends, quoted or not, and whether it is a secret."""

import re

from driftfleet.redaction.spans import Span, without_stop

_QUOTE = re.compile(r"\\*[\"'`]|&(?:quot|#34|#39);|%22|\\u0022")
_PLAIN = re.compile(r'"(?:[^"\\\n]|\\[^\n]){0,20000}"')
_HEREDOC = re.compile(r"<<[-~]?[\"']?(?P<tag>[A-Za-z_]\w{0,30})[\"']?[ \t]*(?:\r?\n|\\n)")
_BRACKET_OR_QUOTE = re.compile(r"(?P<quote>\\*[\"'`])|(?P<bracket>[\[\]{}])|\n[ \t│]*\n")
_KEY_SIGN = re.compile(r"\s{0,20}[=:]")
_IN_BRACKETS = 4_000
_ACROSS_LINES = 400
_LINES_ACROSS = 4
# Blanks end a bare value, and so does what begins the next one: `,`, `;` and `&` may be in it.
_BARE = re.compile(
    r"(?:[^\s\"'`,;&<>\\│)\]}]++|[,;&](?=[^\s,;&])(?!amp;|quot;|#3|[\w .-]{1,40}=)|<(?!/)"
    r"|[)\]}>](?=[^\s,;\"'&<)\]}.])"
    r"|[\"'`](?=[^\s,;)\]}&\"'`:.])|\\(?![\"'nrt]))+"
)
_MOST_BARE = 100_000
# No secret, but how one is found, or that there is none.
_REFERENCE = re.compile(
    r"(?:var|local|data|module|each|self|path|random_\w+|aws_\w+|azurerm_\w+|google_\w+|vault_\w+)"
    r"[.\[].*|\w+\(.*|\$\{[^}]*\}|\$\w+|<[\w -]+>|\{\{.*|%[a-z]|\.\.\.|…",
    re.S,
)
_PLACE = re.compile(
    r"(?:env|file|secretsmanager|vault|ssm|op|gcpsm)://\S*|arn:aws[\w-]*:\S*|https?://[^\s@?]*"
    r"|\S*@sha256:[0-9a-f]+|projects/[\w-]+/(?:secrets|locations)/.*|/subscriptions/.*|/var/run/.*|~/.*|\.{1,2}/.*"
    r"|/(?:[\w.@-]+/)+[\w.@-]*",
    re.I,
)
_NOTHING = re.compile(
    r"\*+|x+|true|false|null|nil|none|\(?(?:sensitive(?: value)?|known after apply|redacted|hidden"
    r"|unset|empty|write-only attribute)\)?|\[?(?:redacted|masked|hidden|filtered)\]?|<redacted>"
    r"|required|optional|missing|invalid|string|undefined|unknown|-+|_+|\.+"
    r"|deprecated|expired|denied"
    r"|(?:un|not[ _-])?authorized|forbidden|rejected|malformed|found|failed|default"
    r"|disabled|enabled|<[a-z/][\w:./-]*>?.*",
    re.I,
)
_UNTOLD = re.compile(r"\((?:known after apply|redacted|(?:sensitive\b|write-only)[^)\n]{0,40})\)")
LONGEST_JUDGED = 300


def value_at(text: str, position: int) -> tuple[Span, bool]:
    """The value that begins at ``position``, and whether it is quoted."""
    if quote := _QUOTE.match(text, position):
        return (quote.end(), _closing(text, quote)), True
    if heredoc := _HEREDOC.match(text, position):
        closing = re.compile(rf"^[\s│|]*{heredoc['tag']}\b|\Z", re.M).search(text, heredoc.end())
        return (heredoc.end(), closing.start() if closing else len(text)), True
    bare = _BARE.match(text, position, position + _MOST_BARE)
    if bare is None:
        return (position, position), False
    return without_stop(text, *bare.span()), False


def strings_in_brackets(text: str, position: int) -> tuple[list[Span], int]:
    """The strings of the list or object that begins at ``position``, without keys, and its end."""
    found: list[Span] = []
    position += 1
    end = min(len(text), position + _IN_BRACKETS)
    depth = 1
    while depth and (match := _BRACKET_OR_QUOTE.search(text, position, end)):
        position = match.end()
        if match["bracket"]:
            depth += 1 if match["bracket"] in "[{" else -1
        elif match["quote"]:
            span, _ = value_at(text, match.start())
            position = span[1] + len(match["quote"])
            if not _KEY_SIGN.match(text, position):
                found.append(span)
        else:
            # An empty line: what was open is somewhere else.
            return found, position
    return found, max(position, end) if depth else position


def is_secret(text: str, span: Span, *, quoted: bool) -> bool:
    """Whether a value that a name calls a secret is one, and not a word about it."""
    start, end = span
    if _UNTOLD.match(text, start):
        return False
    if end - start > LONGEST_JUDGED:
        return True
    value = text[start:end].strip()
    if not value or _NOTHING.fullmatch(value) or value.startswith("***"):
        return False
    if _PLACE.fullmatch(value) or _REFERENCE.fullmatch(value):
        return False
    return quoted or not (value.isdigit() and len(value) < 6)


def _closing(text: str, quote: re.Match[str]) -> int:
    """Where a quoted value ends; one that nobody closes ends with its line."""
    opener = quote.group()
    if opener == '"' and (plain := _PLAIN.match(text, quote.start())):
        return plain.end() - 1
    end_of_line = text.find("\n", quote.end())
    line_end = len(text) if end_of_line < 0 else end_of_line
    limit = min(len(text), line_end + _ACROSS_LINES)
    slashes = len(opener) - 1 if opener[-1] in "\"'`" else 0
    position = text.find(opener[-1] if slashes or len(opener) == 1 else opener, quote.end(), limit)
    while position >= 0:
        if not slashes and len(opener) > 1:
            return position
        before = position
        while before > quote.end() and text[before - 1] == "\\":
            before -= 1
        escapes = position - before
        if (escapes <= slashes) if slashes else escapes % 2 == 0:
            across = text.count("\n", line_end, position)
            if across <= _LINES_ACROSS and _is_end(text, position):
                return before if slashes else position
            if across > _LINES_ACROSS:
                break
        position = text.find(opener[-1], position + 1, limit)
    return line_end


def _is_end(text: str, position: int) -> bool:
    """An apostrophe may be a part of the value."""
    following = text[position + 1 : position + 2]
    return text[position] != "'" or not following.isalnum()
