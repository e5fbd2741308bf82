"""What a module's source names, in every spelling."""

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.module_source import Kind, parse

# --- by example: what terraform 1.11 was seen to do -------------------------------------------


@pytest.mark.parametrize(
    ("written", "kind", "clone_url"),
    [
        ("git@h.example:o/r.git", "git-ssh", "ssh://git@h.example/o/r.git"),
        ("git@h.example:/o/r.git", "git-ssh", "ssh://git@h.example/o/r.git"),
        ("git::git@h.example:o/r", "git-ssh", "ssh://git@h.example/o/r"),
        ("git::ssh://git@h.example:22/o/r", "git-ssh", "ssh://git@h.example:22/o/r"),
        ("git::git+ssh://git@h.example/o/r", "git-ssh", "git+ssh://git@h.example/o/r"),
        ("git::https://me@H.example/o/r.git", "git-https", "https://me@H.example/o/r.git"),
        ("git::HTTPS://h.example/o/r", "git-https", "https://h.example/o/r"),
        ("git::http://h.example:80/o/r", "git-http", "http://h.example:80/o/r"),
        ("git::git://h.example/o/r", "git-other", "git://h.example/o/r"),
        ("github.com/o/r", "git-https", "https://github.com/o/r.git"),
        ("git::github.com/o/r.git", "git-https", "https://github.com/o/r.git"),
        ("bitbucket.org/o/r", "git-https", "https://bitbucket.org/o/r.git"),
    ],
)
def test_what_git_is_told_to_clone(written, kind, clone_url):
    source = parse(written)
    assert (source.kind, source.clone_url, source.repo) == (kind, clone_url, "o/r")
    assert source.is_git
    assert clone_url.startswith(source.prefix)


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("./x", "local"),
        ("../x//y", "local"),
        (".\\x", "local"),
        ("terraform-aws-modules/vpc/aws", "registry"),
        ("ghe.example.com/team/vpc/aws", "registry"),
        ("ghe.example.com:8443/team/vpc/aws//modules/x", "registry"),
        ("https://h.example/vpc.zip", "http"),
        ("https://h.example/o/r.git", "http"),
        ("s3::https://s3-eu-west-1.amazonaws.com/b/vpc.zip", "s3"),
        ("bucket.s3.amazonaws.com/vpc.zip", "s3"),
        ("gcs::https://www.googleapis.com/storage/v1/m/vpc.zip", "gcs"),
        ("hg::http://h.example/vpc", "hg"),
        ("/absolute", "file"),
        ("file:///absolute", "file"),
        # What terraform doesn't understand either.
        ("ssh://git@h.example/o/r.git", "unknown"),
        ("git::ssh://git@h.example:o/r.git", "unknown"),
        ("GIT::https://h.example/o/r", "unknown"),
        ("someone@h.example:o/r", "unknown"),
        ("git::someone@h.example:o/r", "unknown"),
        ("ghe.example.com/o/r", "unknown"),
        ("github.com/o", "unknown"),
        ("git@h.example:o/r//a/../../b", "unknown"),
        ("git::https://h.example:99999/o/r", "unknown"),
        ("", "unknown"),
        ("x" * 5000, "unknown"),
        ("git::https://h.example/o/r\n", "unknown"),
    ],
)
def test_what_kind_a_source_is(written, kind):
    assert parse(written).kind == kind


def test_ref_folder_and_query():
    source = parse("git::https://h.example/o/r.git//a/./b/?ref=feature%2Fx&depth=1")
    assert (source.ref, source.folder, source.plain) == ("feature/x", "a/b", True)
    assert parse("github.com/o/r/a/b?ref=v1").folder == "a/b"
    assert parse("github.com/o/r/a//b?ref=v1").folder == "a/b"
    assert parse("git::https://h.example/o/r?ref=a//b").ref == "a//b"
    assert parse("git::https://h.example/o//r").repo == ""
    assert not parse("git::https://h.example/o/r?archive=zip").plain
    assert not parse("git::https://h.example/o/r?ref=v1#x").plain


@pytest.mark.parametrize("path", ["o", "o/r/s", "o/..", "./r", "o/r%20s", ""])
def test_a_path_that_is_no_owner_and_name_is_no_repository(path):
    assert parse(f"git::https://h.example/{path}").repo == ""


@pytest.mark.parametrize(
    "written",
    [
        "git::https://me:hunter2@h.example/o/r",
        "git::https://me:hun:ter2@at@h.example/o/r?ref=v1",
        "git::ssh://git@h.example/o/r?sshkey=hunter2&ref=v1",
        "s3::https://s3.amazonaws.com/b/k?aws_access_key_secret=hunter2",
        "ssh://me:hunter2@h.example/o/r",
        "git::https://me:hunter2@h.example:o/r",
    ],
)
def test_what_may_be_a_secret_is_not_printed(written):
    printable = parse(written).printable
    assert "ter2" not in printable
    assert "h.example" in printable or "amazonaws" in printable


# --- in general -------------------------------------------------------------------------------

_word = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True)
_hosts = st.from_regex(
    r"[A-Za-z0-9]([A-Za-z0-9-]{0,10}[A-Za-z0-9])?(\.[a-z]{2,5}){1,2}", fullmatch=True
)
_names = _word.filter(lambda n: not n.endswith(".git") and ".." not in n)
_refs = st.one_of(st.just(""), st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,20}", fullmatch=True))
_folders = st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), max_size=3).map("/".join)
# (beginning, kind, user)
_starts = st.sampled_from(
    (
        ("git@{h}:", "git-ssh", "git"),
        ("git@{h}:/", "git-ssh", "git"),
        ("git::git@{h}:", "git-ssh", "git"),
        ("git::ssh://git@{h}/", "git-ssh", "git"),
        ("git::ssh://git@{h}:22/", "git-ssh", "git"),
        ("git::ssh://someone@{h}/", "git-ssh", "someone"),
        ("git::https://{h}/", "git-https", ""),
        ("git::https://git@{h}/", "git-https", "git"),
        ("git::https://some.one@{h}:8443/", "git-https", "some.one"),
        ("git::http://{h}/", "git-http", ""),
    )
)


@given(
    start=_starts,
    host=_hosts,
    repo=st.tuples(_names, _names).map("/".join),
    inside=st.tuples(_refs, _folders),
    frills=st.tuples(st.sampled_from(("", ".git")), st.sampled_from(("", "1"))),
)
def test_each_spelling_parses_back_to_what_it_was_made_of(start, host, repo, inside, frills):
    beginning, kind, user = start
    ref, folder = inside
    dot_git, depth = frills
    parameters = [f"ref={ref}"] * bool(ref) + [f"depth={depth}"] * bool(depth)
    written = beginning.format(h=host) + repo + dot_git
    written += f"//{folder}" * bool(folder) + f"?{'&'.join(parameters)}" * bool(parameters)
    source = parse(written)
    assert (source.kind, source.user) == (kind, user)
    assert source.host == host.lower()
    assert (source.repo, source.ref, source.folder) == (repo, ref, folder)
    assert source.plain
    assert not source.has_password
    assert re.fullmatch(rf"[a-z]+://[^/]+/{re.escape(repo + dot_git)}", source.clone_url)


_garbage = st.text(
    alphabet=st.one_of(st.sampled_from("git::ssh://@.:/?#=&%[]~\\ \n\0"), st.characters())
)


@given(st.one_of(_garbage, _garbage.map("git::".__add__), _garbage.map("git::https://".__add__)))
def test_garbage_is_of_some_kind_and_raises_nothing(written):
    source = parse(written)
    assert source.kind in get_args(Kind)
    assert source.written == written
    assert isinstance(source.printable, str)
    if source.repo:
        assert not {"", ".", ".."} & {*source.repo.split("/")}
    assert not source.folder.startswith(("/", ".."))


@given(_garbage)
def test_a_password_is_never_printable(garbage):
    written = f"git::https://user:s3cr3t@h.example/{garbage}"
    assert "s3cr3t" not in parse(written).printable
