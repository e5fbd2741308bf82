"""The one redactor: what leaves the process goes through it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from driftfleet.redaction.assignments import assignment_spans
from driftfleet.redaction.known import KnownSecrets
from driftfleet.redaction.logins import login_spans
from driftfleet.redaction.private_keys import private_key_spans
from driftfleet.redaction.randomness import random_spans
from driftfleet.redaction.sentences import sentence_spans
from driftfleet.redaction.spans import MASK, Span, masked, merged
from driftfleet.redaction.tokens import token_spans
from driftfleet.redaction.urls import url_spans

_SHAPES: tuple[Callable[[str], Iterator[Span]], ...] = (
    private_key_spans,
    token_spans,
    url_spans,
    assignment_spans,
    login_spans,
    random_spans,
    sentence_spans,
)
_MOST_ROUNDS = 4
_LEAST_REPEATED, _MOST_REPEATED = 8, 50
# What any of the shapes needs: a sign that leads to a value, a word that tells of one, or a long
# run. Most fields of a log line have none, and each shape would look all through them.
_MAY_HOLD = re.compile(
    r"[=:\"'`@<$%]|[\w+/.~-]{16}|pass|pwd|token|secret|key|cred|auth|bearer|basic|cookie|psk|\bpw",
    re.I,
)
# Nothing shorter is a secret of any form.
_SHORTEST_TEXT = 6


class Redactor:
    """Masks known secrets and what looks like one in text that leaves the process."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = KnownSecrets(secrets)

    def __call__(self, text: str) -> str:
        """Mask a text; one that is masked stays as it is."""
        if len(text) < _SHORTEST_TEXT:
            return text
        for _ in range(_MOST_ROUNDS):
            shown = masked(text, self._spans(text))
            if shown == text:
                break
            text = shown
        return text

    def _spans(self, text: str) -> list[Span]:
        found = list(self._known.spans(text))
        if not _MAY_HOLD.search(text):
            return found
        for spans in _SHAPES:
            found += spans(text)
        return found + list(_repeated(text, found))


def _repeated(text: str, found: Iterable[Span]) -> Iterator[Span]:
    """What is a secret in one place is one in the others, where no name tells of it."""
    values = {text[start:end] for start, end in found if end - start >= _LEAST_REPEATED}
    odd = sorted(v for v in values if not v.isalpha() and MASK not in v)
    for value in odd[:_MOST_REPEATED]:
        position = text.find(value)
        while position >= 0:
            yield position, position + len(value)
            position = text.find(value, position + len(value))


def shaped(text: str) -> list[str]:
    """What looks like a secret in a text."""
    spans = [span for find in _SHAPES for span in find(text)]
    return [text[start:end] for start, end in merged(spans)]


def distinct(texts: Iterable[str], redact: Callable[[str], str]) -> Mapping[str, str]:
    """Each text masked, so that two of them still differ: `u["***1"]` and `u["***2"]`.

    The numbers tell nothing of what is masked but its place in the order.
    """
    shown: dict[str, str] = {}
    given = sorted(set(texts))
    groups: dict[str, list[str]] = {}
    for text in given:
        groups.setdefault(redact(text), []).append(text)
    taken = set(groups)
    for mask, group in groups.items():
        if len(group) == 1:
            shown[group[0]] = mask
            continue
        number = 0
        for text in group:
            while (numbered := _numbered(mask, number := number + 1)) in taken:
                pass
            taken.add(numbered)
            shown[text] = numbered
    return shown


def _numbered(text: str, number: int) -> str:
    return text.replace(MASK, f"{MASK}{number}", 1)
