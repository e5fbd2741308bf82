"""Every verdict on the real AWS provider: applied by terraform, changed through boto3."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from driftfleet.results import Change, ErrorKind, Result, Verdict
from tests.e2e.aws import HEADER, Cloud, Scan, apply, find_mirror, running_cloud, scan, write_root

# Nothing here is about how long it takes; of a busy machine it may be minutes.
pytestmark = pytest.mark.timeout(1500)

QUEUE = """
resource "aws_sqs_queue" "jobs" {
  name                       = "NAME-jobs"
  visibility_timeout_seconds = 30
}
"""
TABLE = """
resource "aws_dynamodb_table" "items" {
  name                        = "NAME-items"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "id"
  deletion_protection_enabled = false

  attribute {
    name = "id"
    type = "S"
  }
}
"""
BUCKET = """
resource "aws_s3_bucket" "logs" {
  bucket = "NAME-logs"
  tags   = { team = "platform" }
}
"""
VERSIONING = """
resource "aws_s3_bucket_versioning" "logs" {
  bucket = aws_s3_bucket.logs.id

  versioning_configuration {
    status = "Enabled"
  }
}
"""
ROLE = """
data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "worker" {
  name               = "NAME-worker"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}
"""
READ_ROLE = """
data "aws_iam_role" "worker" {
  name = aws_iam_role.worker.id
}
"""
SEND_POLICY = """
resource "aws_iam_role_policy" "send" {
  name = "send"
  role = aws_iam_role.worker.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sqs:SendMessage", Resource = RESOURCE }]
  })
}
"""
READ_POLICY = """
resource "aws_iam_policy" "read" {
  name = "NAME-read"
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "s3:GetObject", Resource = "*" }]
  })
}

resource "aws_iam_role_policy_attachment" "read" {
  role       = aws_iam_role.worker.name
  policy_arn = aws_iam_policy.read.arn
}
"""
QUEUE_MODULE = """
resource "aws_sqs_queue" "this" {
  for_each = toset(["in", "out"])
  name     = "modular-${each.key}"
}
"""
SEND_ANYWHERE = SEND_POLICY.replace("RESOURCE", '"*"')
SEND_TO_JOBS = SEND_POLICY.replace("RESOURCE", "aws_sqs_queue.jobs.arn")
EVERYTHING = QUEUE + TABLE + BUCKET + VERSIONING + ROLE + SEND_TO_JOBS + READ_POLICY


def _untouched(cloud: Cloud, name: str) -> None:
    """Nobody changes anything outside Terraform."""


def _set_timeout(queue: str, seconds: int) -> Callable[[Cloud, str], None]:
    def change(cloud: Cloud, name: str) -> None:
        sqs = cloud.client("sqs")
        url = sqs.get_queue_url(QueueName=f"{name}-{queue}")["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})

    return change


def _delete_queue(cloud: Cloud, name: str) -> None:
    sqs = cloud.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=f"{name}-jobs")["QueueUrl"])


def _delete_bucket(cloud: Cloud, name: str) -> None:
    cloud.client("s3").delete_bucket(Bucket=f"{name}-logs")


def _protect_table_and_retag_bucket(cloud: Cloud, name: str) -> None:
    dynamodb = cloud.client("dynamodb")
    dynamodb.update_table(TableName=f"{name}-items", DeletionProtectionEnabled=True)
    tags = {"TagSet": [{"Key": "team", "Value": "somebody"}]}
    cloud.client("s3").put_bucket_tagging(Bucket=f"{name}-logs", Tagging=tags)


def _widen_role(cloud: Cloud, name: str) -> None:
    iam, role = cloud.client("iam"), f"{name}-worker"
    anything = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    )
    iam.put_role_policy(RoleName=role, PolicyName="send", PolicyDocument=anything)
    for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])


@dataclass(frozen=True)
class Expected:
    """A change that must be reported; ``attributes`` is None where every one of them differs."""

    kind: str
    address: str
    action: str
    attributes: frozenset[str] | None = None

    def matches(self, change: Change) -> bool:
        return (self.kind, self.address, (self.action,)) == (
            change.kind,
            change.address,
            change.actions,
        ) and self.attributes in (None, frozenset(change.attributes))


def _expect(kind: str, address: str, action: str, *attributes: str) -> Expected:
    return Expected(kind, address, action, frozenset(attributes) if attributes else None)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is applied, what then happens to the world and to the code, and what must be found."""

    applied: str
    outside: Callable[[Cloud, str], None] = _untouched
    edits: tuple[tuple[str, str], ...] = ()
    verdict: Verdict
    changes: tuple[Expected, ...] = ()

    def code(self, name: str) -> str:
        return self.applied.replace("NAME", name)

    def edited_code(self, name: str) -> str:
        code = self.applied
        for old, new in self.edits:
            assert old in code or not old, f"{name}: nothing to edit"
            code = code.replace(old, new) if old else code + new
        return code.replace("NAME", name)


JOBS = "aws_sqs_queue.jobs"
TIMEOUT = "visibility_timeout_seconds"
CASES: Mapping[str, Case] = {
    "clean": Case(applied=EVERYTHING, verdict=Verdict.CLEAN),
    "modular": Case(
        applied='module "queues" {\n  source = "../modules/queues"\n}\n',
        outside=_set_timeout("out", 45),
        verdict=Verdict.DRIFTED,
        changes=(_expect("drift", 'module.queues.aws_sqs_queue.this["out"]', "update", TIMEOUT),),
    ),
    "protected-retagged": Case(
        applied=TABLE + BUCKET,
        outside=_protect_table_and_retag_bucket,
        verdict=Verdict.DRIFTED,
        changes=(
            _expect("drift", "aws_dynamodb_table.items", "update", "deletion_protection_enabled"),
            _expect("drift", "aws_s3_bucket.logs", "update", "tags", "tags_all"),
        ),
    ),
    "role-widened": Case(
        applied=ROLE + SEND_ANYWHERE + READ_POLICY,
        outside=_widen_role,
        verdict=Verdict.DRIFTED,
        changes=(
            _expect("drift", "aws_iam_role_policy.send", "update", "policy"),
            _expect("drift", "aws_iam_role_policy_attachment.read", "delete"),
        ),
    ),
    # The role's policy names the queue's ARN, which is unknown until the queue is made again: its
    # update comes from the deletion and is nobody's unapplied code.
    "queue-deleted": Case(
        applied=QUEUE + ROLE + SEND_TO_JOBS,
        outside=_delete_queue,
        verdict=Verdict.DRIFTED,
        changes=(_expect("drift", JOBS, "delete"),),
    ),
    "bucket-deleted": Case(
        applied=BUCKET + VERSIONING,
        outside=_delete_bucket,
        verdict=Verdict.DRIFTED,
        changes=(
            _expect("drift", "aws_s3_bucket.logs", "delete"),
            _expect("drift", "aws_s3_bucket_versioning.logs", "delete"),
        ),
    ),
    # A data source that waits for the new role is read at apply: neither drift nor unapplied.
    "code-changed": Case(
        applied=TABLE + BUCKET,
        edits=(("enabled = false", "enabled = true"), (BUCKET, ""), ("", ROLE + READ_ROLE)),
        verdict=Verdict.UNAPPLIED,
        changes=(
            _expect(
                "unapplied", "aws_dynamodb_table.items", "update", "deletion_protection_enabled"
            ),
            _expect("unapplied", "aws_s3_bucket.logs", "delete"),
            _expect("unapplied", "aws_iam_role.worker", "create"),
        ),
    ),
    "both": Case(
        applied=QUEUE + TABLE,
        outside=_set_timeout("jobs", 45),
        edits=(("enabled = false", "enabled = true"),),
        verdict=Verdict.DRIFTED_UNAPPLIED,
        changes=(
            _expect("drift", JOBS, "update", TIMEOUT),
            _expect(
                "unapplied", "aws_dynamodb_table.items", "update", "deletion_protection_enabled"
            ),
        ),
    ),
    "both-in-one": Case(
        applied=QUEUE,
        outside=_set_timeout("jobs", 45),
        edits=(("= 30", "= 30\n  delay_seconds = 5"),),
        verdict=Verdict.DRIFTED_UNAPPLIED,
        changes=(
            _expect("drift", JOBS, "update", TIMEOUT),
            _expect("unapplied", JOBS, "update", "delay_seconds"),
        ),
    ),
    "agreed": Case(
        applied=QUEUE,
        outside=_set_timeout("jobs", 45),
        edits=(("= 30", "= 45"),),
        verdict=Verdict.CLEAN,
    ),
    "output-edited": Case(
        applied=BUCKET + 'output "greeting" {\n  value = "hello"\n}\n',
        edits=(("hello", "goodbye"),),
        verdict=Verdict.UNAPPLIED,
        changes=(_expect("output", "output.greeting", "update"),),
    ),
}

CLOSED = "http://127.0.0.1:9"
UNREACHABLE = HEADER.replace(
    "s3_use_path_style = true",
    f'max_retries = 1\n  endpoints {{\n    sts = "{CLOSED}"\n    sqs = "{CLOSED}"\n  }}',
)
NO_PROFILE = HEADER.replace("s3_use_path_style = true", 'profile = "nobody"')
# (header, phase, kinds)
BROKEN: Mapping[str, tuple[str, str, ErrorKind]] = {
    "unreachable": (UNREACHABLE, "plan", ErrorKind.PLAN_FAILED),
    "no-profile": (NO_PROFILE, "plan", ErrorKind.CREDENTIALS),
}
CLEAN_COPIES = 20


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    mirror = find_mirror()
    if mirror is None:
        reason = "no provider mirror with hashicorp/aws: name one in DRIFT_PROVIDER_MIRROR"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with running_cloud(tmp_path_factory.mktemp("cloud"), mirror) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def fleet(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every case's root, applied, and then changed outside and in its code."""
    fleet = tmp_path_factory.mktemp("aws") / "fleet"
    write_root(fleet / "modules" / "queues", QUEUE_MODULE, header="")
    for name, case in CASES.items():
        write_root(fleet / name, case.code(name))
    apply([fleet / name for name in CASES], cloud.environment)
    for name, case in CASES.items():
        case.outside(cloud, name)
        write_root(fleet / name, case.edited_code(name))
    for name, (header, _, _) in BROKEN.items():
        write_root(fleet / name, QUEUE.replace("NAME", name), header)
        shutil.copy(fleet / "clean" / ".terraform.lock.hcl", fleet / name)
    return fleet


@pytest.fixture(scope="module")
def scanned(cloud: Cloud, fleet: Path, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    return _scan(fleet, cloud, tmp_path_factory)


def _scan(folder: Path, cloud: Cloud, factory: pytest.TempPathFactory) -> Scan:
    scratch = factory.mktemp("s")
    done = scan(folder, mirror=cloud.mirror, environment=cloud.environment, scratch=scratch)
    left = [path for path in (scratch / "t").rglob("*") if path.is_file()]
    assert not left, f"the scan left files behind: {left}"
    return done


def test_every_root_is_answered_and_no_child_module(scanned: Scan) -> None:
    assert set(scanned.results) == {*CASES, *BROKEN}


def test_an_error_wins_over_drift_in_the_exit_code(scanned: Scan) -> None:
    assert scanned.exit_code == 1, scanned.stderr


@pytest.mark.parametrize("name", CASES)
def test_verdict_and_exact_changes(scanned: Scan, name: str) -> None:
    result, case = scanned.results[name], CASES[name]
    assert result.verdict == case.verdict, result
    assert result.error is None
    unexpected = [c for c in result.changes if not any(e.matches(c) for e in case.changes)]
    missing = [e for e in case.changes if not any(e.matches(c) for c in result.changes)]
    assert (unexpected, missing) == ([], [])
    assert len(result.changes) == len(case.changes)


def test_a_change_names_its_module_its_type_and_its_provider(scanned: Scan) -> None:
    (change,) = scanned.results["modular"].changes
    assert change.module == "module.queues"
    assert change.type == "aws_sqs_queue"
    assert change.provider == "registry.terraform.io/hashicorp/aws"


def test_drift_that_the_code_agrees_with_is_told_in_a_note(scanned: Scan) -> None:
    assert any("aws_sqs_queue.jobs" in note for note in scanned.results["agreed"].notes)


def test_the_summary_counts_what_apply_would_do(scanned: Scan) -> None:
    counted = {
        name: (s.add, s.change, s.destroy, s.drifted)
        for name, s in ((name, scanned.results[name].summary) for name in CASES)
    }
    assert counted["clean"] == (0, 0, 0, 0)
    assert counted["modular"] == (0, 1, 0, 1)
    assert counted["code-changed"] == (1, 1, 1, 0)
    assert counted["both"] == (0, 2, 0, 1)


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_judged_is_an_error_of_its_kind(scanned: Scan, name: str) -> None:
    _, phase, kind = BROKEN[name]
    _assert_error(scanned.results[name], phase, kind)


def test_no_value_of_an_attribute_is_in_a_result(scanned: Scan) -> None:
    text = scanned.results["role-widened"].model_dump_json()
    assert "sts:AssumeRole" not in text
    assert "GetObject" not in text


def test_versions_name_the_provider_that_planned(scanned: Scan) -> None:
    versions = scanned.results["clean"].versions
    assert versions.terraform
    assert "registry.terraform.io/hashicorp/aws" in versions.providers


def test_drift_without_an_error_is_exit_code_3(
    cloud: Cloud, fleet: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    done = _scan(fleet / "protected-retagged", cloud, tmp_path_factory)
    assert {root: r.verdict for root, r in done.results.items()} == {".": Verdict.DRIFTED}
    assert done.exit_code == 3, done.stderr


def test_20_clean_plans_in_a_row_stay_clean(
    cloud: Cloud, fleet: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copies = tmp_path_factory.mktemp("copies") / "fleet"
    for number in range(CLEAN_COPIES):
        shutil.copytree(fleet / "clean", copies / f"clean-{number:02}")
    done = _scan(copies, cloud, tmp_path_factory)
    not_clean = {root: r for root, r in done.results.items() if r.verdict is not Verdict.CLEAN}
    assert not_clean == {}
    assert len(done.results) == CLEAN_COPIES
    assert done.exit_code == 0, done.stderr


def test_credentials_that_the_cloud_refuses_are_an_error(
    cloud: Cloud, fleet: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cloud.demand_credentials(after_requests=0)
    try:
        done = _scan(fleet / "clean", cloud, tmp_path_factory)
    finally:
        cloud.demand_credentials(after_requests=float("inf"))
    _assert_error(done.results["."], "plan", ErrorKind.CREDENTIALS)
    assert done.exit_code == 1


def _assert_error(result: Result, phase: str, kind: ErrorKind) -> None:
    assert result.verdict is Verdict.ERROR
    assert result.error is not None
    assert (result.error.phase, result.error.kind) == (phase, kind), result.error
    assert result.error.message
    assert result.changes == ()
