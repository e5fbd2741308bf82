"""What `.gitattributes` say of a file: order, macros, refusals, bounds.

`tests/integration/test_attributes_git.py` compares all of it with the real git.
"""

import time
import tracemalloc
from collections.abc import Callable

import pytest

from driftfleet.blobs import blob_hash
from driftfleet.errors import SourceRefused
from driftfleet.github.attributes import Attributes
from driftfleet.github.conversion import Conversion, TooLarge
from driftfleet.github.listing import Entry, Listing
from driftfleet.github.wildmatch import matcher


def attributes_of(files: dict[str, bytes], limit_bytes: int = 1 << 20) -> Attributes:
    entries = [Entry(p, "file", blob_hash(c), len(c)) for p, c in files.items()]
    return Attributes(Listing("0" * 40, entries), files.__getitem__, limit_bytes)


def converted(path: str, content: bytes, **attributes: str) -> bytes:
    """``attributes``: the text of the file at the top, in a, and in a/b."""
    places = {"top": "", "a": "a/", "b": "a/b/"}
    files = {f"{places[at]}.gitattributes": text.encode() for at, text in attributes.items()}
    return attributes_of(files | {path: content}).converted(path, content)


def test_the_rules_of_folders_beside_each_other_are_not_kept() -> None:
    """What patterns are made into is large, and a commit may hold one file in many folders."""
    pattern = "?" + "[!x]?" * 300
    text = "".join(f"{pattern}{number} text\n" for number in range(10)).encode()
    files = {f"f{number}/.gitattributes": text for number in range(30)}
    attributes = attributes_of(files | {f"f{number}/x": b"" for number in range(30)})
    tracemalloc.start()
    try:
        attributes.converted("f0/x", b"")
        alone = tracemalloc.get_traced_memory()[1]
        for number in range(30):
            attributes.converted(f"f{number}/x", b"")
        assert tracemalloc.get_traced_memory()[1] < 4 * alone
    finally:
        tracemalloc.stop()


class TestOrder:
    @pytest.mark.parametrize(
        ("attributes", "crlf"),
        [
            ({"top": "* eol=crlf"}, True),
            ({"top": "* eol=crlf\r\n"}, True),
            ({"top": "* eol=crlf\n*.ps1 eol=lf"}, False),
            ({"top": "*.ps1 eol=lf\n* eol=crlf"}, True),
            ({"top": "* eol=crlf", "a": "* eol=lf"}, False),
            ({"top": "* eol=crlf", "a": "* eol=lf", "b": "* eol=crlf"}, True),
            ({"top": "* eol=crlf", "b": "* !eol"}, False),
            ({"top": "* eol=crlf", "b": "* -text"}, False),
            ({"top": "* eol=crlf", "a": "b/* binary"}, False),
            ({"top": "* eol=crlf binary", "a": "b/* !text"}, True),
            ({"top": "[attr]dos text eol=crlf\n*.ps1 dos"}, True),
            ({"a": "[attr]dos text eol=crlf\n*.ps1 dos"}, False),
            ({"top": "a/b eol=crlf\na/ eol=crlf\nb eol=crlf"}, False),
            ({"top": '"a/b/u.ps1" eol=crlf'}, True),
            ({"top": "!a eol=crlf\n# * eol=crlf"}, False),
            ({"a": "/u.ps1 eol=crlf\na/b/u.ps1 eol=crlf"}, False),
            ({"a": "**/u.ps1 eol=crlf"}, True),
            ({"top": "* " + "x" * 2046 + " eol=crlf"}, False),
        ],
    )  # fmt: skip
    def test_the_deeper_file_and_the_later_line_win(
        self, attributes: dict[str, str], crlf: bool
    ) -> None:
        expected = b"x\r\n" if crlf else b"x\n"
        assert converted("a/b/u.ps1", b"x\n", **attributes) == expected

    def test_ident_comes_before_line_ends_and_those_before_the_encoding(self) -> None:
        text = "* text eol=crlf ident working-tree-encoding=UTF-16LE-BOM"
        sha = blob_hash(b"$Id$\n").encode()
        expected = b"\xff\xfe" + (b"$Id: %s $\r\n" % sha).decode().encode("utf-16-le")
        assert converted("x", b"$Id$\n", top=text) == expected

    def test_only_the_files_above_a_path_are_asked_for(self) -> None:
        files = {f"{f}.gitattributes": b"* text\n" for f in ("", "a/", "a/b/", "a/c/", "d/")}
        attributes = attributes_of(files | {"a/b/x": b"", "a/x": b""})
        assert sorted(attributes.above(["a/b/x", "a/x"])) == [
            ".gitattributes",
            "a/.gitattributes",
            "a/b/.gitattributes",
        ]


class TestRefusals:
    def test_a_file_that_goes_through_a_filter_is_refused_with_the_filters_name(self) -> None:
        text = "secrets/** filter=git-crypt diff=git-crypt\n.gitattributes !filter\n"
        with pytest.raises(SourceRefused, match=r"^secrets/k: .*'git-crypt'"):
            converted("secrets/k", b"\0GITCRYPT\0", top=text)
        assert converted("public/k", b"x", top=text) == b"x"

    def test_lfs_is_refused_elsewhere_and_no_filter_is_none(self) -> None:
        assert converted("x", b"x", top="* filter=lfs diff=lfs merge=lfs -text") == b"x"
        assert converted("x", b"x", top="* filter=git-crypt\nx !filter") == b"x"
        assert converted("x", b"x", top="* filter=git-crypt\nx -filter") == b"x"

    def test_a_name_out_of_the_repository_is_shown_on_one_short_line(self) -> None:
        with pytest.raises(SourceRefused) as caught:
            converted("x", b"x", top="* filter=a\x1b[31m" + "z" * 1500)
        assert "\x1b" not in caught.value.message
        assert len(caught.value.message) < 700

    def test_an_encoding_that_is_not_known_is_refused_by_name(self) -> None:
        with pytest.raises(SourceRefused, match=r"^x: .*'SHIFT-JIS'"):
            converted("x", b"x", top="* working-tree-encoding=SHIFT-JIS")

    @pytest.mark.parametrize(
        ("line", "content"),
        [
            ("ident", b"$Id$" * 20), ("ident text=auto", b"$Id$" * 20), ("eol=crlf", b"\n" * 150),
            ("working-tree-encoding=UTF-32", b"a" * 60), ("ident eol=crlf", b"$Id$\n" + b"\n" * 30),
        ],
    )  # fmt: skip
    def test_what_grows_beyond_the_limit_is_refused(self, line: str, content: bytes) -> None:
        files = {".gitattributes": f"* {line}".encode(), "x": content}
        larger = attributes_of(files, 2000).converted("x", content)
        assert len(larger) > 100 + 100 * ("$" not in content.decode())
        with pytest.raises(SourceRefused, match=r"^x: .*cache\.member_bytes"):
            attributes_of(files, len(larger) - 1).converted("x", content)
        assert attributes_of(files, len(larger)).converted("x", content) == larger

    def test_a_conversion_that_multiplies_ends_before_the_memory_does(self) -> None:
        with pytest.raises(TooLarge):
            Conversion(ident=True).apply(b"$Id$" * 1_000_000, "0" * 40, 5_000_000)


class TestBounds:
    def test_a_file_too_large_is_refused_by_name_before_it_is_read(self) -> None:
        entries = [Entry("a/.gitattributes", "file", "0" * 40, 1_048_577)]
        entries += [Entry("a/x", "file", "1" * 40, 1)]
        attributes = Attributes(Listing("0" * 40, entries), {}.__getitem__, 1 << 30)
        for ask in (lambda: attributes.above(["a/x"]), lambda: attributes.converted("a/x", b"")):
            with pytest.raises(SourceRefused, match=r"^a/\.gitattributes: "):
                ask()

    @pytest.mark.parametrize(("lines", "refused"), [(9_999, False), (10_001, True)])
    def test_too_many_lines_are_refused_by_name(self, lines: int, refused: bool) -> None:
        text = "\n".join(["*.x text"] * lines)
        if not refused:
            assert converted("a/x", b"x", a=text) == b"x"
            return
        with pytest.raises(SourceRefused, match=r"^a/\.gitattributes: .*10,000 lines"):
            converted("a/x", b"x", a=text)

    def test_many_folders_do_not_add_up_to_more(self) -> None:
        text = b"*.x text\n" * 4_000
        files = {f"{'a/' * depth}.gitattributes": text for depth in range(1000)}
        path = "a/" * 999 + "f"
        attributes = attributes_of(files | {path: b""})
        with pytest.raises(SourceRefused, match=r"^a/a/\.gitattributes: "):
            attributes.converted(path, b"")

    def test_macros_that_call_each_other_end(self) -> None:
        chain = "".join(f"[attr]m{n} m{n + 1} m{n + 1} m{n // 2}\n" for n in range(5000))
        text = f"{chain}[attr]m5000 eol=crlf m0\n* m0\n"
        assert seconds(lambda: converted("x", b"x\n", top=text)) < 5
        assert converted("x", b"x\n", top=text) == b"x\r\n"

    @pytest.mark.parametrize(
        "pattern",
        [
            b"*a" * 1000 + b"b", b"*?" * 1000, b"**/" * 600 + b"b", b"a/" + b"**/a*/" * 300 + b"b",
            b"**/*" * 500 + b"b", b"[a-z]*" * 300 + b"b", b"[[:alpha:]]" * 180, b"[" * 2000,
            b"[[:" * 600, b"[a-" * 600, b"*" * 2000, b"\\" * 2000, b"/**/*" * 400 + b"a**b",
            b"?" * 2000, b"**/?" * 500, b"*[!a]" * 400,
        ],
    )  # fmt: skip
    def test_no_pattern_takes_long(self, pattern: bytes) -> None:
        paths = [
            b"a" * 4000,
            b"a/" * 2000 + b"a",
            bytes(range(48, 123)) * 50,
            b"/".join([b"ab"] * 1300),
        ]

        def match() -> None:
            matches = matcher(pattern)
            for path in paths:
                matches(path)

        # A fraction of it as a rule; a search that tries again and again takes ages.
        assert seconds(match) < 1

    @pytest.mark.parametrize(
        "piece", [b"$Id:", b"$Id: ", b"$Idx", b"$", b"$Id", b"$Id: x ", b"\n$Id"]
    )
    @pytest.mark.parametrize("guessed", [False, True])
    def test_no_content_takes_long(self, piece: bytes, guessed: bool) -> None:
        content = piece * 100_000
        conversion = Conversion(ident=True, crlf="always", guessed=guessed)
        assert seconds(lambda: conversion.apply(content, "0" * 40, 1 << 30)) < 3


def seconds(run: Callable[[], object]) -> float:
    """The processor's time: other processes of a busy machine don't count."""
    start = time.process_time()
    run()
    return time.process_time() - start
