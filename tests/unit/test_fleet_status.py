"""Which roots are there, which are gone, and of which nothing is known."""

import pytest

from driftfleet.fleet_status import fleet_status
from driftfleet.jobs import Job
from driftfleet.latest import follow
from driftfleet.places import latest_key, named, place, place_of_latest
from driftfleet.repository_roots import RepositoryRoots, roots_of
from driftfleet.root_status import RootStatus, status_of
from tests.checked import at, checked, job


def known(of: Job, hours: float = 0) -> RootStatus:
    return status_of(latest_key(of), follow(None, checked(of, hours)))


def look(*jobs: Job, hours: float, repo: str = "acme/infra", ref: str = "") -> RepositoryRoots:
    return roots_of(job(repo=repo, ref=ref).source, jobs, at(hours))


A, B, C = job("a"), job("b"), job("b", "eu")


def test_without_any_look_all_that_were_answered_are_there() -> None:
    fleet = fleet_status([known(B), known(A)], [], {})
    assert [one.root for one in fleet.roots] == ["a", "b"]
    assert (fleet.gone, fleet.never) == ((), ())


def test_what_a_later_look_did_not_find_is_gone() -> None:
    fleet = fleet_status([known(A), known(B)], [look(A, hours=1)], {})
    assert [one.root for one in fleet.roots] == ["a"]
    assert [one.root for one in fleet.gone] == ["b"]


def test_what_was_checked_after_the_look_is_there() -> None:
    fleet = fleet_status([known(A), known(B, hours=2)], [look(A, hours=1)], {})
    assert [one.root for one in fleet.roots] == ["a", "b"]


def test_what_a_look_found_and_nobody_answered_is_told() -> None:
    fleet = fleet_status([known(A)], [look(A, B, C, hours=1)], {})
    assert fleet.never == (place(B), place(C))


def test_a_record_that_cant_be_read_is_no_root_that_was_never_answered() -> None:
    fleet = fleet_status([known(A)], [look(A, B, hours=1)], {latest_key(B): "no JSON"})
    assert fleet.never == ()
    assert dict(fleet.unreadable) == {latest_key(B): "no JSON"}


def test_of_two_refs_a_root_is_there_where_one_has_it() -> None:
    looks = [look(A, hours=1, ref="main"), look(B, hours=1, ref="v1")]
    fleet = fleet_status([known(A), known(B), known(C)], looks, {})
    assert [one.root for one in fleet.roots] == ["a", "b"]
    assert fleet.gone == (known(C),)


def test_it_is_not_gone_before_each_ref_was_looked_at() -> None:
    looks = [look(A, hours=1, ref="main"), look(hours=-1, ref="v1")]
    assert fleet_status([known(B)], looks, {}).gone == ()


def test_a_ref_that_nobody_looks_at_any_more_says_nothing() -> None:
    """Such as a branch that somebody asked for once, or the one before another default."""
    looks = [look(A, B, C, hours=0, ref="try"), look(A, hours=7 * 24 + 1)]
    fleet = fleet_status([known(A), known(B)], looks, {})
    assert (fleet.gone, fleet.never) == ((known(B),), ())
    looks = [look(A, B, C, hours=0, ref="try"), look(A, hours=7 * 24 - 1)]
    fleet = fleet_status([known(A), known(B)], looks, {})
    assert (fleet.gone, fleet.never) == ((), (place(C),))


def test_a_look_at_another_repository_says_nothing() -> None:
    assert fleet_status([known(A)], [look(hours=1, repo="acme/other")], {}).gone == ()


def test_a_repository_of_another_spelling_is_the_same() -> None:
    fleet = fleet_status([known(A)], [look(hours=1, repo="Acme/Infra")], {})
    assert fleet.gone == (known(A),)


def test_names_come_back_from_keys() -> None:
    for one in (job("."), job("@root"), job("a b/c%d/x.json"), job("ü/…", "eu"), job(".hidden")):
        assert named(place(one)).title == one.title
        assert place_of_latest(latest_key(one)) == place(one)
    assert named(place(job("x" * 300))).root.startswith("x" * 100)


@pytest.mark.parametrize("strange", ["", "README", "a/b", "a/b/c", "%41/", "//"])
def test_what_is_no_place_names_no_root(strange: str) -> None:
    assert (named(strange).root, named(strange).variant) == ("", "")
    look_at_it = RepositoryRoots(repo="acme/infra", at=at(1), places=(strange,))
    assert fleet_status([known(A)], [look_at_it], {}).never == (strange,)
