# ruff: noqa: E501 - Terraform code in one line each
"""Records what terraform says about a root whose world or code changed: plans/NAME.json.

    python tests/unit/recordings/record_plans.py MIRROR [NAME...]

It needs terraform on the PATH, an unpacked mirror with the AWS provider, and moto's server, which
it starts on a free port. Every root is applied, something happens outside or in the code, and the
plan is kept, without what no judgement reads and without the paths of the machine.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

HERE = Path(__file__).parent
KEPT = (
    "format_version", "terraform_version", "resource_drift", "resource_changes", "output_changes",
    "relevant_attributes", "configuration", "errored", "complete", "applyable",
)  # fmt: skip

PROVIDER = """
provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "testing"
  secret_key                  = "testing"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  endpoints {
    cloudwatchlogs = "%(url)s"
    ssm            = "%(url)s"
    sns            = "%(url)s"
    iam            = "%(url)s"
    dynamodb       = "%(url)s"
  }
}
"""


@dataclass(frozen=True)
class World:
    """The pretended cloud, and the prefix that keeps one scenario's things apart."""

    url: str
    name: str

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="eu-central-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"max_attempts": 1}),
        )

    def retain(self, days: int, group: str = "main") -> None:
        self.client("logs").put_retention_policy(
            logGroupName=f"/{self.name}/{group}", retentionInDays=days
        )

    def tag(self, group: str = "main", **tags: str) -> None:
        self.client("logs").tag_log_group(logGroupName=f"/{self.name}/{group}", tags=tags)

    def drop(self, group: str = "main") -> None:
        self.client("logs").delete_log_group(logGroupName=f"/{self.name}/{group}")

    def put(self, value: str, parameter: str = "first") -> None:
        self.client("ssm").put_parameter(
            Name=f"/{self.name}/{parameter}", Value=value, Type="String", Overwrite=True
        )


def nothing(world: World) -> None:
    """The world stays as it was applied."""


@dataclass(frozen=True)
class Scenario:
    """``applied`` is applied, then ``outside`` happens, then ``code`` is planned."""

    applied: str
    code: str | None = None
    outside: Callable[[World], None] = nothing
    aws: bool = True
    tainted: str = ""


def group(days: int = 30, extra: str = "", label: str = "main", name: str = "main") -> str:
    return f"""
resource "aws_cloudwatch_log_group" "{label}" {{
  name              = "/NAME/{name}"
  retention_in_days = {days}
  {extra}
}}
"""


def parameter(label: str, value: str, extra: str = "", sensitive: bool = False) -> str:
    word = "value" if sensitive else "insecure_value"
    return f"""
resource "aws_ssm_parameter" "{label}" {{
  name  = "/NAME/{label}"
  type  = "String"
  {word} = {value}
  {extra}
}}
"""


OUTPUT = 'output "days" { value = aws_cloudwatch_log_group.main.retention_in_days }\n'
STREAM = """
resource "aws_cloudwatch_log_stream" "s" {
  name           = "s"
  log_group_name = aws_cloudwatch_log_group.main.name
}
"""
TOPIC = """
resource "aws_sns_topic" "t" {
  name = "NAME"
}
resource "aws_sns_topic_subscription" "s" {
  topic_arn = aws_sns_topic.t.arn
  protocol  = "sqs"
  endpoint  = "arn:aws:sqs:eu-central-1:123456789012:q"
}
"""
ROLE = """
resource "aws_iam_role" "r" {
  name               = "NAME"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [
    { Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }] })
}
resource "aws_iam_role_policy" "p" {
  name   = "p"
  role   = aws_iam_role.r.id
  policy = jsonencode({ Version = "2012-10-17", Statement = [
    { Effect = "Allow", Action = "s3:GetObject", Resource = "*" }] })
}
"""
TWO_LEVELS = """
module "outer" {
  source = "./outer"
  days   = DAYS
}
output "copied" { value = module.outer.copied }
"""


def drop_role(world: World) -> None:
    iam = world.client("iam")
    iam.delete_role_policy(RoleName=world.name, PolicyName="p")
    iam.delete_role(RoleName=world.name)


def drop_topic(world: World) -> None:
    world.client("sns").delete_topic(TopicArn=f"arn:aws:sns:eu-central-1:123456789012:{world.name}")


DATA = 'resource "terraform_data" "%s" {\n  input = %s\n}\n'


def data(label: str, value: str) -> str:
    return DATA % (label, value)


ECHO = (
    parameter("first", '"one"', 'lifecycle { ignore_changes = [insecure_value] }')
    + parameter("second", "aws_ssm_parameter.first.insecure_value")
)  # fmt: skip

IGNORED = parameter("first", '"VALUE"', "lifecycle { ignore_changes = [insecure_value] }")
COUNTED = """
resource "terraform_data" "many" {
  count = tonumber(aws_ssm_parameter.first.insecure_value)
  input = count.index
}
"""

SCENARIOS: dict[str, Scenario] = {
    "no_change": Scenario(group()),
    "noise_only": Scenario(group() + TOPIC + ROLE),
    "code_changed": Scenario(group(30), group(60)),
    "changed_outside": Scenario(group(30), outside=lambda w: w.retain(60)),
    "tags_changed_outside": Scenario(
        group(30, 'tags = { owner = "a" }'), outside=lambda w: w.tag(owner="b", extra="c")
    ),
    "code_agrees": Scenario(group(30), group(60), lambda w: w.retain(60)),
    "code_agrees_output": Scenario(group(30) + OUTPUT, group(60) + OUTPUT, lambda w: w.retain(60)),
    "third_value": Scenario(group(30), group(90), lambda w: w.retain(60)),
    "drift_and_other_attribute": Scenario(
        group(30), group(30, 'tags = { owner = "a" }'), lambda w: w.retain(60)
    ),
    "agreed_and_other_attribute": Scenario(
        group(30), group(60, 'tags = { owner = "a" }'), lambda w: w.retain(60)
    ),
    "deleted_outside": Scenario(group() + STREAM, outside=lambda w: w.drop()),
    "deleted_outside_dependents": Scenario(TOPIC, outside=drop_topic),
    "deleted_outside_role": Scenario(ROLE, outside=drop_role),
    "deleted_outside_unknown_dependent": Scenario(
        TOPIC
        + parameter("copy", "aws_sns_topic.t.id")
        + 'output "t" { value = aws_sns_topic.t.arn }',
        outside=drop_topic,
    ),
    "deleted_outside_code_changed": Scenario(group(30), group(60), lambda w: w.drop()),
    "deleted_outside_code_removed": Scenario(
        group(30) + data("x", "1"), data("x", "1"), lambda w: w.drop()
    ),
    "changed_outside_code_removed": Scenario(
        group(30) + data("x", "1"), data("x", "1"), lambda w: w.retain(60)
    ),
    "drift_ignored": Scenario(
        group(30, "lifecycle { ignore_changes = [retention_in_days] }"),
        outside=lambda w: w.retain(60),
    ),
    "drift_passes_on": Scenario(ECHO, outside=lambda w: w.put("two")),
    "drift_passes_on_in_a_text": Scenario(
        parameter("first", '"one"', "lifecycle { ignore_changes = [insecure_value] }")
        + parameter("second", '"x ${aws_ssm_parameter.first.version} y"')
        + parameter("third", '"${aws_ssm_parameter.second.insecure_value} z"'),
        outside=lambda w: w.put("two"),
    ),
    "drift_passes_on_by_local": Scenario(
        "locals { v = upper(aws_ssm_parameter.first.insecure_value) }\n"
        + parameter("first", '"one"', "lifecycle { ignore_changes = [insecure_value] }")
        + data("second", "local.v")
        + 'output "v" { value = local.v }\n',
        outside=lambda w: w.put("two"),
    ),
    "drift_undone_with_unknown_dependent": Scenario(
        parameter("first", '"one"')
        + parameter("second", "tostring(aws_ssm_parameter.first.version)"),
        outside=lambda w: w.put("two"),
    ),
    "drift_sensitive": Scenario(
        parameter("first", '"one"', sensitive=True), outside=lambda w: w.put("two")
    ),
    "computed_drift_code_changed": Scenario(
        parameter("first", '"one"'), parameter("first", '"three"'), lambda w: w.put("one")
    ),
    "replaced_by_code": Scenario(group(30), group(30, name="other")),
    "replaced_by_code_and_drifted": Scenario(
        group(30), group(30, name="other"), lambda w: w.retain(60)
    ),
    "replaced_before_destroy": Scenario(
        group(30, "lifecycle { create_before_destroy = true }"),
        group(30, "lifecycle { create_before_destroy = true }", name="other"),
    ),
    "drift_unrelated_to_code": Scenario(
        group(30) + group(30, label="b", name="b"),
        group(30) + group(60, label="b", name="b"),
        lambda w: w.retain(60),
    ),
    "drift_unrelated_to_clock": Scenario(
        group(30) + data("clock", "timestamp()"), outside=lambda w: w.retain(60)
    ),
    "drift_in_count_and_each": Scenario(
        group(30, "count = 2", name="c${count.index}")
        + group(30, 'for_each = toset(["a", "b"])', label="e", name="e${each.key}"),
        outside=lambda w: (w.retain(60, "c1"), w.retain(90, "eb"), None)[2],
    ),
    "drift_in_modules": Scenario(
        TWO_LEVELS.replace("DAYS", "30"), outside=lambda w: w.retain(60, "deep")
    ),
    "drift_in_modules_code_agrees": Scenario(
        TWO_LEVELS.replace("DAYS", "30"),
        TWO_LEVELS.replace("DAYS", "60"),
        lambda w: w.retain(60, "deep"),
    ),
    "moved": Scenario(
        data("a", "1"),
        data("b", "1") + "moved {\n from = terraform_data.a\n to = terraform_data.b\n}\n",
        aws=False,
    ),
    "moved_and_drifted": Scenario(
        group(30),
        group(30, label="b")
        + "moved {\n from = aws_cloudwatch_log_group.main\n to = aws_cloudwatch_log_group.b\n}\n",
        lambda w: w.retain(60),
    ),
    "forgotten": Scenario(
        data("a", "1"),
        "removed {\n from = terraform_data.a\n lifecycle { destroy = false }\n}\n",
        aws=False,
    ),
    "imported": Scenario(
        data("x", "1"),
        group(30)
        + data("x", "1")
        + 'import {\n to = aws_cloudwatch_log_group.main\n id = "/NAME/main"\n}\n',
        lambda w: (w.client("logs").create_log_group(logGroupName=f"/{w.name}/main"), w.retain(30))[
            1
        ],
    ),
    "created_by_code": Scenario(data("a", "1"), data("a", "1") + data("b", "1"), aws=False),
    "removed_from_code": Scenario(data("a", "1") + data("b", "1"), data("a", "1"), aws=False),
    "count_reduced": Scenario(
        'resource "terraform_data" "a" {\n count = 3\n input = 1\n}\n',
        'resource "terraform_data" "a" {\n count = 1\n input = 1\n}\n',
        aws=False,
    ),
    "output_added": Scenario(
        data("a", "1"), data("a", "1") + 'output "o" { value = 1 }', aws=False
    ),
    "output_changed": Scenario('output "o" { value = 1 }', 'output "o" { value = 2 }', aws=False),
    "output_removed": Scenario(
        data("a", "1") + 'output "o" { value = 1 }', data("a", "1"), aws=False
    ),
    "output_sensitive_now": Scenario(
        'output "o" { value = 1 }', 'output "o" {\n value = 1\n sensitive = true\n}', aws=False
    ),
    "sensitivity_changed": Scenario(data("a", '"x"'), data("a", 'sensitive("x")'), aws=False),
    "tainted": Scenario(data("a", "1"), aws=False, tainted="terraform_data.a"),
    "tainted_beside_drift": Scenario(
        group(30) + data("a", "1"), outside=lambda w: w.retain(60), tainted="terraform_data.a"
    ),
    "replace_triggered_by_drift": Scenario(
        group(30)
        + 'resource "terraform_data" "a" {\n lifecycle {\n'
        + "  replace_triggered_by = [aws_cloudwatch_log_group.main.retention_in_days]\n }\n}\n",
        outside=lambda w: w.retain(60),
    ),
    "read_only_later": Scenario(
        data("a", "1"),
        data("a", "1")
        + 'data "terraform_remote_state" "r" {\n backend = "local"\n'
        + ' config = { path = "${timestamp()}.tfstate" }\n}\n',
        aws=False,
    ),
    "data_reads_drift": Scenario(
        group(30)
        + 'data "aws_cloudwatch_log_group" "d" {\n name = "/NAME/main"\n'
        + " depends_on = [aws_cloudwatch_log_group.main]\n}\n"
        + data("copy", "data.aws_cloudwatch_log_group.d.retention_in_days"),
        outside=lambda w: w.retain(60),
    ),
    "tags_agreed_and_added": Scenario(
        group(30, 'tags = { a = "1" }'),
        group(30, 'tags = { a = "1", b = "2", c = "3" }'),
        lambda w: w.tag(b="2"),
    ),
    "tags_drift_and_added": Scenario(
        group(30, 'tags = { a = "1" }'),
        group(30, 'tags = { a = "1", c = "3" }'),
        lambda w: w.tag(b="2"),
    ),
    "drift_passes_through_module": Scenario(
        IGNORED.replace("VALUE", "one")
        + 'module "m" {\n source = "./upper"\n value = aws_ssm_parameter.first.insecure_value\n}\n',
        outside=lambda w: w.put("two"),
    ),
    "drift_decides_count_down": Scenario(
        IGNORED.replace("VALUE", "2") + COUNTED, outside=lambda w: w.put("1")
    ),
    "drift_decides_count_up": Scenario(
        IGNORED.replace("VALUE", "1") + COUNTED, outside=lambda w: w.put("2")
    ),
    "local_changed_beside_drift": Scenario(
        IGNORED.replace("VALUE", "one")
        + data("second", "aws_ssm_parameter.first.insecure_value")
        + group(30, "tags = local.tags")
        + 'locals { tags = { a = "1" } }\n',
        IGNORED.replace("VALUE", "one")
        + data("second", "aws_ssm_parameter.first.insecure_value")
        + group(30, "tags = local.tags")
        + 'locals { tags = { a = "2" } }\n',
        lambda w: w.put("two"),
    ),
    "policy_changed_outside": Scenario(
        ROLE,
        outside=lambda w: w.client("iam").put_role_policy(
            RoleName=w.name,
            PolicyName="p",
            PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}',
        ),
    ),
    "output_computed_from_drift": Scenario(
        group(30, "lifecycle { ignore_changes = [retention_in_days] }")
        + 'output "double" { value = aws_cloudwatch_log_group.main.retention_in_days * 2 }\n',
        outside=lambda w: w.retain(60),
    ),
    "imported_and_changed": Scenario(
        data("x", "1"),
        group(30)
        + data("x", "1")
        + 'import {\n to = aws_cloudwatch_log_group.main\n id = "/NAME/main"\n}\n',
        lambda w: (w.client("logs").create_log_group(logGroupName=f"/{w.name}/main"), w.retain(60))[
            1
        ],
    ),
    "removed_and_drift_elsewhere": Scenario(
        group(30) + data("b", "1"), group(30), lambda w: w.retain(60)
    ),
    "drift_and_code_chain": Scenario(
        parameter("first", '"one"') + data("x", "tostring(aws_ssm_parameter.first.version)"),
        parameter("first", '"one"') + data("x", '"new ${aws_ssm_parameter.first.version}"'),
        lambda w: w.put("two"),
    ),
}

MODULES = {
    "outer/main.tf": """
variable "days" {}
module "inner" {
  source = "./inner"
  count  = 1
  days   = var.days
}
output "copied" { value = module.inner[0].copied }
""",
    "upper/main.tf": """
variable "value" {}
resource "terraform_data" "up" {
  input = upper(var.value)
}
""",
    "outer/inner/main.tf": """
variable "days" {}
resource "aws_cloudwatch_log_group" "deep" {
  name              = "/NAME/deep"
  retention_in_days = var.days
}
output "copied" { value = aws_cloudwatch_log_group.deep.retention_in_days }
""",
}


def record(name: str, scenario: Scenario, url: str, mirror: str) -> str:
    with tempfile.TemporaryDirectory(prefix="rec") as text:
        base = Path(text)
        world = World(url, name.replace("_", "-"))
        run = Runner(base, mirror)
        provider = PROVIDER % {"url": url} if scenario.aws else ""
        write(base, provider + scenario.applied, world.name)
        run("init", "-no-color")
        run("apply", "-auto-approve", "-no-color")
        if scenario.tainted:
            run("taint", scenario.tainted)
        scenario.outside(world)
        write(base, provider + (scenario.code or scenario.applied), world.name)
        code, stdout = run(
            "plan", "-json", "-lock=false", "-detailed-exitcode", "-out=p", ok=(0, 2)
        )
        show = run("show", "-json", "p")[1]
    lines = [json.loads(line) for line in stdout.splitlines()]
    kept = [line for line in lines if line["type"] not in ("refresh_start", "refresh_complete")]
    for line in kept:
        line.pop("@timestamp")
    plan = {key: value for key, value in json.loads(show).items() if key in KEPT}
    plan.get("configuration", {}).pop("provider_config", None)
    record = {"exit_code": code, "messages": kept, "plan": plan}
    scrubbed = json.dumps(record, indent=1, sort_keys=True).replace(url, "http://cloud.example")
    (HERE / "plans" / f"{name}.json").write_text(scrubbed.replace(str(base), "/root") + "\n")
    return f"{name}: exit {code}"


@dataclass(frozen=True)
class Runner:
    base: Path
    mirror: str

    def __call__(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> tuple[int, str]:
        config = self.base / "rc"
        config.write_text(
            f'provider_installation {{\n  filesystem_mirror {{ path = "{self.mirror}" }}\n}}\n'
        )
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.base / "root",
            env={
                "PATH": os.environ["PATH"], "HOME": str(self.base), "TMPDIR": str(self.base),
                "TF_CLI_CONFIG_FILE": str(config), "CHECKPOINT_DISABLE": "1", "TF_INPUT": "0",
                "TF_IN_AUTOMATION": "1", "AWS_EC2_METADATA_DISABLED": "true", "GOGC": "400",
            },
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        if done.returncode not in ok:
            raise RuntimeError(f"terraform {arguments}: {done.stdout}{done.stderr}")
        return done.returncode, done.stdout


def write(base: Path, code: str, name: str) -> None:
    root = base / "root"
    for path, text in {"main.tf": code, **(MODULES if 'source = "./' in code else {})}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(re.sub(r"\bNAME\b", name, text))


def main(mirror: str, names: list[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    moto = shutil.which("moto_server", path=str(Path(sys.executable).parent))
    server = subprocess.Popen(
        [moto, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.2)
        with ThreadPoolExecutor(2) as pool:
            jobs = {
                n: pool.submit(record, n, SCENARIOS[n], url, mirror) for n in names or SCENARIOS
            }
            for name, job in jobs.items():
                try:
                    print(job.result(), flush=True)
                except Exception as error:
                    print(f"{name}: FAILED {error}", flush=True)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
