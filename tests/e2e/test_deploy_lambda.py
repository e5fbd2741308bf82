"""deploy/lambda with the real AWS provider: rules and targets, and who may do what."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from driftfleet.configuration import load_settings
from tests.e2e.aws import Cloud
from tests.e2e.deployment import cloud, initialised, run
from worker.aws_lambda_event import CheckRequest, decode_event

__all__ = ["cloud"]

# The first of a module starts a cloud, and has the provider plan and apply several times.
pytestmark = pytest.mark.timeout(900)

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:driftfleet-AbCdEf"
PLANS = "arn:aws:iam::123456789012:role/plans"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd"
ROOTS = {
    "payments/one": ["."],
    "payments/five": [f"envs/{number}" for number in range(5)],
    "payments/twelve": [f"envs/{number}" for number in range(12)],
}
VARIABLES: Mapping[str, Any] = {
    "image_uri": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/driftfleet:1",
    "github_url": "https://github.example.com",
    "github_token_secret_arn": SECRET,
    "results_store": "s3://results/fleet/a",
    "roots": ROOTS,
}


@pytest.fixture(scope="module")
def folder(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return initialised("lambda", cloud, tmp_path_factory.mktemp("deploy"))


def planned(folder: Path, cloud: Cloud, **variables: Any) -> list[dict[str, Any]]:
    """The resources of a plan: ``type``, ``index`` and ``values`` of each."""
    (folder / "test.auto.tfvars.json").write_text(json.dumps({**VARIABLES, **variables}))
    run(folder, cloud, "plan", "-input=false", "-out=plan")
    plan = json.loads(run(folder, cloud, "show", "-json", "plan").stdout)
    resources = plan["planned_values"]["root_module"]["resources"]
    return [one for one in resources if one["mode"] == "managed"]


def of_type(resources: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one["values"] for one in resources if one["type"] == kind]


def test_it_is_formatted_and_valid(folder: Path, cloud: Cloud) -> None:
    run(folder, cloud, "fmt", "-check", "-diff")
    answer = json.loads(run(folder, cloud, "validate", "-json").stdout)
    assert answer["diagnostics"] == []


def test_a_repository_has_a_rule_for_each_five_of_its_roots(folder: Path, cloud: Cloud) -> None:
    resources = planned(folder, cloud)
    rules = of_type(resources, "aws_cloudwatch_event_rule")
    assert len(rules) == 1 + 1 + 3
    assert len({rule["name"] for rule in rules}) == len(rules)
    assert all(len(rule["name"]) <= 64 for rule in rules)
    targets = of_type(resources, "aws_cloudwatch_event_target")
    assert sorted(Counter(target["rule"] for target in targets).values()) == [1, 2, 5, 5, 5]
    asked = [decode_event(json.loads(target["input"])) for target in targets]
    assert all(isinstance(one, CheckRequest) for one in asked)
    found = sorted((one.repo, one.root) for one in asked if isinstance(one, CheckRequest))
    assert found == sorted((repo, root) for repo, roots in ROOTS.items() for root in roots)
    (permission,) = of_type(resources, "aws_lambda_permission")
    prefix = permission["source_arn"].rpartition("/")[2].removesuffix("*")
    assert all(rule["name"].startswith(prefix) for rule in rules)


def test_rules_of_a_repository_share_a_time_of_the_hours_named(folder: Path, cloud: Cloud) -> None:
    rules = of_type(planned(folder, cloud, hours=[2, 4]), "aws_cloudwatch_event_rule")
    times = {rule["description"]: rule["schedule_expression"] for rule in rules}
    assert len(set(times.values())) == len(ROOTS)
    assert {time.split()[1] for time in times.values()} <= {"2", "4"}


def test_variants_are_targets_of_their_own(folder: Path, cloud: Cloud) -> None:
    variants = {"payments/one": {".": ["eu", "us"]}}
    resources = planned(folder, cloud, variants=variants, schedule="rate(6 hours)")
    inputs = [json.loads(t["input"]) for t in of_type(resources, "aws_cloudwatch_event_target")]
    of_one = [event for event in inputs if event["repo"] == "payments/one"]
    assert sorted(event["variant"] for event in of_one) == ["eu", "us"]
    assert not [event for event in inputs if event not in of_one and "variant" in event]


def test_a_file_system_is_mounted_and_may_be_used(folder: Path, cloud: Cloud) -> None:
    point = (
        "arn:aws:elasticfilesystem:eu-central-1:123456789012:access-point/fsap-0123456789abcdef0"
    )
    file_system = {
        "access_point_arn": point,
        "mount": "/mnt/fleet",
        "subnet_ids": ["subnet-1"],
        "security_group_ids": ["sg-1"],
    }
    resources = planned(
        folder,
        cloud,
        file_system=file_system,
        results_store="file:///mnt/fleet/results",
        plan_policy_arns=["arn:aws:iam::aws:policy/ReadOnlyAccess"],
    )
    (function,) = of_type(resources, "aws_lambda_function")
    assert function["file_system_config"] == [{"arn": point, "local_mount_path": "/mnt/fleet"}]
    attached = {one["policy_arn"] for one in of_type(resources, "aws_iam_role_policy_attachment")}
    assert {arn.rpartition("/")[2] for arn in attached} == {
        "AWSLambdaVPCAccessExecutionRole",
        "ReadOnlyAccess",
    }
    # What the first of them lets Lambda do with any network interface, no plan may.
    (network,) = [
        json.loads(one["policy"])["Statement"][0]
        for one in of_type(resources, "aws_iam_role_policy")
        if one["name"] == "network"
    ]
    assert network["Effect"] == "Deny"
    assert "ec2:DeleteNetworkInterface" in network["Action"]
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:driftfleet"
    assert network["Condition"] == {"ArnEquals": {"lambda:SourceFunctionArn": arn}}


def test_what_is_applied_is_what_lambda_and_eventbridge_take(folder: Path, cloud: Cloud) -> None:
    planned(folder, cloud, results_kms_key_arn=KEY, plan_role_arn=PLANS)
    run(folder, cloud, "apply", "-input=false", "plan")
    try:
        function = cloud.client("lambda").get_function_configuration(FunctionName="driftfleet")
        assert function["PackageType"] == "Image"
        variables = function["Environment"]["Variables"]
        assert variables["DRIFTFLEET_GITHUB__TOKEN"] == f"secretsmanager://{SECRET}"
        events = cloud.client("events")
        names = [rule["Name"] for rule in events.list_rules()["Rules"]]
        of_rules = [events.list_targets_by_rule(Rule=name)["Targets"] for name in names]
        assert sorted(map(len, of_rules)) == [1, 2, 5, 5, 5]
        policy = cloud.client("iam").get_role_policy(RoleName="driftfleet", PolicyName="check")
        allowed = {one["Sid"]: one for one in policy["PolicyDocument"]["Statement"]}
        assert allowed["ReadTheToken"]["Resource"] == SECRET
        assert allowed["KeepResults"]["Resource"] == "arn:aws:s3:::results/fleet/a/*"
        assert sorted(allowed["EncryptResults"]["Action"]) == ["kms:Decrypt", "kms:GenerateDataKey"]
        assert allowed["EncryptResults"]["Resource"] == KEY
        assert allowed["PlanAsAnother"]["Resource"] == PLANS
        assert load_settings(environment=variables).worker.plan_role == PLANS
        results = load_settings(environment=variables).results
        assert (results.store, results.s3.kms_key) == (VARIABLES["results_store"], KEY)
        assert not [one for one in allowed.values() if one["Resource"] == "*"]
        assert run(folder, cloud, "plan", "-detailed-exitcode", "-input=false")
    finally:
        run(folder, cloud, "destroy", "-auto-approve", "-input=false")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("roots", {"nobody": ["."]}, "Repositories are owner/name"),
        ("results_store", "file:///tmp/results", "nothing else lasts"),
        ("results_store", "file:///mnt/fleet/results", "name the file_system"),
        ("hours", [], "there must be one at least"),
    ],
)
def test_a_wrong_variable_is_told(
    folder: Path, cloud: Cloud, variable: str, value: Any, words: str
) -> None:
    (folder / "test.auto.tfvars.json").write_text(json.dumps({**VARIABLES, variable: value}))
    done = run(folder, cloud, "plan", "-input=false", expect=1)
    assert words in " ".join(done.stderr.replace("│", " ").split())
