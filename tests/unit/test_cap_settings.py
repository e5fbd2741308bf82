"""Which checks share what, and how many of them may run at once."""

import pytest
from pydantic import ValidationError

from driftfleet.cap_settings import AccountRule, CapSettings, cap_name
from driftfleet.jobs import Job, Source


def names(
    caps: CapSettings, repo: str = "acme/infra", root: str = "a", bucket: str = "b"
) -> set[str]:
    return set(caps.names(repo, root, bucket))


def test_nothing_is_limited_by_default() -> None:
    assert names(CapSettings()) == set()
    assert CapSettings().limits(["repository:a/b", "bucket:b"]) == {}


def test_a_single_one_has_its_own_limit_and_the_others_the_general_one() -> None:
    caps = CapSettings(bucket=5, named={"bucket:big": 50, "bucket:small": 1})
    assert caps.limits(["bucket:big", "bucket:small", "bucket:other", "account:x"]) == {
        "bucket:big": 50, "bucket:small": 1, "bucket:other": 5,
    }  # fmt: skip


def test_the_first_rule_that_matches_names_the_account() -> None:
    caps = CapSettings(
        account=2,
        accounts=(
            AccountRule(repo="acme/*", root="prod/**", account="prod"),
            AccountRule(root="prod/**", account="others"),
            AccountRule(repo="Acme/Infra", account="dev"),
        ),
    )
    assert caps.account_of("acme/infra", "prod/eu") == "prod"
    assert caps.account_of("ACME/infra", "prod/eu") == "prod"
    assert caps.account_of("else/infra", "prod/eu") == "others"
    assert caps.account_of("acme/infra", "dev") == "dev"
    assert caps.account_of("acme/other", "dev") is None
    assert names(caps, root="prod/eu") == {"account:prod"}
    assert names(caps, repo="acme/other", root="dev") == set()


def test_an_account_may_be_limited_by_name_alone() -> None:
    rule = AccountRule(account="prod")
    assert names(CapSettings(accounts=(rule,), named={"account:prod": 1})) == {"account:prod"}
    assert names(CapSettings(accounts=(rule,))) == set()


def test_a_repositorys_case_makes_no_difference_and_a_buckets_does() -> None:
    caps = CapSettings(named={"repository:Acme/Infra": 1, "bucket:States": 1})
    assert names(caps, repo="acme/INFRA", bucket="states") == {"repository:acme/infra"}
    assert caps.limits(["repository:acme/infra"]) == {"repository:acme/infra": 1}
    assert names(caps, bucket="States") == {"repository:acme/infra", "bucket:States"}


@pytest.mark.parametrize("name", ["with space", "ü", "a\nb", "x" * 1000, "a%20b", "\x00", "/:,"])
def test_any_name_fits_into_a_job_and_stays_apart_from_others(name: str) -> None:
    one = cap_name("bucket", name)
    source = Source(kind="local", repo="/srv", sha="abc")
    assert Job(sweep_id="s1", source=source, root="a", caps=(one,)).caps == (one,)
    assert one != cap_name("bucket", name + "y")
    assert cap_name("bucket", "a b") != cap_name("bucket", "a%20b")
    caps = CapSettings(named={f"bucket:{name}": 3}) if name.strip() else CapSettings(bucket=3)
    assert caps.limits([one]) == {one: 3}


def test_a_plain_name_is_shown_as_it_is() -> None:
    assert cap_name("bucket", "acme-tf_states.prod") == "bucket:acme-tf_states.prod"
    assert cap_name("account", "123456789012") == "account:123456789012"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"named": {"prod": 1}}, "'prod'"),
        ({"named": {"region:eu": 1}}, "'region:eu'"),
        ({"named": {"bucket:": 1}}, "'bucket:'"),
        ({"named": {"bucket:b": 0}}, "'bucket:b: 0'"),
        ({"repository": 0}, "repository"),
        ({"accounts": [{"account": "with space"}]}, "account"),
    ],
)
def test_a_limit_that_can_limit_nothing_is_refused_by_name(
    settings: dict[str, object], named: str
) -> None:
    with pytest.raises(ValidationError, match=named):
        CapSettings.model_validate(settings)
