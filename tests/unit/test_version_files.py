"""Version files: what they ask for, and that nothing hostile in one is anything but an error."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.versions.pattern import PatternRefused, parse_pattern
from driftfleet.versions.version_file import (
    MOST_BYTES,
    Asked,
    parse_version_file,
    version_files,
)


def read(text: str | bytes, path: str = "envs/prod/.terraform-version") -> Asked:
    asked = parse_version_file(path, text.encode() if isinstance(text, str) else text)
    assert asked is not None
    return asked


@pytest.mark.parametrize(
    ("text", "want", "line"),
    [
        ("1.5.7", "1.5.7", 1),
        ("1.5.7\n", "1.5.7", 1),
        ("v1.5.7\r\n", "1.5.7", 1),
        ("\ufeff1.5.7\n", "1.5.7", 1),
        ("# a remark\n\n  1.5.7  # another\n", "1.5.7", 3),
        ("1.6.0-beta1\n", "1.6.0-beta1", 1),
        ("latest\n", "latest", 1),
        ("latest:^1\\.5\n", "latest:^1\\.5", 1),
        ("min-required\n", "min-required", 1),
        ("latest-allowed", "latest-allowed", 1),
        ("1.5.7\n1.6.0\n", "1.5.7", 1),
    ],
)
def test_what_a_version_file_asks_for(text: str, want: str, line: int) -> None:
    asked = read(text)
    assert (asked.program, asked.wants, asked.line, asked.error) == ("terraform", (want,), line, "")
    assert asked.place == f"envs/prod/.terraform-version:{line}"
    assert read(text, ".opentofu-version").program == "tofu"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("../../x", 1),
        ("\n../../../bin/terraform\n", 2),
        ("/usr/bin/terraform", 1),
        ("1.5.7/../../x", 1),
        ("1.5", 1),
        ("~> 1.5", 1),
        (">=1.5", 1),
        ("system", 1),
        ("latest:", 1),
        ("latest:(a+)+b", 1),
        ("latest:../x", 1),
        ("$(touch /tmp/x)", 1),
        ("# remark\n1.5.7 1.6.0", 2),
        ("1.5.7\0", 1),
        (b"1.5.\xff", 1),
        ("", 1),
        ("# nothing\n", 1),
        ("\x1b[2J", 1),
        ("9" * 300, 1),
        (b"1.5.7\n" + b"#" * MOST_BYTES, 1),
    ],
)
def test_all_else_is_an_error_with_its_place(text: str | bytes, line: int) -> None:
    asked = read(text)
    assert asked.wants == ()
    assert asked.error
    assert asked.error.isprintable()
    assert asked.line == line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("terraform 1.5.7\n", ("terraform", ("1.5.7",), 1)),
        ("python 3.12.1\n\nterraform 1.5.7 1.4.0 # old\n", ("terraform", ("1.5.7", "1.4.0"), 3)),
        ("opentofu 1.6.2\n", ("tofu", ("1.6.2",), 1)),
        ("opentofu 1.6.2\r\nterraform 1.5.7\r\n", ("terraform", ("1.5.7",), 2)),
        ("terraform latest:1.5\n", ("terraform", ("latest:^1\\.5",), 1)),
    ],
)
def test_tool_versions(text: str, expected: tuple[str, tuple[str, ...], int]) -> None:
    asked = read(text, ".tool-versions")
    assert (asked.program, asked.wants, asked.line) == expected
    assert asked.error == ""


@pytest.mark.parametrize(
    "text",
    ["terraform path:../../x", "terraform ref:main", "terraform system", "terraform",
     "terraform 1.5.7 ../../x", "terraform " + "1.5.7 " * 30],
)  # fmt: skip
def test_tool_versions_that_name_no_version(text: str) -> None:
    assert read(text, ".tool-versions").error


def test_tool_versions_without_either_say_nothing() -> None:
    assert parse_version_file(".tool-versions", b"python 3.12\nterraform-docs 0.16.0\n") is None


def test_places_go_from_the_roots_own_folder_to_the_top() -> None:
    assert list(version_files("a/b"))[::3] == [
        "a/b/.opentofu-version", "a/.opentofu-version", ".opentofu-version",
    ]  # fmt: skip
    assert list(version_files(".")) == [
        ".opentofu-version", ".terraform-version", ".tool-versions",
    ]  # fmt: skip


@given(st.binary(max_size=200), st.sampled_from([".terraform-version", ".tool-versions"]))
def test_any_bytes_are_read_or_an_error(content: bytes, name: str) -> None:
    asked = parse_version_file(name, content)
    assert asked is None or bool(asked.error) is not bool(asked.wants)


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "text", "expected"),
        [
            ("^1.5", "1.5.7", True), ("^1.5", "0.1.5", False), ("1\\.5\\.", "1.5.7", True),
            ("^1\\.[3-5]\\.", "1.4.6", True), ("^1\\.[3-5]\\.", "1.6.0", False),
            ("^0.12|^0.13", "0.13.7", True), ("^0.12|^0.13", "0.14.0", False),
            ("7$", "1.5.7", True), ("^1\\.5\\.\\d+$", "1.5.12", True), ("^1.5.*$", "1.5.7", True),
            ("^[^0]", "0.12.0", False), ("rc", "1.6.0-rc1", True), ("", "1.5.7", True),
        ],
    )  # fmt: skip
    def test_what_people_write(self, pattern: str, text: str, expected: bool) -> None:
        assert parse_pattern(pattern).matches(text) is expected

    @pytest.mark.parametrize(
        "pattern",
        ["(a+)+b", "a{9}", "[", "[]", "[a", "*a", "a**", "\\", "\\w", "/", "a" * 101, "a\nb"],
    )
    def test_what_is_refused(self, pattern: str) -> None:
        with pytest.raises(PatternRefused):
            parse_pattern(pattern)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["1", "2", ".", "\\.", "[12]", "[^1]", "[0-2]", "\\d"]),
                st.sampled_from(["", "*", "+", "?"]),
            ),
            max_size=6,
        ),
        st.booleans(),
        st.booleans(),
        st.text("012.", max_size=10),
    )
    def test_it_finds_what_re_finds(
        self, atoms: list[tuple[str, str]], start: bool, end: bool, text: str
    ) -> None:
        pattern = "^" * start + "".join(a + q for a, q in atoms) + "$" * end
        assert parse_pattern(pattern).matches(text) is (re.search(pattern, text) is not None)

    def test_a_pattern_that_takes_re_for_ever_is_over_at_once(self) -> None:
        assert not parse_pattern("a*" * 40 + "b").matches("a" * 2_000)
