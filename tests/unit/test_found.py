"""What is said of repositories in which nothing is planned."""

import pytest

from driftfleet.errors import ConfigurationError
from driftfleet.jobs import Source
from producer.discovery import Discovery, Folder
from producer.found import Found, Outlook, Trouble, require_roots, rootless_messages


def rootless(name: str, ref: str = "") -> Found:
    source = Source(kind="github", repo=name, ref=ref, sha="a" * 40)
    folder = Folder(path="lib", kind="other", reason="declares nothing")
    return Found(source, Discovery(folders=(folder,), digest="d"))


def test_the_hint_names_the_target_and_is_not_given_to_who_follows_it() -> None:
    (message,) = rootless_messages([rootless("acme/a", "v1")])
    assert "`driftfleet discover --all acme/a@v1` says why" in message
    (message,) = rootless_messages([rootless("acme/a", "v1")], shown=True)
    assert "discover" not in message
    assert "1 folder with Terraform" in message


def test_one_with_a_gap_was_not_looked_at_whole() -> None:
    found = (rootless("acme/a"), rootless("acme/b"))
    troubles = (Trouble("acme/b", "acme/b: x: too large"), Trouble("org:big", "org:big: away"))
    assert [Outlook(found, troubles).is_whole(one) for one in found] == [True, False]


def test_many_repositories_without_roots_are_one_error_of_a_few_lines() -> None:
    found = tuple(rootless(f"acme/r{n}") for n in range(58))
    with pytest.raises(ConfigurationError) as caught:
        require_roots(Outlook(found=found))
    message = caught.value.message
    assert "58 repositories" in message
    assert "discover --all acme/r0 acme/r1 acme/r2 ..." in message
    assert "--include GLOB" in message
    assert len(message.splitlines()) == 1


def test_a_single_one_is_explained_folder_by_folder() -> None:
    with pytest.raises(ConfigurationError, match=r"lib \(other\): declares nothing"):
        require_roots(Outlook(found=(rootless("acme/a"),)))
