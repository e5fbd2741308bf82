"""Roots and rules -> jobs, and what a sweep's record says at its end."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from driftfleet.errors import ConfigurationError
from driftfleet.jobs import Job, Limits, Source, Variant
from driftfleet.results import Verdict
from driftfleet.settings import VariantRule
from driftfleet.variants import variants_of
from producer.found import Trouble
from producer.sweep import close_record, jobs_for, new_sweep_id, open_record

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
SOURCE = Source(kind="local", repo="/srv/infra", sha="abc")


def rule(root: str, *names: str) -> VariantRule:
    return VariantRule(root=root, variants=tuple(Variant(name=name) for name in names))


def jobs(*roots: str, rules: tuple[VariantRule, ...] = ()) -> list[Job]:
    return jobs_for(roots, sweep_id="s1", source=SOURCE, rules=rules, limits=Limits())


def names(root: str, *rules: VariantRule) -> list[str]:
    return [variant.name for variant in variants_of(root, rules)]


def test_a_root_that_no_rule_matches_has_the_one_default_variant() -> None:
    assert names("envs/prod") == ["default"]
    assert names("envs/prod", rule("network/**", "eu")) == ["default"]


def test_the_first_rule_that_matches_wins_and_the_next_adds_nothing() -> None:
    rules = (rule("envs/prod", "eu", "us"), rule("envs/*", "x"), rule("**", "y"))
    assert names("envs/prod", *rules) == ["eu", "us"]
    assert names("envs/dev", *rules) == ["x"]
    assert names(".", *rules) == ["y"]


def test_there_is_one_job_for_each_root_and_variant_in_order() -> None:
    made = jobs("b", "a", rules=(rule("b", "eu", "us"),))
    assert [(job.root, job.variant.name) for job in made] == [
        ("b", "eu"), ("b", "us"), ("a", "default"),
    ]  # fmt: skip
    assert len({job.identity for job in made}) == 3
    assert {(job.sweep_id, job.source) for job in made} == {("s1", SOURCE)}


def test_two_variants_of_one_name_are_refused_because_their_results_would_meet() -> None:
    twins = VariantRule(root="a", variants=(Variant(name="x"), Variant(name="x", workspace="w")))
    with pytest.raises(ConfigurationError, match="root 'a' are named 'x'"):
        jobs("a", rules=(twins,))


def test_a_folder_whose_name_is_no_text_is_named_and_not_left_out() -> None:
    with pytest.raises(ConfigurationError, match=r"infra/bad\\udcff'.*--exclude"):
        jobs("fine", "bad\udcff")


def test_sweep_ids_sort_by_utc_time_are_unique_and_fit_a_job() -> None:
    tokyo = (NOON + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=9)))
    earlier, later = new_sweep_id("scan", NOON), new_sweep_id("scan", tokyo)
    assert earlier.startswith("scan-20260102T120000-")
    assert earlier < later
    assert new_sweep_id("scan", NOON) != earlier
    assert Job(sweep_id=earlier, source=SOURCE, root=".").sweep_id == earlier


def test_the_record_of_a_sweep_says_what_was_asked_for_and_what_never_came() -> None:
    made = jobs("a", "b", "c")
    record = open_record(made, "s1", NOON)
    assert record.source == SOURCE.slug
    assert record.asked == tuple(job.title for job in made)
    assert record.closed_at is None
    answered = {made[0].title: Verdict.CLEAN, made[2].title: Verdict.ERROR}
    closed = close_record(record, answered, NOON + timedelta(minutes=1))
    assert closed.answered == answered
    assert closed.missing == (made[1].title,)
    assert closed.closed_at == NOON + timedelta(minutes=1)


def test_a_sweep_of_several_folders_names_each_once() -> None:
    other = Source(kind="local", repo="/srv/other")
    more = jobs_for(["x"], sweep_id="s1", source=other, rules=(), limits=Limits())
    record = open_record([*jobs("a", "b"), *more], "s1", NOON)
    assert record.source == f"{SOURCE.slug}, {other.slug}"


def test_what_could_not_be_looked_at_is_in_the_record_with_the_others_and_alone() -> None:
    trouble = Trouble("acme/gone", "acme/gone: there is no such repository")
    record = open_record(jobs("a"), "s1", NOON, [trouble])
    assert record.source == f"{SOURCE.slug}, acme/gone"
    assert record.problems == (trouble.reason,)
    alone = close_record(open_record([], "s1", NOON, [trouble]), {}, NOON)
    assert (alone.source, alone.asked, alone.missing) == ("acme/gone", (), ())
    assert alone.problems == (trouble.reason,)
