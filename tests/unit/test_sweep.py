"""Roots and rules -> jobs, and what a sweep's record says at its end."""

from datetime import UTC, datetime, timedelta

import pytest

from driftfleet.cap_settings import AccountRule, CapSettings
from driftfleet.errors import ConfigurationError
from driftfleet.jobs import Job, Limits, Source, Variant
from driftfleet.results import CheckError, ErrorKind, Timings, Verdict, error_result
from driftfleet.settings import Settings, VariantRule
from driftfleet.variants import variants_of
from producer.discovery import Folder
from producer.found import Trouble
from producer.sweep import close_record, jobs_for, open_record

ERROR = CheckError(phase="store", kind=ErrorKind.WORKER_LOST, message="lost")
NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
SOURCE = Source(kind="local", repo="/srv/infra", sha="abc")


def rule(root: str, *names: str) -> VariantRule:
    return VariantRule(root=root, variants=tuple(Variant(name=name) for name in names))


def root(path: str, backend: str | None = None, bucket: str = "") -> Folder:
    return Folder(path=path, kind="root", reason="", backend=backend, bucket=bucket)


def jobs(*roots: str, rules: tuple[VariantRule, ...] = ()) -> list[Job]:
    settings = Settings(variants=rules)
    return jobs_for(map(root, roots), sweep_id="s1", source=SOURCE, settings=settings)


def caps_of(one: Folder, *, source: Source = SOURCE, variant: Variant | None = None,
            **caps: object) -> set[str]:  # fmt: skip
    rules = (VariantRule(root="**", variants=(variant,)),) if variant else ()
    settings = Settings(variants=rules, caps=CapSettings.model_validate(caps))
    (job,) = jobs_for([one], sweep_id="s1", source=source, settings=settings)
    return set(job.caps)


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


def test_jobs_have_the_limits_of_the_settings() -> None:
    limits = Limits(timeout_seconds=60, workspace_bytes=5000)
    settings = Settings(limits=limits)
    (job,) = jobs_for([root("a")], sweep_id="s1", source=SOURCE, settings=settings)
    assert job.limits == limits


def test_without_limits_a_job_names_nothing_that_it_shares() -> None:
    assert caps_of(root("a", "s3", "states")) == set()


def test_a_job_names_its_repository_bucket_and_account_where_there_are_limits() -> None:
    rule = AccountRule(root="prod/**", account="prod")
    shared = {"repository": 5, "bucket": 3, "account": 2, "accounts": [rule]}
    github = Source(kind="github", repo="acme/infra", sha="a" * 40)
    assert caps_of(root("prod/a", "s3", "states"), source=github, **shared) == {
        "repository:acme/infra", "bucket:states", "account:prod",
    }  # fmt: skip
    assert caps_of(root("dev/a"), source=github, **shared) == {"repository:acme/infra"}
    assert caps_of(root("dev/a", "s3", "states"), source=github, bucket=3) == {"bucket:states"}


@pytest.mark.parametrize(
    ("backend", "given", "bucket"),
    [
        ("s3", (), "bucket:written"),
        ("s3", ("bucket=given",), "bucket:given"),
        ("s3", ("key=k", "bucket=first", "bucket=last"), "bucket:last"),
        ("s3", ("envs/eu.s3.tfbackend",), "bucket:written"),
        ("gcs", ("bucket=given",), "bucket:given"),
        ("azurerm", ("bucket=no", "storage_account_name=given"), "bucket:given"),
        ("local", ("bucket=no",), "bucket:written"),
    ],
)
def test_the_bucket_is_what_the_variant_says_else_what_is_written(
    backend: str, given: tuple[str, ...], bucket: str
) -> None:
    variant = Variant(backend_config=given)
    assert caps_of(root("a", backend, "written"), variant=variant, bucket=1) == {bucket}


def test_a_single_one_can_be_limited_by_its_name_alone() -> None:
    github = Source(kind="github", repo="acme/infra", sha="a" * 40)
    named = {"named": {"bucket:states": 1, "repository:acme/infra": 2}}
    assert caps_of(root("a", "s3", "states"), source=github, **named) == {
        "repository:acme/infra", "bucket:states",
    }  # fmt: skip
    assert caps_of(root("a", "s3", "other"), **named) == set()


@pytest.mark.parametrize("bucket", ["with space", "großer-eimer", "line\nbreak", "x" * 400])
def test_whatever_a_bucket_is_called_its_root_is_checked(bucket: str) -> None:
    caps = caps_of(root("a", "s3", bucket), bucket=1)
    assert len(caps) == 1
    assert caps != caps_of(root("a", "s3", bucket + "2"), bucket=1)


def test_a_folder_of_any_name_can_be_limited(tmp_path: object) -> None:
    spoken = Source(kind="local", repo="/srv/my infra ü", sha="abc")
    assert len(caps_of(root("a"), source=spoken, repository=1)) == 1


def test_the_record_of_a_sweep_says_what_was_asked_for_and_what_never_came() -> None:
    made = jobs("a", "b", "c")
    record = open_record(made, "s1", NOON)
    assert record.source == SOURCE.slug
    assert record.asked == tuple(job.title for job in made)
    assert record.closed_at is None
    lost = error_result(made[2], ERROR, "w", at=NOON)
    clean = lost.model_copy(
        update={
            "job": made[0],
            "verdict": Verdict.CLEAN,
            "error": None,
            "timings_seconds": Timings(plan=2, total=3),
        }
    )
    closed = close_record(record, [lost, clean], NOON + timedelta(minutes=1))
    assert closed.answered == {made[0].title: Verdict.CLEAN, made[2].title: Verdict.ERROR}
    assert closed.summary is not None
    assert closed.summary.verdicts == {Verdict.CLEAN: 1, Verdict.ERROR: 1}
    assert closed.summary.errors == {made[2].title: ErrorKind.WORKER_LOST}
    assert closed.summary.timings_seconds == Timings(plan=2, total=3)
    assert [one.title for one in closed.summary.slowest] == [made[0].title, made[2].title]
    assert closed.missing == (made[1].title,)
    assert closed.closed_at == NOON + timedelta(minutes=1)


def test_a_sweep_of_several_folders_names_each_once() -> None:
    other = Source(kind="local", repo="/srv/other")
    more = jobs_for([root("x")], sweep_id="s1", source=other, settings=Settings())
    record = open_record([*jobs("a", "b"), *more], "s1", NOON)
    assert record.source == f"{SOURCE.slug}, {other.slug}"


def test_what_could_not_be_looked_at_is_in_the_record_with_the_others_and_alone() -> None:
    trouble = Trouble("acme/gone", "acme/gone: there is no such repository")
    record = open_record(jobs("a"), "s1", NOON, [trouble])
    assert record.source == f"{SOURCE.slug}, acme/gone"
    assert record.problems == (trouble.reason,)
    alone = close_record(open_record([], "s1", NOON, [trouble]), (), NOON)
    assert (alone.source, alone.asked, alone.missing) == ("acme/gone", (), ())
    assert alone.problems == (trouble.reason,)
