"""Which root people mean, from what they write and paste."""

from pathlib import Path

import pytest

from driftfleet.errors import ConfigurationError
from driftfleet.places import Named
from producer.chosen import Chosen, slug_of
from producer.root_name import find_root

ESCAPE = "\x1b[31m\u202e"
PROD = Named("acme/infra", "envs/prod", "default")
EU = Named("acme/infra", "envs/stage", "eu")
US = Named("acme/infra", "envs/stage", "us")
TOP = Named("acme/network", ".", "default")
OTHER = Named("acme/network", "live/prod/dns", "default")
SPACED = Named("acme/network", "a b/c", "default")
ALL = [PROD, EU, US, TOP, OTHER, SPACED]


def find(*words: str, repo: str | None = None, variant: str | None = None) -> Named:
    return find_root(words, Chosen((repo,) if repo else ()), variant, ALL)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["acme/infra envs/prod default"], PROD),
        (["acme/infra", "envs/prod", "default"], PROD),
        (["acme/infra", "envs/prod"], PROD),
        (["acme/infra/envs/prod"], PROD),
        (["acme/infra: envs/prod"], PROD),
        (["acme/infra: envs/stage [eu]"], EU),
        (["envs/stage", "eu"], EU),
        (["envs/stage/us"], US),
        (["envs/prod"], PROD),
        (["./envs/prod/"], PROD),
        (["prod"], PROD),
        (["dns"], OTHER),
        (["prod/dns"], OTHER),
        (["acme/network"], TOP),
        (["."], TOP),
        (["acme/network", "."], TOP),
        (["acme/network a b/c default"], SPACED),
        (["a", "b/c"], SPACED),
    ],
)
def test_a_root_is_found(words: list[str], expected: Named) -> None:
    assert find(*words) == expected


def test_a_repository_or_a_variant_makes_it_one() -> None:
    assert find("envs/stage", variant="us") == US
    assert find(".", repo="acme/network") == TOP
    with pytest.raises(ConfigurationError, match="no root is called"):
        find("envs/prod", repo="acme/network")


def test_a_variant_that_it_has_not_is_told_with_those_that_it_has() -> None:
    with pytest.raises(ConfigurationError, match="'envs/stage' has no variant 'cn': eu, us"):
        find("envs/stage", variant="cn")
    with pytest.raises(ConfigurationError, match="no root is called 'nowhere'"):
        find("nowhere", variant="cn")


def test_of_several_each_is_named_so_that_it_can_be_pasted() -> None:
    with pytest.raises(ConfigurationError) as caught:
        find("envs/stage")
    head, *titles = caught.value.message.splitlines()
    assert head == "'envs/stage' may be one of 2 roots; name one of them whole:"
    assert [find(*title.split()) for title in titles] == [EU, US]


def test_a_repository_names_its_root_where_that_is_its_only_one() -> None:
    known = [Named("acme/one", "envs/prod", "default"), EU, US]
    assert find_root(["acme/one"], Chosen(), None, known) == known[0]
    with pytest.raises(ConfigurationError, match="'acme/infra' may be one of 2 roots"):
        find_root(["acme/infra"], Chosen(), None, known)


def test_many_are_not_all_told() -> None:
    known = [Named("acme/infra", f"r{n}/vpc", "default") for n in range(500)]
    with pytest.raises(ConfigurationError) as caught:
        find_root(["vpc"], Chosen(), None, known)
    lines = caught.value.message.splitlines()
    assert (len(lines), lines[-1]) == (12, "  and 490 more")


def test_one_that_is_not_there_is_told_with_what_is_called_nearly_so() -> None:
    with pytest.raises(ConfigurationError) as caught:
        find("envs/prdo")
    assert "no root is called 'envs/prdo'; did you mean\n" in caught.value.message
    assert "  acme/infra envs/prod default" in caught.value.message.splitlines()
    with pytest.raises(ConfigurationError, match="`driftfleet status` shows those that there are"):
        find("nothing like it at all")


def test_a_folder_that_was_scanned_is_found_and_one_below_it(tmp_path: Path) -> None:
    (tmp_path / "infra/envs/prod").mkdir(parents=True)
    slug = slug_of(tmp_path / "infra")
    top, below = Named(slug, ".", "default"), Named(slug, "envs/prod", "default")
    known = [*ALL, top, below]
    assert find_root([str(tmp_path / "infra/envs/prod")], Chosen(), None, known) == below
    assert find_root([f"{tmp_path}/infra/"], Chosen(), None, known) == top
    with pytest.raises(ConfigurationError):
        find_root([str(tmp_path)], Chosen(), None, known)


def test_a_name_that_no_folder_can_have_is_no_root() -> None:
    with pytest.raises(ConfigurationError, match="no root is called"):
        find_root(["y" * 5000], Chosen(), None, [Named("acme/infra", "a", "default")])


def test_hostile_names_are_told_as_harmless_ones() -> None:
    known = [Named("acme/infra", f"{ESCAPE}{n}/prod", "default") for n in range(2)]
    for words in (["prod"], [f"{ESCAPE}0/prdo"]):
        with pytest.raises(ConfigurationError) as caught:
            find_root(words, Chosen(), None, known)
        assert "\x1b" not in caught.value.message
        assert "\u202e" not in caught.value.message
        assert "\\x1b[31m" in caught.value.message
