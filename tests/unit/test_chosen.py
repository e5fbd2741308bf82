"""Which roots a command line means."""

from pathlib import Path

import pytest

from driftfleet.errors import ConfigurationError
from driftfleet.results import Verdict
from producer.chosen import Chosen, slug_of


@pytest.mark.parametrize(
    ("target", "repo", "ref", "is_meant"),
    [
        ("acme/infra", "acme/infra", "", True),
        ("ACME/Infra", "acme/infra", "", True),
        ("acme/infra", "acme/infra", "v1", True),
        ("acme/infra@v1", "acme/infra", "v1", True),
        ("acme/infra@v1", "acme/infra", "v2", False),
        ("acme/infra@v1", "acme/infra", None, True),
        ("acme/infra", "acme/infra2", "", False),
        ("org:acme", "acme/infra", "", True),
        ("org:Acme", "acme/infra", "v1", True),
        ("org:acme", "acme2/infra", "", False),
        ("local/infra-0123abcd", "local/infra-0123abcd", "", True),
        ("local/a b-0123abcd", "local/a b-0123abcd", "", True),
    ],
)
def test_a_repository_is_meant(target: str, repo: str, ref: str | None, is_meant: bool) -> None:
    assert Chosen((target,)).has_repository(repo, ref) is is_meant
    assert Chosen((target, repo)).has_repository(repo, ref)
    assert Chosen().has_repository(repo, ref)


def test_a_folder_that_is_here_means_what_was_scanned_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme/infra").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    slug = slug_of(tmp_path / "acme/infra")
    assert Chosen(("acme/infra/",)).has_repository(slug)
    # Called like a repository it may be either.
    assert Chosen(("acme/infra",)).has_repository(slug)
    assert Chosen(("acme/infra",)).has_repository("acme/infra")
    assert not Chosen(("acme",)).has_repository(slug)


def test_a_name_that_no_folder_can_have_is_none() -> None:
    assert not Chosen(("y" * 5000,)).has_repository("acme/infra")
    with pytest.raises(ConfigurationError, match="knows no root of"):
        Chosen(("y" * 300,)).require(["acme/infra"], "here")


def test_roots_are_meant_by_globs_and_verdicts_by_name() -> None:
    chosen = Chosen(roots=("envs/*/prod", "."), verdicts=(Verdict.ERROR,))
    assert chosen.has_root("envs/eu/prod")
    assert chosen.has_root(".")
    assert not chosen.has_root("envs/prod")
    assert chosen.has_verdict(Verdict.ERROR)
    assert not chosen.has_verdict(Verdict.CLEAN)
    assert Chosen().has_root("a")
    assert Chosen().has_verdict(Verdict.CLEAN)


def test_who_is_not_known_is_named_with_who_is_called_nearly_so() -> None:
    known = ["acme/infra", "acme/network", "other/thing"]
    Chosen(("acme/infra@v1", "org:other")).require(known, "here")
    with pytest.raises(ConfigurationError) as caught:
        Chosen(("acme/infar", "acme/infra", "org:nobody")).require(known, "here")
    assert caught.value.message.startswith(
        "here knows no root of acme/infar (did you mean acme/infra"
    )
    assert caught.value.message.endswith(", or of org:nobody")
