"""deploy/results-bucket with the real AWS provider: what goes when, and who may do what.

It is planned, not applied: the provider waits for a minute until a lifecycle stays as it is.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.aws import Cloud
from tests.e2e.deployment import cloud, initialised, run

__all__ = ["cloud"]

# The first of a module starts a cloud, and has the provider plan and apply several times.
pytestmark = pytest.mark.timeout(900)

NAME = "acme-drift-results"
BUCKET = f"arn:aws:s3:::{NAME}"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/0f0e0d0c-0b0a-0908-0706-050403020100"


@pytest.fixture(scope="module")
def folder(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return initialised("results-bucket", cloud, tmp_path_factory.mktemp("deploy"))


class Planned:
    """What a plan with these variables would make, and its outputs."""

    def __init__(self, folder: Path, cloud: Cloud, **variables: Any) -> None:
        (folder / "test.auto.tfvars.json").write_text(json.dumps({"name": NAME, **variables}))
        run(folder, cloud, "plan", "-input=false", "-out=plan")
        values = json.loads(run(folder, cloud, "show", "-json", "plan").stdout)["planned_values"]
        resources = values["root_module"]["resources"]
        self._values = {one["type"]: one["values"] for one in resources if "values" in one}
        self.outputs = {name: one.get("value") for name, one in values["outputs"].items()}

    def of(self, kind: str) -> dict[str, Any]:
        """The one resource of that kind, without the provider's own beginning."""
        return dict(self._values[f"aws_s3_bucket_{kind}"])

    def policy(self, name: str) -> dict[str, Any]:
        """The statements of an output that is a policy."""
        return {one["Sid"]: one for one in json.loads(self.outputs[name])["Statement"]}


def test_it_is_formatted_and_valid(folder: Path, cloud: Cloud) -> None:
    run(folder, cloud, "fmt", "-check", "-diff")
    assert json.loads(run(folder, cloud, "validate", "-json").stdout)["diagnostics"] == []


@pytest.fixture(scope="module")
def plan(folder: Path, cloud: Cloud) -> Planned:
    return Planned(folder, cloud, prefix="fleet/a", history_days=30, kms_key_arn=KEY)


def test_it_is_private_and_what_is_old_goes(plan: Planned) -> None:
    found = plan.of("lifecycle_configuration")["rule"]
    rules = {rule["filter"][0]["prefix"]: rule for rule in found}
    days = {prefix: rule["expiration"][0].get("days") for prefix, rule in rules.items()}
    assert {prefix: count or None for prefix, count in days.items()} == {
        "fleet/a/results/": 30, "fleet/a/sweeps/": 30, "fleet/a/days/": 400, "fleet/a/": None,
    }  # fmt: skip
    assert rules["fleet/a/"]["noncurrent_version_expiration"][0]["noncurrent_days"] == 7
    assert rules["fleet/a/"]["expiration"][0]["expired_object_delete_marker"] is True
    assert {rule["status"] for rule in rules.values()} == {"Enabled"}
    assert plan.of("versioning")["versioning_configuration"][0]["status"] == "Enabled"
    block = plan.of("public_access_block")
    assert all(block[f"{what}_public_{which}"] for what, which in (
        ("block", "acls"), ("block", "policy"), ("ignore", "acls"),
    ))  # fmt: skip
    assert block["restrict_public_buckets"] is True
    (only_tls,) = json.loads(plan.of("policy")["policy"])["Statement"]
    assert (only_tls["Effect"], only_tls["Resource"]) == ("Deny", [f"{BUCKET}/*", BUCKET])
    assert plan.outputs["results_store"] == f"s3://{NAME}/fleet/a"
    writer, reader = plan.policy("writer_policy"), plan.policy("reader_policy")
    assert set(reader) < set(writer)
    assert writer["KeepResults"]["Resource"] == f"{BUCKET}/fleet/a/*"
    assert reader["SeeWhichThereAre"]["Condition"] == {"StringLike": {"s3:prefix": "fleet/a/*"}}


def test_a_key_of_ones_own_encrypts_and_the_policies_have_the_rights_to_it(plan: Planned) -> None:
    (rule,) = plan.of("server_side_encryption_configuration")["rule"]
    (default,) = rule["apply_server_side_encryption_by_default"]
    assert (default["sse_algorithm"], default["kms_master_key_id"]) == ("aws:kms", KEY)
    assert rule["bucket_key_enabled"] is True
    assert plan.policy("reader_policy")["ReadWithTheKey"]["Resource"] == KEY
    assert plan.policy("writer_policy")["WriteWithTheKey"]["Resource"] == KEY


def test_wrong_variables_are_told(folder: Path, cloud: Cloud) -> None:
    wrong = {"name": "Upper", "prefix": "fleet/", "history_days": 0.5}
    (folder / "test.auto.tfvars.json").write_text(json.dumps(wrong))
    said = run(folder, cloud, "plan", "-input=false", expect=1).stderr
    told = " ".join(said.replace("│", " ").split())
    for words in ("small letters", "neither begins nor ends", "At least a whole day"):
        assert words in told
