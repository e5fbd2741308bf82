"""Lines that hold no secret: made from templates, recorded, and of our own documentation."""

import json
import random
import re
import string
from collections.abc import Iterator
from pathlib import Path

from tests.redaction.making import BASE, HEX, LETTERS, LOWER, UPPER, some, uuid
from tests.redaction.planted import HERE, RECORDED

DOCS = HERE.parents[1] / "docs" / "errors.md"
_PLACE = re.compile(r"«([A-Za-z]+?)([0-9]*)»")
_WORDS = {"three": 3, "five": 5, "six": 6, "eight": 8, "nine": 9, "ten": 10}
_ALPHABETS = {
    "hex": HEX,
    "HEX": HEX.upper(),
    "digits": string.digits,
    "UPPER": UPPER,
    "lower": LOWER,
    "base": BASE,
    "web": LETTERS,
}
ROUNDS = 3


def templated(file: str = "innocent.txt", rounds: int = ROUNDS) -> Iterator[str]:
    """The lines of a file, each with ids of its own."""
    lines = [x for x in (HERE / file).read_text().splitlines() if x and not x.startswith("# ")]
    for number in range(rounds):
        for line in lines:
            rng = random.Random(f"{file} {number} {line}")
            yield _PLACE.sub(lambda m, rng=rng: _made(m, rng), line)  # type: ignore[misc]


def _made(match: re.Match[str], rng: random.Random) -> str:
    kind, length = match.groups()
    if kind == "uuid":
        return uuid(rng)
    if kind == "account":
        return some(string.digits, 12)(rng)
    if kind in _WORDS:
        alphabet = LETTERS if kind in ("six", "nine") else LOWER
        return some(alphabet, _WORDS[kind])(rng)
    return some(_ALPHABETS[kind], int(length or 12))(rng)


def recorded_messages() -> Iterator[str]:
    """Every line that the recorded failures hold, and the messages inside of those in JSON."""
    for path in sorted(RECORDED.glob("*.json")):
        recording = json.loads(path.read_text())
        for line in [*recording["stdout"], *recording["stderr"]]:
            if line.strip():
                yield line
            if line.startswith("{"):
                body = json.loads(line).get("diagnostic", {})
                yield from filter(None, (body.get("summary"), body.get("detail")))


def documented(path: Path = DOCS) -> Iterator[str]:
    """The lines of a page of ours."""
    yield from filter(None, map(str.strip, path.read_text().splitlines()))
