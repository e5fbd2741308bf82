"""Errors with a secret in them: written ones and recorded ones, in the forms that come to us."""

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.redaction.making import MAKERS, make

HERE = Path(__file__).parent
RECORDED = HERE.parent / "unit" / "recordings" / "failures"
_PLACE = re.compile(r"«(?P<kind>\w+)(?:\|(?P<form>\w+))?»")
_CARRIERS = (
    '  on main.tf line 12, in provider "x":\n  12:   password = "«password|json»"',
    'The value was: {"secret":"«odd_password|json»"}.',
    "fatal: unable to access 'https://ci:«password|url»@git.acme.io/x.git/': 403",
    "The request was signed with «aws_key_id» and is refused.",
    "Authorization: Bearer «jwt»",
    "«openssh_key»",
)


@dataclass(frozen=True)
class Planted:
    """A text, and the secrets in it as their owner knows them, by kind."""

    name: str
    text: str
    secrets: tuple[tuple[str, str], ...]
    around: str = ""


def written(file: str = "errors.txt", rounds: int = 1) -> Iterator[Planted]:
    """The errors of a file, each plain, in terraform's box, and as a line of ``plan -json``."""
    content = (HERE / file).read_text()
    errors = re.split(r"\n\n(?=Error)", content.split("\n\n", 1)[1].strip("\n"))
    for number in range(len(errors) * rounds):
        template = errors[number % len(errors)]
        for form in (plain, boxed, line_of_json):
            name = f"{file}:{number}:{form.__name__}"
            text, secrets = plant(template, name)
            yield Planted(name, form(text), secrets, _PLACE.sub("\0", template))


def recorded() -> Iterator[Planted]:
    """What the real terraform printed, with one more line that holds a secret."""
    for number, path in enumerate(sorted(RECORDED.glob("*.json"))):
        recording = json.loads(path.read_text())
        lines = [*recording["stdout"], *recording["stderr"]]
        carrier, secrets = plant(_CARRIERS[number % len(_CARRIERS)], path.stem)
        box = "│ " if any("│" in line for line in lines) else ""
        lines[len(lines) // 2 : len(lines) // 2] = [box + line for line in carrier.split("\n")]
        yield Planted(path.stem, "\n".join(lines), secrets)


def plant(template: str, seed: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Fill in the secrets: one of a kind is the same all over an error."""
    kinds = dict.fromkeys(m["kind"] for m in _PLACE.finditer(template))
    assert kinds.keys() <= MAKERS.keys(), kinds.keys() - MAKERS.keys()
    secrets = {kind: make(kind, seed) for kind in kinds}

    def fill(match: re.Match[str]) -> str:
        secret = secrets[match["kind"]]
        if match["form"] == "json":
            return json.dumps(secret)[1:-1]
        return quote(secret, safe="") if match["form"] == "url" else secret

    return _PLACE.sub(fill, template), tuple(secrets.items())


def plain(text: str) -> str:
    return text


def boxed(text: str) -> str:
    """As terraform prints to a terminal, or with colours off: prose wrapped, source as it is."""
    lines: list[str] = []
    for line in text.split("\n"):
        whole = line.startswith("  ") or len(line) < 78
        wrapped = textwrap.wrap(line, 76, break_long_words=False, break_on_hyphens=False)
        lines += [line] if whole else wrapped
    return "\n".join(["╷", *(f"│ {line}" for line in lines), "╵"])


def line_of_json(text: str) -> str:
    summary, _, detail = text.partition("\n")
    body = {"severity": "error", "summary": summary, "detail": detail}
    message = {"@level": "error", "@message": summary, "type": "diagnostic", "diagnostic": body}
    return json.dumps(message)


def leaked(shown: str, secret: str, around: str = "") -> str:
    """The part of a secret that still stands in a text: "" where there is none.

    Of a block of lines any line is one; blanks, boxes and escapes are none of the difference. What
    also stands ``around`` it is no part of it: `github_pat_` in an error about GitHub.
    """
    text, around = _bare(shown), _bare(around)
    for line in secret.split("\n"):
        if line.startswith("-----") or not line:
            continue
        for part in {_bare(line), _bare(json.dumps(line)), _bare(quote(line, safe=""))}:
            size = min(len(part), 6)
            for start in range(len(part) - size + 1):
                piece = part[start : start + size]
                if piece in text and piece not in around:
                    return piece
    return ""


def _bare(text: str) -> str:
    return re.sub(r'[\s\\│"]', "", text)
