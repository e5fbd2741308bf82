"""Archives: streamed, bounded, and refused by the entry's name."""

import gzip
import io
import itertools
import struct
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.errors import GitHubUnavailable, SourceRefused
from driftfleet.github.archive import ArchiveRefused, Limits, Member, read_archive
from tests.github_in_memory import File, Link, archive_of, content_of

LIMITS = Limits(members=1000, member_bytes=1 << 20, total_bytes=1 << 24)
FILES: dict[str, File] = {
    "main.tf": b"locals {}\n",
    "a/" + "long/" * 60 + "x.tf": b"deep",
    "a/empty": b"",
    "a/block": b"x" * 512,
    "a/more": b"y" * 1300,
    "a/link": Link("../main.tf"),
    "a/long-link": Link("../" * 60 + "x"),
    "grün/ñ.tf": b"1",
}
Wanted = Callable[[str, int], bool]


def pieces(content: bytes, size: int = 1000) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


def members(
    packed: bytes,
    limits: Limits = LIMITS,
    wanted: Wanted = lambda path, size: True,
    size: int = 997,
) -> list[Member]:
    return list(read_archive(pieces(packed, size), limits, wanted))


def packed(*infos: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info in infos:
            member, content = info if isinstance(info, tuple) else (info, b"")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(out.getvalue(), 1)


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


class TestReading:
    @pytest.mark.parametrize("size", [1, 7, 512, 1 << 20])
    def test_files_and_links_come_with_their_content_whatever_the_pieces(self, size: int) -> None:
        found = members(archive_of(FILES), size=size)
        assert {member.path: member.content for member in found} == {
            path: content_of(file) for path, file in FILES.items()
        }
        assert {m.path for m in found if m.kind == "link"} == {"a/link", "a/long-link"}

    def test_only_what_is_wanted_comes(self) -> None:
        asked = {}

        def wanted(path: str, size: int) -> bool:
            asked[path] = size
            return path == "a/block"

        (member,) = members(archive_of(FILES), wanted=wanted)
        assert member == Member("a/block", "regular", b"x" * 512)
        assert asked == {path: len(content_of(file)) for path, file in FILES.items()}

    def test_what_is_not_wanted_is_never_held(self) -> None:
        files: dict[str, File] = {f"{n}": b"\0" * (6 << 20) for n in range(8)}
        content = archive_of(files)
        tracemalloc.start()
        try:
            assert members(content, Limits(20, 1, 1 << 30), lambda path, size: False, 4096) == []
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2 << 20

    def test_what_follows_the_end_is_not_read(self) -> None:
        def endless() -> Iterator[bytes]:
            yield archive_of(FILES)
            raise AssertionError("read on")

        assert len(list(read_archive(endless(), LIMITS, lambda path, size: True))) == len(FILES)

    def test_a_global_header_says_nothing_of_a_member(self) -> None:
        out = io.BytesIO()
        headers = {"comment": "c" * 40, "path": "o-r/elsewhere", "linkpath": "/etc/passwd"}
        with tarfile.open(fileobj=out, mode="w", pax_headers=headers) as archive:
            archive.addfile(entry("o-r/x"))
        assert [m.path for m in members(gzip.compress(out.getvalue()))] == ["x"]


class TestRefused:
    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            (tarfile.LNKTYPE, "hard link"),
            (tarfile.CHRTYPE, "device"),
            (tarfile.BLKTYPE, "device"),
            (tarfile.FIFOTYPE, "pipe"),
            (b"Z", "type"),
        ],
    )
    def test_what_git_does_not_archive_is_refused_by_name(self, kind: bytes, words: str) -> None:
        with pytest.raises(SourceRefused, match=f"top/bad: .*{words}"):
            members(packed(entry("top/bad", kind, "top/x")))

    @pytest.mark.parametrize(
        "name",
        ["top/../x", "../x", "/top/x", "top//x", "top/./x", "top/.git/config", "top/..", "outside",
         "top/a\\..\\..\\x"],
    )  # fmt: skip
    def test_path_tricks_are_refused_by_name(self, name: str) -> None:
        with pytest.raises(SourceRefused, match=r"^\S+: "):
            members(packed(entry("top", tarfile.DIRTYPE), entry(name)))

    @pytest.mark.parametrize("name", ["top/a\\..\\x", "top/..\\x", "top/.GIT/x", "top/a/git~1"])
    def test_what_git_may_hold_is_passed_over_where_nobody_wants_it(self, name: str) -> None:
        content = packed(entry("top", tarfile.DIRTYPE), entry(name), entry("top/x.tf"))
        (member,) = members(content, wanted=lambda path, size: path == "x.tf")
        assert member.path == "x.tf"
        with pytest.raises(SourceRefused) as caught:
            members(content)
        assert not isinstance(caught.value, ArchiveRefused)

    @pytest.mark.parametrize(
        ("name", "kind"),
        [("top/../x", b"0"), ("/top/x", b"0"), ("outside", b"0"), ("top/x", b"1"), ("top/x", b"3")],
    )
    def test_what_git_never_archives_refuses_the_archive_whoever_wants_it(
        self, name: str, kind: bytes
    ) -> None:
        with pytest.raises(ArchiveRefused):
            members(packed(entry(name, kind, "top/y")), wanted=lambda path, size: False)

    def test_a_backslash_is_a_character(self) -> None:
        (member,) = members(packed(entry("top/mnt-a\\x2db.mount")))
        assert member.path == "mnt-a\\x2db.mount"

    def test_a_folder_of_that_kind_is_refused_as_well(self) -> None:
        with pytest.raises(SourceRefused, match="up"):
            members(packed(entry("top/../up", tarfile.DIRTYPE)))

    def test_nul_in_an_extended_path_is_refused(self) -> None:
        info = entry("top/x")
        info.pax_headers = {"path": "top/a\0b"}
        with pytest.raises(SourceRefused, match="a"):
            members(packed(info))

    def test_a_wanted_member_over_the_limit_is_refused_with_its_size(self) -> None:
        limits = Limits(10, 99, 1 << 20)
        with pytest.raises(SourceRefused, match=r"big\.tf: has 100 bytes, more than the 99"):
            members(packed((entry("top/big.tf"), b"x" * 100)), limits)
        assert members(packed((entry("top/big"), b"x" * 100)), limits, lambda p, s: False) == []

    def test_too_many_members_are_refused(self) -> None:
        with pytest.raises(SourceRefused, match="more than 3 members"):
            members(packed(*(entry(f"top/{n}") for n in range(4))), Limits(3, 1, 1 << 20))

    def test_a_gzip_bomb_is_refused_before_it_is_unpacked(self) -> None:
        def bomb() -> Iterator[bytes]:
            out = io.BytesIO()
            header = entry("top/zeros")
            header.size = 1 << 40
            with gzip.GzipFile(fileobj=out, mode="w") as file:
                file.write(header.tobuf())
                for _ in range(64):
                    file.write(bytes(1 << 20))
            yield out.getvalue()
            raise AssertionError("more than the limit was unpacked")

        with pytest.raises(SourceRefused, match="unpacks to more than 16,777,216 bytes"):
            list(read_archive(bomb(), LIMITS, lambda path, size: False))

    def test_a_large_extended_header_is_not_read_and_its_member_is_nobodys(self) -> None:
        info = entry("top/x")
        info.pax_headers = {"path": "top/" + "y" * 20_000}
        found = members(packed((info, b"z" * 700), (entry("top/z"), b"1")))
        assert [member.path for member in found] == ["z"]


class TestDamaged:
    @given(st.integers(0, 100_000))
    def test_an_archive_that_ends_in_the_middle_is_not_a_short_one(self, cut: int) -> None:
        content = archive_of(FILES)
        cut %= len(content) - 400
        with pytest.raises(GitHubUnavailable, match="damaged"):
            members(content[:cut])

    def test_a_tar_that_ends_without_its_end_is_damaged(self) -> None:
        plain = gzip.decompress(packed((entry("top/x"), b"1")))
        with pytest.raises(GitHubUnavailable, match="ends in the middle"):
            members(gzip.compress(plain[:1024]))

    @pytest.mark.parametrize("at", [0, 100, 124, 148, 156, 257])
    def test_a_changed_header_is_noticed(self, at: int) -> None:
        plain = bytearray(gzip.decompress(packed((entry("top/x"), b"1"))))
        plain[at] ^= 1
        with pytest.raises(GitHubUnavailable, match="damaged"):
            members(gzip.compress(bytes(plain)))

    @pytest.mark.parametrize(
        "records", [b"5 a", b"99 a=b\n", b"0 a=b\n", b"x a=b\n", b"6a=bcd\n", b"7 size=\n"]
    )
    def test_a_broken_extended_header_is_damaged(self, records: bytes) -> None:
        info = entry("x", tarfile.XHDTYPE)
        with pytest.raises(GitHubUnavailable, match="damaged"):
            members(packed((info, records), entry("top/x")))

    @given(st.binary(max_size=2000))
    def test_what_is_no_archive_is_damaged(self, content: bytes) -> None:
        for attempt in (content, gzip.compress(content)):
            with pytest.raises((GitHubUnavailable, SourceRefused)):
                members(attempt)

    @given(st.integers(0, 5119), st.binary(min_size=1, max_size=40))
    def test_a_spoilt_archive_never_raises_anything_else(self, at: int, change: bytes) -> None:
        plain = bytearray(gzip.decompress(archive_of(FILES)))
        plain[at : at + len(change)] = change
        spoilt = _with_sums(bytes(plain))
        try:
            found = members(gzip.compress(spoilt, 1))
        except (GitHubUnavailable, SourceRefused):
            return
        for member in found:
            assert not {"", ".", ".."} & set(member.path.split("/"))


def _with_sums(plain: bytes) -> bytes:
    """The first header's sum made right, so that what is behind it is looked at."""
    block = bytearray(plain[:512])
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + plain[512:]


names = st.text(
    st.characters(exclude_characters="/\0\\", exclude_categories=("Cs",)), min_size=1, max_size=150
).filter(lambda name: name.strip(". ").lower() not in ("", "git", "git~1"))
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


class TestRandom:
    @given(st.dictionaries(paths, st.binary(max_size=1500), max_size=8), st.integers(1, 3000))
    def test_what_comes_is_what_tarfile_packed(self, files: dict[str, bytes], size: int) -> None:
        found = members(archive_of(files), size=size)
        assert {member.path: member.content for member in found} == files

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["top/a", "top/../a", "/a", "top/a/../../b", "a", "top/.GIT/x"]),
                st.sampled_from([b"0", b"1", b"2", b"3", b"5", b"6"]),
                st.sampled_from(["b", "../../x", "/etc/passwd"]),
            ),
            max_size=4,
        )
    )
    def test_a_hostile_archive_gives_clean_paths_or_nothing(
        self, hostile: list[tuple[str, bytes, str]]
    ) -> None:
        clean = all(n == "top/a" and k in (b"0", b"2", b"5") for n, k, _ in hostile)
        content = packed(*itertools.starmap(entry, hostile))
        if clean:
            assert all(member.path == "a" for member in members(content))
        else:
            try:
                found = members(content)
            except SourceRefused:
                return
            # A folder may lie outside the top one: it is nothing.
            assert all(member.path == "a" for member in found)


def test_numbers_in_base_256_are_read() -> None:
    """How tar writes a size of 8 GiB and more."""
    header = bytearray(entry("top/x").tobuf())
    header[124:136] = b"\x80" + struct.pack(">Q", 3).rjust(11, b"\0")
    content = _with_sums(bytes(header)) + b"abc".ljust(512, b"\0") + bytes(1024)
    (member,) = members(gzip.compress(content))
    assert member.content == b"abc"
