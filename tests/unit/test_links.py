"""Links: inside the repository they work as on a disk, any other is refused by its name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.errors import SourceRefused
from driftfleet.github.lfs import is_pointer
from driftfleet.github.links import Links, LinksExhausted
from driftfleet.github.listing import Entry, Listing
from driftfleet.github.paths import shown

SHA = "1" * 40
FILE = Entry("z/file", "file", SHA, 1)


def resolving(files: set[str], links: dict[str, str]) -> Callable[[str], str | None]:
    entries = [Entry(path, "file", SHA, 1) for path in files]
    entries += [Entry(path, "link", SHA, 1) for path in links]
    listing = Listing(SHA, entries)
    return Links(listing, lambda link: links[link.path]).resolve


class TestInside:
    @pytest.mark.parametrize(
        ("links", "path", "real"),
        [
            ({}, "a/x.tf", "a/x.tf"),
            ({}, "a", "a"),
            ({}, ".", "."),
            ({}, "a/none", None),
            ({}, "a/x.tf/below", None),
            ({"l": "a/x.tf"}, "l", "a/x.tf"),
            ({"b/l": "../a/x.tf"}, "b/l", "a/x.tf"),
            ({"l": "./a/./x.tf"}, "l", "a/x.tf"),
            ({"l": "a"}, "l", "a"),
            ({"l": "a/"}, "l", "a"),
            ({"l": "a"}, "l/x.tf", "a/x.tf"),
            ({"l": "a"}, "l/c/y.tf", "a/c/y.tf"),
            ({"l": "m", "m": "a/c"}, "l/y.tf", "a/c/y.tf"),
            ({"l": "a/c"}, "l/../x.tf", "a/x.tf"),
            ({"b/l": "../a/c", "b/m": "l/.."}, "b/m/x.tf", "a/x.tf"),
            ({"l": "none"}, "l", None),
            ({"l": "a/x.tf/y"}, "l", None),
            ({"l": "."}, "l/a/x.tf", "a/x.tf"),
            ({"a/up": ".."}, "a/up/a/up/a/x.tf", "a/x.tf"),
        ],
    )
    def test_a_path_leads_where_the_kernel_would_lead_it(
        self, links: dict[str, str], path: str, real: str | None
    ) -> None:
        assert resolving({"a/x.tf", "a/c/y.tf", "b/z"}, links)(path) == real

    def test_a_submodule_is_found_and_nothing_in_it_is(self) -> None:
        listing = Listing(SHA, [Entry("m", "submodule", SHA, 0)])
        resolve = Links(listing, lambda link: "").resolve
        assert resolve("m") == "m"
        assert resolve("m/x.tf") is None


class TestRefused:
    @pytest.mark.parametrize(
        ("links", "path", "named", "words"),
        [
            ({"l": ".."}, "l", "l", "out of the repository"),
            ({"a/l": "../../x"}, "a/l", "a/l", "out of the repository"),
            ({"l": "a/../.."}, "l", "l", "out of the repository"),
            ({"l": "a/m", "a/m": "../../x"}, "l", "a/m", "out of the repository"),
            ({"l": "/etc/passwd"}, "l", "l", r"absolute \(/etc/passwd\)"),
            ({"l": "/etc"}, "l/passwd", "l", "absolute"),
            ({"l": "l"}, "l", "l", "circles"),
            ({"l": "m", "m": "l"}, "l", "l", "circles"),
            ({"a/l": "../a/l/x"}, "a/l", "a/l", "circles"),
            ({"l": ""}, "l", "l", "no path"),
            ({"l": "a\0b"}, "l", "l", "no path"),
            ({"l": "x" * 5000}, "l", "l", "no path"),
        ],
    )
    def test_a_link_that_leads_out_or_never_ends_is_named(
        self, links: dict[str, str], path: str, named: str, words: str
    ) -> None:
        with pytest.raises(SourceRefused, match=f"^{named}: the symbolic link .*{words}"):
            resolving({"a/x.tf"}, links)(path)

    def test_forty_links_are_followed_and_no_more(self) -> None:
        links = {f"l{n}": f"l{n + 1}" for n in range(40)}
        assert resolving({"l40"}, links)("l0") == "l40"
        with pytest.raises(SourceRefused, match="circles"):
            resolving({"l41"}, links | {"l40": "l41"})("l0")

    def test_what_was_followed_before_counts_as_much_as_what_was_not(self) -> None:
        links = {f"l{n}": f"l{n + 1}" for n in range(41)}
        resolve = resolving({"l41"}, links)
        assert [resolve(f"l{n}") for n in range(40, 0, -1)] == ["l41"] * 40
        with pytest.raises(SourceRefused, match=r"^l0: the symbolic link .*more than 40 links"):
            resolve("l0")
        with pytest.raises(SourceRefused, match=r"^l0: "):
            resolving({"l41"}, links)("l0")


class TestCost:
    DEEP = "/".join(["d"] * 1500)

    def test_a_link_is_read_and_followed_once_whatever_leads_to_it(self) -> None:
        links = {f"k{n}": "l0" for n in range(50)} | {f"l{n}": f"l{n + 1}" for n in range(30)}
        listing = Listing(SHA, [Entry(p, "link", SHA, 1) for p in links] + [FILE])
        read: list[str] = []

        def target_of(link: Entry) -> str:
            read.append(link.path)
            return links.get(link.path, "")

        links["l29"] = FILE.path
        resolve = Links(listing, target_of).resolve
        assert {resolve(f"k{n}") for n in range(50)} == {FILE.path}
        assert sorted(read) == sorted({*links})

    def test_a_way_that_winds_without_end_is_refused_by_its_link(self) -> None:
        winding = {f"{self.DEEP}/l{n}": "../d/" * 800 + f"l{n + 1}" for n in range(39)}
        with pytest.raises(SourceRefused, match=r"d/l0: the symbolic link .*more than 2,000"):
            resolving({f"{self.DEEP}/l39"}, winding)(f"{self.DEEP}/l0")
        assert resolving({f"{self.DEEP}/f"}, {f"{self.DEEP}/l": "f"})(f"{self.DEEP}/l")

    def test_links_that_cost_too_much_together_are_refused_and_nothing_else_is(self) -> None:
        links = {f"{self.DEEP}/l{n}": "../d/" * 800 + "f" for n in range(2600)}
        listing = Listing(SHA, [*(Entry(p, "link", SHA, 1) for p in links), FILE])
        followed = Links(listing, lambda link: links[link.path])
        refused = []
        for path in links:
            try:
                followed.resolve(path)
            except LinksExhausted as error:
                refused.append((path, error.message))
        assert 0 < len(refused) < 200
        path, message = refused[-1]
        assert message.startswith(f"{shown(path)}: the symbolic link")
        assert followed.resolve(FILE.path) == FILE.path
        followed.renew()
        assert followed.resolve(path) is None


class TestGaps:
    LISTING = Listing(SHA, [Entry("a/b/x.tf", "file", SHA, 1)], gaps={"a/b": "is not whole"})

    @pytest.mark.parametrize("path", ["a/b/y", "a/b/c/d/main.tf"])
    def test_what_may_lie_in_a_gap_is_refused_and_not_absent(self, path: str) -> None:
        with pytest.raises(SourceRefused, match=r"^a/b: is not whole"):
            Links(self.LISTING, lambda link: "").resolve(path)

    @pytest.mark.parametrize("path", ["a/b/x.tf", "a/b", "a"])
    def test_what_is_listed_is_found(self, path: str) -> None:
        assert Links(self.LISTING, lambda link: "").resolve(path) == path

    @pytest.mark.parametrize("path", ["c", "a/c", "a/b/x.tf/y"])
    def test_what_lies_beside_it_is_absent(self, path: str) -> None:
        assert Links(self.LISTING, lambda link: "").resolve(path) is None


PARTS = ["a", "b", "l", "m", "..", "."]
some_paths = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("/".join)


@given(
    links=st.dictionaries(st.sampled_from(["l", "m", "a/l", "a/m"]), some_paths, max_size=4),
    asked=some_paths,
)
def test_it_is_what_the_kernel_says(
    links: dict[str, str], asked: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    top = tmp_path_factory.mktemp("links")
    for file in ("a/x", "b/y"):
        (top / file).parent.mkdir(exist_ok=True)
        (top / file).write_text(file)
    for path, target in links.items():
        (top / path).symlink_to(target)
    try:
        found = resolving({"a/x", "b/y"}, links)(asked)
    except SourceRefused:
        # Out of it, or without an end: what the kernel finds lies elsewhere.
        assert not _is_inside(top / asked, top) or _climbs(top, asked, links)
        return
    if found is None:
        assert not (top / asked).exists()
    else:
        assert os.path.samefile(top / asked, top / found)


def _is_inside(path: Path, top: Path) -> bool:
    try:
        return Path(os.path.realpath(path, strict=True)).is_relative_to(os.path.realpath(top))
    except OSError:
        return False


def _climbs(top: Path, asked: str, links: dict[str, str]) -> bool:
    """Whether the way leads above the top, even if back into it again."""
    return ".." in asked or any(".." in target for target in links.values())


class TestPointers:
    POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % (
        b"4" * 64
    )

    def test_a_pointer_is_one(self) -> None:
        assert is_pointer(self.POINTER)
        assert is_pointer(self.POINTER.replace(b"git-lfs", b"hawser"))

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"# " + POINTER,
            POINTER + b"x" * 1024,
            b"version https://git-lfs.github.com/spec/v1\n",
            b"version https://example.com/spec/v1\noid sha256:1\nsize 1\n",
        ],
    )
    def test_what_only_speaks_of_one_is_none(self, content: bytes) -> None:
        assert not is_pointer(content)
