"""Terraform's constraint grammar: a table that the real terraform is held against elsewhere."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.versions.constraint import (
    LONGEST_CONSTRAINT,
    Malformed,
    Version,
    parse_constraint,
    parse_version,
    satisfies,
)
from tests.constraints import ACCEPTED, BARRED, REFUSED


def fits(version: str, constraint: str) -> bool:
    return satisfies(parse_version(version), parse_constraint(constraint))


class TestTable:
    """The cases of `tests.constraints`, for terraform 1.11.4."""

    @pytest.mark.parametrize("constraint", ACCEPTED)
    def test_satisfied(self, constraint: str) -> None:
        assert fits("1.11.4", constraint)

    @pytest.mark.parametrize("constraint", BARRED)
    def test_not_satisfied(self, constraint: str) -> None:
        assert not fits("1.11.4", constraint)

    @pytest.mark.parametrize("constraint", REFUSED)
    def test_not_read(self, constraint: str) -> None:
        with pytest.raises(Malformed):
            parse_constraint(constraint)


@pytest.mark.parametrize(
    ("version", "constraint", "expected"),
    [
        ("1.5.7", "~> 1.5.0", True),
        ("1.6.0", "~> 1.5.0", False),
        ("1.6.0", "~> 1.5", True),
        ("2.0.0", "~> 1.5", False),
        ("2.0.0", "~> 1", True),
        ("0.12.3", "<0.12.3, >= 0.10.0", False),
        ("0.12.2", "<0.12.3, >= 0.10.0", True),
        ("1.12.0-beta1", ">= 1.12", True),
        ("1.12.0-beta1", "< 1.12", False),
        ("1.12.0-beta1", "= 1.12.0-beta1", False),
    ],
)
def test_other_versions(version: str, constraint: str, expected: bool) -> None:
    assert fits(version, constraint) is expected


@pytest.mark.parametrize("text", ["1.5.7", "v1.5.7", "01.5.07", "1.5.7-beta1", "1.5.7-rc.1"])
def test_exact_versions(text: str) -> None:
    assert parse_version(text).finalize_version() == Version(1, 5, 7)


@pytest.mark.parametrize(
    "text",
    ["", "1.5", "1", "1.5.7.1", "../../x", "1.5.x", " 1.5.7", "1.5.7\n", "1.5.7-", "1.5.7 1.6.0",
     "latest", "9" * 30 + ".0.0", "1.5.7-01", "١.٥.٧", "1.5.7/../../x", "v", "1" * 5000],
)  # fmt: skip
def test_what_is_no_exact_version(text: str) -> None:
    with pytest.raises(Malformed):
        parse_version(text)


def test_a_constraint_is_bounded_and_a_long_one_costs_no_more_than_its_length() -> None:
    with pytest.raises(Malformed, match="1,000"):
        parse_constraint(">= 1.0," * LONGEST_CONSTRAINT)
    for hostile in (
        "1" + ".1" * 499 + "!",
        " " * 999 + "!",
        "1-" + "a." * 490 + "!",
        "1-~" * 330 + "!",
    ):
        with pytest.raises(Malformed):
            parse_constraint(hostile)


def test_a_message_shows_no_control_characters() -> None:
    with pytest.raises(Malformed) as caught:
        parse_constraint(">= \x1b[31m1")
    assert "\x1b" not in str(caught.value)


SEGMENTS = st.lists(st.integers(0, 4), min_size=1, max_size=4)
VERSIONS = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))
PARTS = st.tuples(st.sampled_from(["", "=", "!=", ">", ">=", "<", "<=", "~>"]), SEGMENTS)


def documented(version: tuple[int, ...], operator: str, segments: list[int]) -> bool:
    """Terraform's documentation ("Version Constraints") read word by word.

    ``~>`` "allows only the right-most version component to increment". Missing ones are zero.
    """
    length = max(len(version), len(segments))
    padded = (*segments, *[0] * (length - len(segments)))
    own = (*version, *[0] * (length - len(version)))
    if operator == "~>":
        # Of a version's three components none is right-most of four.
        fixed = len(segments) - 1
        return len(segments) <= 3 and own >= padded and own[:fixed] == padded[:fixed]
    return {
        "": own == padded, "=": own == padded, "!=": own != padded, ">": own > padded,
        ">=": own >= padded, "<": own < padded, "<=": own <= padded,
    }[operator]  # fmt: skip


@given(VERSIONS, st.lists(PARTS, min_size=1, max_size=4), st.data())
def test_it_is_what_the_documentation_says(
    version: tuple[int, int, int], parts: list[tuple[str, list[int]]], data: st.DataObject
) -> None:
    blanks = st.sampled_from(["", " ", "\t", "  "])
    written = ",".join(
        f"{data.draw(blanks)}{operator}{data.draw(blanks)}{data.draw(st.sampled_from(['', 'v']))}"
        f"{'.'.join(map(str, segments))}{data.draw(blanks)}"
        for operator, segments in parts
    )
    expected = all(documented(version, *part) for part in parts)
    assert satisfies(Version(*version), parse_constraint(written)) is expected


@given(st.text(string.digits + ".,<>=!~v-+ abc\n", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parts = parse_constraint(text)
    except Malformed:
        return
    assert len(parts) == text.count(",") + 1
