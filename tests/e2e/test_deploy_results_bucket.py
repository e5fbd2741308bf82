"""deploy/results-bucket with the real AWS provider: what goes when, and who may do what."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driftfleet.errors import StoreUnavailable
from driftfleet.s3_settings import S3Settings
from driftfleet.settings import ResultSettings
from driftfleet.store import open_store
from tests.checked import checked
from tests.conftest import lacking
from tests.e2e.aws import REGION, Cloud, find_mirror, running_cloud
from tests.s3 import have_keys

SOURCE = Path(__file__).resolve().parents[2] / "deploy" / "results-bucket"
NAME = "acme-drift-results"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/0f0e0d0c-0b0a-0908-0706-050403020100"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    mirror = find_mirror()
    if mirror is None:
        lacking("no provider mirror with hashicorp/aws: name one in DRIFT_PROVIDER_MIRROR")
    with running_cloud(tmp_path_factory.mktemp("cloud"), mirror) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def folder(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deploy") / "bucket"
    shutil.copytree(SOURCE, folder)
    # Moto knows a bucket by its path alone.
    (folder / "provider_override.tf").write_text(
        'provider "aws" {\n  s3_use_path_style = true\n}\n'
    )
    run(folder, cloud, "init", "-input=false")
    return folder


@pytest.fixture(scope="module")
def outputs(folder: Path, cloud: Cloud) -> dict[str, Any]:
    """Of what was applied."""
    variables(folder, prefix="fleet/a", history_days=30)
    run(folder, cloud, "apply", "-auto-approve", "-input=false")
    told = json.loads(run(folder, cloud, "output", "-json"))
    return {name: one["value"] for name, one in told.items()}


def run(folder: Path, cloud: Cloud, *arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        ["terraform", *arguments, "-no-color"],
        cwd=folder,
        env=dict(cloud.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == expect, f"{arguments}:\n{done.stdout}{done.stderr}"
    return done.stdout if expect == 0 else done.stderr


def variables(folder: Path, **told: Any) -> None:
    (folder / "test.auto.tfvars.json").write_text(json.dumps({"name": NAME, **told}))


def test_it_is_formatted_and_valid(folder: Path, cloud: Cloud) -> None:
    run(folder, cloud, "fmt", "-check", "-diff")
    assert json.loads(run(folder, cloud, "validate", "-json"))["diagnostics"] == []


def test_what_is_applied_keeps_results_and_lets_the_old_ones_go(
    outputs: dict[str, Any], cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = cloud.client("s3")
    rules = s3.get_bucket_lifecycle_configuration(Bucket=NAME)["Rules"]
    by_prefix = {rule["Filter"]["Prefix"]: rule for rule in rules}
    days = {prefix: rule["Expiration"].get("Days") for prefix, rule in by_prefix.items()}
    assert days == {
        "fleet/a/results/": 30, "fleet/a/sweeps/": 30, "fleet/a/days/": 400, "fleet/a/": None,
    }  # fmt: skip
    assert by_prefix["fleet/a/"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 7
    assert all(rule["Status"] == "Enabled" for rule in rules)
    assert s3.get_bucket_versioning(Bucket=NAME)["Status"] == "Enabled"
    block = s3.get_public_access_block(Bucket=NAME)["PublicAccessBlockConfiguration"]
    assert all(block.values())
    encryption = s3.get_bucket_encryption(Bucket=NAME)["ServerSideEncryptionConfiguration"]
    (rule,) = encryption["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    have_keys(monkeypatch)
    store = outputs["results_store"]
    assert store == f"s3://{NAME}/fleet/a"
    told = S3Settings(endpoint=cloud.endpoint, region=REGION)
    # This server has no TLS, and the bucket wants it of everybody.
    with pytest.raises(StoreUnavailable, match="S3 says 403"):
        open_store(ResultSettings(store=store, s3=told)).add(checked())
    writer = statements(outputs["writer_policy"])
    assert writer["KeepResults"]["Resource"] == f"arn:aws:s3:::{NAME}/fleet/a/*"
    assert set(statements(outputs["reader_policy"])) == {"SeeWhichThereAre", "ReadResults"}


def statements(policy: str) -> dict[str, Any]:
    return {one["Sid"]: one for one in json.loads(policy)["Statement"]}


def test_a_key_of_ones_own_encrypts_and_the_policies_have_the_rights_to_it(
    outputs: dict[str, Any], folder: Path, cloud: Cloud
) -> None:
    assert "ReadWithTheKey" not in outputs["reader_policy"]
    variables(folder, kms_key_arn=KEY)
    run(folder, cloud, "plan", "-input=false", "-refresh=false", "-out=plan")
    plan = json.loads(run(folder, cloud, "show", "-json", "plan"))
    found = plan["planned_values"]["root_module"]["resources"]
    resources = {one["type"]: one["values"] for one in found}
    (rule,) = resources["aws_s3_bucket_server_side_encryption_configuration"]["rule"]
    (default,) = rule["apply_server_side_encryption_by_default"]
    assert (default["kms_master_key_id"], rule["bucket_key_enabled"]) == (KEY, True)
    planned = plan["planned_values"]["outputs"]
    assert planned["results_store"]["value"] == f"s3://{NAME}"
    writer = statements(planned["writer_policy"]["value"])
    assert writer["ReadWithTheKey"]["Resource"] == writer["WriteWithTheKey"]["Resource"] == KEY


def test_wrong_variables_are_told(folder: Path, cloud: Cloud) -> None:
    variables(folder, name="Upper", prefix="fleet/", history_days=0.5)
    said = run(folder, cloud, "plan", "-input=false", "-refresh=false", expect=1)
    told = " ".join(said.replace("│", " ").split())
    for words in ("small letters", "neither begins nor ends", "At least a whole day"):
        assert words in told
