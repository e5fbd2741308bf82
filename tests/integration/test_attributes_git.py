"""Attributes, patterns and conversions: the real git decides what is right."""

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from driftfleet.blobs import blob_hash
from driftfleet.errors import SourceRefused
from driftfleet.github.attributes import Attributes
from driftfleet.github.conversion import Conversion, codec_of
from driftfleet.github.listing import Entry, Listing
from driftfleet.github.wildmatch import matcher
from tests.standin import Link
from tests.standin.repositories import create_bare, git, import_commit

Files = Mapping[str, bytes]


def ours(files: Files) -> dict[str, bytes]:
    entries = [Entry(p, "file", blob_hash(c), len(c)) for p, c in files.items()]
    attributes = Attributes(Listing("0" * 40, entries), files.__getitem__, 1 << 26)
    return {path: attributes.converted(path, content) for path, content in files.items()}


def theirs(files: Files) -> dict[str, bytes]:
    """What a clone has. The commit is made of raw blobs: nothing is converted on the way in."""
    with tempfile.TemporaryDirectory() as place:
        bare, clone = Path(place, "bare"), Path(place, "clone")
        create_bare(bare)
        import_commit(bare, files, branch="main")
        git(None, "clone", "--quiet", "--template=", str(bare), str(clone))
        return {path: (clone / path).read_bytes() for path in files}


CONTENTS = (
    b"", b"a\nb\n", b"a\r\nb\n", b"a\r\nb\r\n", b"a\rb\n", b"a\0b\n", b"\n", b"\r", b"no end",
    b"\x01\x02\n", b"\x01" * 2 + b"a" * 255 + b"\n", b"\x01" * 2 + b"a" * 256 + b"\n",
    b"\x01" * 2 + b"a" * 256 + b"\n\x1a", b"\x01" * 2 + b"a" * 255 + b"\n\x1a", b"\x1a",
    b"\r\r\n\n", b"$Id$", b"$Id$\n$Id: x $\n$Id: x y $ $Id:$ $Id: x\n$ $Id:x$ $Id:  $ $Id: $",
    b"$Id $Id$Id$\n", b"$Id: 0123 $Id: 4 $\n$Id:a b$$Id:a $", b"$Idx$Id$", b"$I$Id", b"$Id:",
    b"$$Id$$", "gr\u00fc\u00df \u20ac \U0001f600\n$Id$\n".encode(),
    "\ufeffgr\u00fc\u00df\n".encode(), b"\xff\xfe\n", b"gr\xfc\n", "gr\u00fc\u00df\n".encode(),
    "\ufeff".encode(), b"\xed\xa0\x80\n", "x\U000e0041y\n".encode(), "\u20ac".encode(),
)  # fmt: skip


def table(line: str) -> dict[str, bytes]:
    return {f"f{n}": content for n, content in enumerate(CONTENTS)} | {
        ".gitattributes": line.encode("utf-8", "surrogateescape")
    }


IDENTS = st.lists(
    st.sampled_from(
        [
            *("$", "$", "$Id", "Id", "$Id$", "$Id:", "$Id: ", "$Id: 0 $", "I", ":", " ", "  "),
            *("a", "x", "\n", "\r\n", "\0", "\t"),
        ]
    ),
    min_size=1,
    max_size=12,
).map(lambda words: "".join(words).encode())  # fmt: skip

CONVERSIONS = (
    "text", "-text", "!text", "text=auto", "text=input", "text=other", "eol=crlf", "eol=lf",
    "eol=CRLF", "eol", "-eol", "text eol=crlf", "-text eol=crlf", "text=auto eol=crlf",
    "text=input eol=crlf", "text=other eol=crlf", "crlf eol=crlf", "-crlf eol=crlf",
    "crlf=auto eol=crlf", "crlf=input", "-crlf text eol=crlf", "!text -crlf eol=crlf",
    "crlf=x eol=crlf", "text=auto eol=lf", "binary eol=crlf", "eol=crlf binary",
    "binary text eol=crlf", "binary !text eol=crlf", "-binary eol=crlf", "!binary eol=crlf",
    "binary=1 eol=crlf", "ident", "-ident", "ident=x", "ident eol=crlf",
    "ident text=auto eol=crlf", "filter=", "-filter", "filter", "filter=lfs ident",
    "eol=lf eol=crlf", "eol=crlf eol=lf", "-eol=crlf", "eol=crlf bad/name", "eol=crlf -",
    "eol=crlf =x", "eol=crlf --x", "eol=crlf diff=x=y", "eol=crlf\r", "  eol=crlf  ", "\teol=crlf",
    "eol=crlf\veol=lf", "eol=crlf\0eol=lf", "eol=crlf # no comment", "eol=crlf \u00fc",
)  # fmt: skip

ENCODINGS = (
    "UTF-8", "utf8", "UTF-16", "utf16", "UTF-16LE", "utf-16le", "UTF16LE", "UTF-16BE",
    "UTF-16LE-BOM", "utf16le-bom", "UTF-16BE-BOM", "UTF-32", "UTF-32LE", "UTF-32BE", "ISO-8859-1",
    "iso8859-15", "ISO_8859-2", "latin-1", "LATIN1", "WINDOWS-1252", "cp1252", "CP437", "US-ASCII",
    "koi8-r", "",
)  # fmt: skip


class TestConversions:
    """`converted` of the blob is what a clone has, byte for byte."""

    @pytest.mark.parametrize("line", CONVERSIONS)
    def test_each_attribute_does_what_it_does_in_git(self, line: str) -> None:
        files = table(f"f* {line}\n")
        assert ours(files) == theirs(files)

    @pytest.mark.parametrize(
        "line",
        [
            "ident",
            "ident eol=crlf",
            "ident text=auto",
            "ident text=auto eol=lf",
            "ident working-tree-encoding=UTF-16",
        ],
    )
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(contents=st.lists(IDENTS, min_size=80, max_size=120))
    def test_a_keyword_is_filled_in_where_git_does(self, line: str, contents: list[bytes]) -> None:
        files = {f"f{n}": content for n, content in enumerate(contents)}
        files[".gitattributes"] = f"f* {line}\n".encode()
        assert ours(files) == theirs(files)

    @pytest.mark.parametrize(
        "line", ["ident eol=crlf", "text=auto eol=crlf", "working-tree-encoding=UTF-16 eol=crlf"]
    )
    def test_long_files_are_no_other(self, line: str) -> None:
        files = {
            f"f{n}": (b"x" * n + b"$Id$\n\r\n\r" * 3 + b"\n\n$Id: 0 $ gr\xc3\xbc\xc3\x9f\n")
            * (100_000 // (n + 30))
            for n in (0, 1, 2, 3, 1000, 1021, 16_380, 99_000)
        }
        files |= {f"{path}-lf": content.replace(b"\r", b"") for path, content in files.items()}
        files[".gitattributes"] = f"f* {line}\n".encode()
        assert ours(files) == theirs(files)

    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_each_encoding_has_the_bytes_and_the_mark_that_git_writes(self, encoding: str) -> None:
        files = table(f"f* working-tree-encoding={encoding} text eol=crlf ident\n")
        assert ours(files) == theirs(files)

    @pytest.mark.parametrize(
        "encoding", [e for e in ENCODINGS if e and not e.upper().endswith("-BOM")]
    )
    def test_every_character_is_the_same_in_an_encoding_that_is_taken(self, encoding: str) -> None:
        name = {"latin-1": "LATIN1"}.get(encoding, encoding)
        every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
        done = subprocess.run(
            ["iconv", "-c", "-f", "UTF-8", "-t", name],
            input=every.encode(),
            capture_output=True,
            check=False,
        )
        codec = codec_of(encoding) or "utf-8"
        taken = every.encode(codec, "ignore").decode(codec).encode()
        assert Conversion(codec=codec_of(encoding) or "").apply(taken, "", 1 << 30) == done.stdout

    @pytest.mark.parametrize(
        "encoding",
        ["Shift_JIS", "UTF-7", "base64", "rot13", "idna", "x", "UTF-32LE-BOM", "UTF-8//TRANSLIT"],
    )
    def test_other_encodings_are_refused_by_name(self, encoding: str) -> None:
        with pytest.raises(SourceRefused, match=rf"^f: .*'{encoding}'"):
            ours({"f": b"x", ".gitattributes": f"* working-tree-encoding={encoding}".encode()})

    def test_git_takes_no_encoding_without_a_name_and_neither_do_we(self) -> None:
        files = {"f": b"x", ".gitattributes": b"f working-tree-encoding\n"}
        with pytest.raises(SourceRefused, match=r"^f: "):
            ours(files)
        with pytest.raises(
            AssertionError, match=r"no valid working-tree-encoding|requires a value"
        ):
            theirs(files)
        files = {"f": b"x", ".gitattributes": b"f -working-tree-encoding\n"}
        assert ours(files) == theirs(files)


FOLDERS = ("", "a/", "a/b/", "b/", "b/a/b/", "c d/", "\u00fc/")
NAMES = ("a", "b.x", "x.ps1", "c d", "#x", "!x", "[x]", "*", "\\", "\u00fc.x", ".x")
PATTERNS = (
    "*", "*.x", "a", "b.x", "/a", "/b.x", "a/*", "a/**", "/a/**", "**/b/*", "**/a", "a/", "b",
    "b/**/b.x", "*.ps1", "?", "[[:alpha:]]", "[!a].x", "\\#x", "#x", "\\!x", "!x", '"c d"',
    '"c d/*"', '"c d/**" ', '"\\303\\274.x"', '"\\303\\274/*"', '"unclosed', '"bad\\q"', '"a"',
    '"\\\\*"', "\u00fc/**", "[[]x]", "a**/b.x", "[attr]m", "[attr]n", "[attr]binary", "[attr]",
    "[attr]-m", '"[attr]m"', "\\[x\\]", ".gitattributes", "x" * 2040 + "y", "\ufeff*",
)  # fmt: skip
SETTINGS = (
    "eol=crlf", "eol=lf", "text", "-text", "!text", "text=auto", "ident", "-ident", "!ident",
    "binary", "-binary", "!binary", "m", "-m", "!m", "n", "!n", "!eol", "crlf",
    "working-tree-encoding=UTF-16LE-BOM", "!working-tree-encoding",
    "working-tree-encoding=latin-1", "diff", "x/y", "-",
)  # fmt: skip

lines = st.builds(
    lambda indent, pattern, settings, end: f"{indent}{pattern} {' '.join(settings)}{end}",
    st.sampled_from(["", "", "", " ", "\t"]),
    st.sampled_from(PATTERNS),
    st.lists(st.sampled_from(SETTINGS), max_size=4),
    st.sampled_from(["\n", "\n", "\r\n", "\n\n", " \n", "\n# x\n"]),
)
texts = st.lists(lines, min_size=1, max_size=12).map("".join).map(str.encode)
paths_of_files = st.builds("{}{}".format, st.sampled_from(FOLDERS), st.sampled_from(NAMES))


def _is_possible(files: Files) -> bool:
    """Whether no file is another's folder."""
    return not any(other.startswith(f"{path}/") for path in files for other in files)


trees = st.builds(
    lambda plain, attributes: (
        plain | {f"{f}.gitattributes": text for f, text in attributes.items()}
    ),
    st.dictionaries(
        paths_of_files.filter(lambda p: p not in ("a", "b")),
        st.sampled_from(CONTENTS),
        min_size=8,
        max_size=25,
    ),
    st.dictionaries(st.sampled_from(FOLDERS), texts, max_size=5),
).filter(_is_possible)


class TestTrees:
    # Some hundred clones; on a busy machine they take minutes.
    @pytest.mark.timeout(900)
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(trees)
    @example({"a": b"x\n", ".gitattributes": b"\xef\xbb\xbfa eol=crlf\n"})
    @example({"a": b"x\n", ".gitattributes": b"[attr]m eol=crlf\n[attr]m eol=lf\na m\n"})
    @example({"a/a": b"x\n", "a/.gitattributes": b"[attr]m eol=crlf\na m\n"})
    @example({"a": b"x\n", ".gitattributes": b"[attr]m n\n[attr]n m eol=crlf\na m\n"})
    def test_a_clone_has_the_same_bytes(self, files: dict[str, bytes]) -> None:
        assert ours(files) == theirs(files)

    def test_a_gitattributes_that_is_a_link_or_a_folder_counts_for_nothing(self) -> None:
        with tempfile.TemporaryDirectory() as place:
            bare, clone = Path(place, "bare"), Path(place, "clone")
            create_bare(bare)
            import_commit(
                bare,
                {
                    "a": "x\n",
                    "t": "* eol=crlf\n",
                    ".gitattributes": Link("t"),
                    "b/.gitattributes/x": "",
                    "b/a": "x\n",
                },
                branch="main",
            )
            git(None, "clone", "--quiet", "--template=", str(bare), str(clone))
            assert (clone / "a").read_bytes() == (clone / "b/a").read_bytes() == b"x\n"
        entries = [
            Entry("a", "file", "1" * 40, 2), Entry(".gitattributes", "link", "2" * 40, 1),
            Entry("b/.gitattributes/x", "file", "3" * 40, 0), Entry("b/a", "file", "1" * 40, 2),
        ]  # fmt: skip
        attributes = Attributes(Listing("0" * 40, entries), {}.__getitem__, 100)
        assert attributes.above(["a", "b/a"]) == []
        assert attributes.converted("b/a", b"x\n") == attributes.converted("a", b"x\n") == b"x\n"


ATOMS = (
    "a", "b", "c", "x", "A", ".", "/", "*", "**", "?", "[", "]", "!", "^", "-", "\\", "[ab]",
    "[!a]", "[^a]", "[a-c]", "[c-a]", "[[:alpha:]]", "[[:punct:]]", "[[:upper:]x]", "[[:no:]]",
    "**/", "/**", "/**/", "**/**/", "[:", ":]", "[]a]", "[^]a-b]", "[\\]]", "\\*", "\\/", "[a-]",
    "[-a]", "[a\\-c]", "\u00fc", "[\u00fc]", "*/",
)  # fmt: skip
patterns = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=8).map("".join)
parts = st.lists(st.sampled_from(list("abcxA.-][!*\\:^\u00fc")), min_size=1, max_size=4).map(
    "".join
)
paths = st.lists(parts.filter(lambda p: p not in (".", "..")), min_size=1, max_size=5).map("/".join)


class TestPatterns:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(patterns.filter(lambda p: p[0] not in "!#"), min_size=100, max_size=150),
        st.lists(paths, min_size=60, max_size=80, unique=True),
    )
    def test_a_pattern_matches_what_it_matches_in_git(
        self, many: list[str], paths: list[str]
    ) -> None:
        found = matches_of_git(many, paths)
        for number, pattern in enumerate(many):
            matches = matcher(pattern.encode())
            assert {p for p in paths if matches(p.encode())} == found.get(number, set()), pattern

    @pytest.mark.parametrize(
        "pattern", ["**/****/[!b][-a]", "****/***/?a", "**/***/**/a", "/****/a*", "a/***/****/a"]
    )
    def test_runs_of_more_than_two_stars_are_those_of_git(self, pattern: str) -> None:
        paths = ["^a", "b/^a", "c/b/^a", "a/^a", "ba", "a", "a/a", "a/b/a", "aa/a"]
        matches = matcher(pattern.encode())
        expected = matches_of_git([pattern], paths).get(0, set())
        assert {p for p in paths if matches(p.encode())} == expected

    @pytest.mark.parametrize(
        "name",
        [
            "alnum",
            "alpha",
            "blank",
            "cntrl",
            "digit",
            "graph",
            "lower",
            "print",
            "punct",
            "space",
            "upper",
            "xdigit",
        ],
    )
    def test_a_class_has_the_characters_that_it_has_in_git(self, name: str) -> None:
        characters = [chr(c) for c in range(1, 128) if chr(c) not in "./"]
        found = matches_of_git([f"[[:{name}:]]"], characters)[0]
        matches = matcher(f"[[:{name}:]]".encode())
        assert {c for c in characters if matches(c.encode())} == found


def matches_of_git(many: list[str], paths: list[str]) -> dict[int, set[str]]:
    """Which paths each pattern matches, by its number."""
    with tempfile.TemporaryDirectory() as place:
        git(None, "init", "--quiet", "--template=", place)
        text = "".join(f"{pattern} a{number}\n" for number, pattern in enumerate(many))
        Path(place, ".gitattributes").write_text(text)
        asked = "".join(f"{path}\0" for path in paths).encode()
        out = git(None, "-C", place, "check-attr", "-z", "-a", "--stdin", stdin=asked).decode()
    words = out.split("\0")
    found: dict[int, set[str]] = {}
    for path, attribute in zip(words[::3], words[1::3], strict=False):
        found.setdefault(int(attribute[1:]), set()).add(path)
    return found
