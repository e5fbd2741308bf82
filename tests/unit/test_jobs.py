"""The job: what is refused, what makes two jobs the same, and that it travels."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.errors import ContractError
from driftfleet.jobs import Job, Limits, Source, Variant, decode_job


def job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "sweep_id": "s1",
        "source": Source(kind="github", repo="acme/infra", sha="abc"),
        "root": "envs/prod",
    }
    return Job(**{**fields, **changes})


def message(**changes: Any) -> dict[str, Any]:
    return {**job().model_dump(mode="json"), **changes}


def test_a_job_survives_its_journey() -> None:
    sent = job(variant=Variant(name="eu", var_files=("a/b.tfvars",), env={"A": "1"}))
    assert decode_job(sent.model_dump(mode="json")) == sent


@pytest.mark.parametrize("root", [".", "a", "a/b c", "ä/ü", "-x", "...", "a/.b"])
def test_relative_normalised_roots_are_taken(root: str) -> None:
    assert job(root=root).root == root


@pytest.mark.parametrize("root", ["", "/", "/etc", "..", "a/..", "../a", "a/", "a//b", "./a", "\0"])
def test_roots_that_lead_anywhere_else_are_refused(root: str) -> None:
    with pytest.raises(ContractError, match="root"):
        decode_job(message(root=root))


@given(st.text(max_size=30))
def test_no_accepted_root_leaves_its_repository(root: str) -> None:
    try:
        accepted = decode_job(message(root=root)).root
    except ContractError:
        return
    assert not accepted.startswith("/")
    assert ".." not in accepted.split("/")


@pytest.mark.parametrize("name", ["", ".x", "-x", "a/b", "a b", "x" * 65, "a\n"])
def test_variant_names_that_are_no_plain_words_are_refused(name: str) -> None:
    with pytest.raises(ContractError, match=r"variant\.name"):
        decode_job(message(variant={"name": name}))


@pytest.mark.parametrize("setting", ["key=../../x", "bucket=a=b", "a/b.hcl", "role_arn=x/y"])
def test_backend_settings_are_pairs_or_paths(setting: str) -> None:
    assert Variant(backend_config=(setting,)).backend_config == (setting,)


@pytest.mark.parametrize("setting", ["../b.hcl", "/etc/passwd", "", "1=x/../.."])
def test_backend_settings_that_lead_out_are_refused(setting: str) -> None:
    with pytest.raises(ContractError, match="backend_config"):
        decode_job(message(variant={"backend_config": [setting]}))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"sweep_id": "a/b"}, "sweep_id"),
        ({"sweep_id": ""}, "sweep_id"),
        ({"source": {"kind": "ftp", "repo": "x"}}, r"source\.kind"),
        ({"source": {"kind": "local", "repo": ""}}, r"source\.repo"),
        ({"limits": {"timeout_seconds": 0}}, r"limits\.timeout_seconds"),
        ({"attempt": 0}, "attempt"),
        ({"command": "rm"}, "command"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ContractError, match=field):
        decode_job(message(**changes))


@pytest.mark.parametrize("payload", [None, [], "job", 3, {}])
def test_what_is_no_job_is_refused_and_kept_for_the_log(payload: object) -> None:
    with pytest.raises(ContractError) as caught:
        decode_job(payload)
    assert caught.value.payload == payload


def test_the_identity_is_source_sha_root_and_variant_and_nothing_else() -> None:
    same = job(sweep_id="s2", attempt=3, limits=Limits(timeout_seconds=1))
    assert same.identity == job().identity
    others = [
        job(root="envs"),
        job(source=Source(kind="github", repo="acme/infra", sha="abd")),
        job(source=Source(kind="local", repo="acme/infra", sha="abc")),
        job(variant=Variant(name="eu")),
        job(variant=Variant(workspace="eu")),
    ]
    assert len({one.identity for one in [job(), *others]}) == 6


def test_the_order_of_a_variants_environment_makes_no_other_check() -> None:
    one, two = {"A": "1", "B": "2"}, {"B": "2", "A": "1"}
    assert job(variant=Variant(env=one)).identity == job(variant=Variant(env=two)).identity


def test_folders_of_one_name_have_slugs_apart() -> None:
    slugs = {Source(kind="local", repo=repo).slug for repo in ["/a/infra", "/b/infra", "/"]}
    assert len(slugs) == 3
    assert all(slug.startswith("local/") for slug in slugs)
