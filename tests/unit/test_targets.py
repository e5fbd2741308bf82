"""What a person may write where a target belongs, and what is said where it is nothing."""

from pathlib import Path

import pytest

from driftfleet.errors import ConfigurationError
from driftfleet.repository_rule import RepositoryRule
from driftfleet.settings import GitHubSettings, Settings
from producer.targets import Targets, read_targets, title_of

GITHUB = Settings(github=GitHubSettings(url="https://ghe.example.com"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path.resolve()


def read(*targets: str, settings: Settings = GITHUB, folders: bool = True) -> Targets:
    return read_targets(targets, settings, folders=folders)


def refusal(*targets: str, settings: Settings = GITHUB, folders: bool = True) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(*targets, settings=settings, folders=folders)
    return caught.value.message


def test_each_spelling_is_read_as_what_it_says(here: Path) -> None:
    (here / "infra").mkdir()
    got = read("infra", "acme/net", "acme/app@feature/x@2", "org:payments")
    assert got.folders == (here / "infra",)
    assert got.rules == (
        RepositoryRule(repo="acme/net"),
        RepositoryRule(repo="acme/app", ref="feature/x@2"),
        RepositoryRule(org="payments"),
    )
    assert [title_of(rule) for rule in got.rules] == [
        "acme/net", "acme/app@feature/x@2", "org:payments",
    ]  # fmt: skip


def test_a_folder_that_exists_wins_over_a_repository_of_its_name(here: Path) -> None:
    (here / "acme" / "infra").mkdir(parents=True)
    assert read("acme/infra") == Targets(folders=(here / "acme" / "infra",))


def test_without_targets_what_fleet_yaml_lists_is_taken_and_only_then() -> None:
    rules = (RepositoryRule(repo="acme/a", archived=True), RepositoryRule(org="acme"))
    settings = GITHUB.model_copy(update={"repositories": rules})
    assert read(settings=settings).rules == rules
    assert read("acme/b", settings=settings).rules == (RepositoryRule(repo="acme/b"),)


def test_nothing_named_anywhere_says_both_ways_to_name_something() -> None:
    message = refusal()
    assert "name a folder, owner/repo, owner/repo@ref or org:NAME" in message
    assert "repositories:\n    - owner/repo\n    - org: NAME" in message
    assert "folder" not in refusal(folders=False)


@pytest.mark.parametrize("target", ["acme/infra", "org:acme", "acme/infra@v1"])
def test_a_repository_without_a_github_shows_the_settings_to_make(target: str) -> None:
    message = refusal(target, settings=Settings())
    assert message.startswith(f"{target}:")
    assert "github:\n    url: https://github.example.com\n    token: env://GITHUB_TOKEN" in message
    assert "DRIFTFLEET_GITHUB__URL=https://github.example.com" in message
    assert "DRIFTFLEET_GITHUB__TOKEN=env://GITHUB_TOKEN" in message
    assert ("no such folder here" in message) == (target != "org:acme")


def test_listed_repositories_without_a_github_say_so_too() -> None:
    settings = Settings(repositories=(RepositoryRule(repo="acme/a"),))
    assert refusal(settings=settings).startswith("repositories are listed (acme/a), but no GitHub")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("acme/infra@", "names no ref after the '@': write acme/infra@BRANCH"),
        ("nowhere", "nowhere: no such folder"),
        ("acme/..", "acme/..: no such folder"),
        ("a/b/c", "a/b/c: no such folder"),
        ("org:", "names no organisation"),
        ("org:acme/infra", "names no organisation"),
        ("https://ghe.example.com/acme/infra.git", "as owner/repo: acme/infra"),
        ("git@ghe.example.com:acme/infra.git", "as owner/repo: acme/infra"),
        ("ssh://git@ghe.example.com/acme/infra", "as owner/repo: acme/infra"),
        ("äcme/infra", "no such folder"),
        ("", "an empty target (''): name a folder, owner/repo"),
        ("  ", "an empty target"),
        ("pay/infra/", "did you mean the repository pay/infra?"),
        ("pay/infra#main", "did you mean pay/infra@main?"),
        ("pay/infra:v1/x", "did you mean pay/infra@v1/x?"),
        ("pay/infra/envs", "owner/repo and taken whole: pay/infra"),
        ("pay", "an organisation org:NAME (org:pay)"),
        ("ORG:big", "did you mean org:big?"),
        ("pay/*", "all of an organisation's repositories are org:pay"),
        ("pay/infra@a..b", "pay/infra@a..b: 'a..b' is no branch, tag or commit"),
        ("pay/infra@x y", "is no branch, tag or commit"),
        ("~nobody-of-this-name/x", "home folder"),
    ],
)
def test_what_is_nothing_is_refused_with_what_to_write(target: str, words: str) -> None:
    assert words in refusal(target)


def test_one_bad_target_among_many_is_the_one_that_is_named() -> None:
    assert refusal("acme/a", "acme/b@x..y", "acme/c").startswith("acme/b@x..y: ")


def test_where_folders_are_no_use_none_is_spoken_of() -> None:
    assert "folder" not in refusal("pay/infra/envs", folders=False)
    assert "folder" not in refusal("", folders=False)


def test_a_file_is_no_target(here: Path) -> None:
    (here / "main.tf").touch()
    assert "is a file; name the folder" in refusal("main.tf")


def test_where_workers_elsewhere_plan_a_folder_is_refused_and_scan_is_named(here: Path) -> None:
    (here / "infra").mkdir()
    assert "`driftfleet scan infra`" in refusal("infra", folders=False)
    (here / "acme" / "infra").mkdir(parents=True)
    assert read("acme/infra", folders=False).rules == (RepositoryRule(repo="acme/infra"),)


def test_a_folder_beneath_another_target_is_looked_at_once_and_that_is_said(here: Path) -> None:
    (here / "infra" / "app").mkdir(parents=True)
    (here / "infra-2").mkdir()
    got = read("infra/app", "infra", "infra/", "infra-2")
    assert got.folders == (here / "infra", here / "infra-2")
    (message,) = got.messages
    assert str(here / "infra" / "app") in message


def test_one_repository_at_two_refs_is_refused_and_named_twice_is_once() -> None:
    assert "acme/a@x and Acme/A" in refusal("acme/a@x", "Acme/A")
    assert len(read("acme/a@x", "acme/a@x").rules) == 1
