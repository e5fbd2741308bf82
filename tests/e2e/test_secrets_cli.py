"""Roots that make the real terraform print secrets: none of them gets out of a scan."""

import os
from pathlib import Path

import pytest

from driftfleet.latest import LatestRecord
from driftfleet.model import decode_record
from driftfleet.results import Verdict
from tests.conftest import require_program
from tests.e2e.command import run_command
from tests.redaction.making import make
from tests.redaction.planted import leaked
from tests.workers import short_folder

SENSITIVE = 'variable "handle" {\n  sensitive = true\n  default = "%s"\n}\n'
REFUSED = 'resource "terraform_data" "x" {\n  lifecycle {\n    precondition {\n'
SAYING = '      condition = terraform.workspace == "x"\n      error_message = "%s"\n    }\n  }\n}\n'


def roots(secrets: dict[str, str]) -> dict[str, str]:
    """One for each secret, by name: code that has terraform print it."""
    source = f"git::https://bot:{secrets['module']}@127.0.0.1:1/m.git"
    said = {name: SAYING % f"The provider said: {text} is refused." for name, text in {
        "declared": "${nonsensitive(var.handle)}",
        "given": "${nonsensitive(var.handle)}",
        "environment": "${var.db_password}",
        "token": secrets["token"],
        "quoted": 'password=\\"' + secrets["quoted"] + '\\"',
        "long": "x " * 330 + "${nonsensitive(var.handle)}",
    }.items()}  # fmt: skip
    declared = {
        "declared": SENSITIVE % secrets["declared"],
        "given": SENSITIVE % "",
        "environment": 'variable "db_password" {}\n',
        "long": SENSITIVE % secrets["long"],
    }
    refused = {name: declared.get(name, "") + REFUSED + text for name, text in said.items()}
    return refused | {
        "module": f'module "m" {{\n  source = "{source}"\n}}\n',
        "backend": 'terraform {\n  backend "http" {\n    address = "http://127.0.0.1:1/s"\n'
        f'    username = "ci"\n    password = "{secrets["backend"]}"\n    pasword = 1\n  }}\n}}\n',
        "file": f"locals {{\n  key = <<-EOT\n{secrets['file']}\nEOT\n}}\n"
        'resource "terraform_data" "x" {\n  input = file(local.key)\n}\n',
        "address": f"{SENSITIVE % secrets['address']}"
        'resource "terraform_data" "x" {\n  for_each = '
        f'toset([nonsensitive(var.handle), "open", "{secrets["keyed"]}"])\n}}\n',
        "syntax": f'provider "x" {{\n  password = "{secrets["syntax"]}"\n  token = \n}}\n',
    }


KINDS = {
    "token": "github_classic", "quoted": "odd_password", "module": "opaque", "file": "rsa_key",
    "keyed": "aws_key_id", "backend": "password", "syntax": "password", "environment": "opaque",
}  # fmt: skip
# Nothing in their form tells of those: only what terraform is told about them does.
WORDS = {
    "declared": "quokka-marmalade-mint",
    "given": "walnut-trombone-lace",
    "address": "ferret-umbrella-wool",
    "long": "pigeon-lantern-yolk",
}


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path, str]:
    require_program("terraform", "install Terraform 1.11")
    folder = tmp_path_factory.mktemp("secrets")
    secrets = WORDS | {name: make(kind, name) for name, kind in KINDS.items()}
    for name, code in roots(secrets).items():
        (folder / "infra" / name).mkdir(parents=True)
        (folder / "infra" / name / "main.tf").write_text(code)
    (folder / "infra" / "given" / "x.auto.tfvars").write_text(f'handle = "{secrets["given"]}"\n')
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DRIFTFLEET_")}
    with short_folder("s") as temporary:
        environment = {
            **kept, "TMPDIR": str(temporary), "DRIFTFLEET_LOGS__LEVEL": "debug",
            "TF_VAR_db_password": secrets["environment"],
        }  # fmt: skip
        done = run_command(["scan", "infra", "--json"], folder, environment, expect=1)
    left = [
        p for p in folder.rglob("*") if p.is_file() and "infra" not in p.relative_to(folder).parts
    ]
    told = [done.stdout, done.stderr, *(p.read_text(errors="replace") for p in left)]
    return secrets, folder, "\n".join(told)


def test_no_secret_is_in_a_result_a_log_or_on_a_stream(scanned):
    secrets, _, told = scanned
    assert [name for name, secret in secrets.items() if leaked(told, secret)] == []


def test_the_secrets_were_really_printed(scanned):
    """Or nothing would have been hidden: each error holds a mask where its secret was."""
    secrets, folder, _ = scanned
    masked, verdicts = set(), {}
    for path in (folder / "drift-results" / "latest").rglob("*.json"):
        result = decode_record(LatestRecord, path.read_bytes()).result
        verdicts[result.job.root] = result.verdict
        if "***" in (result.error.message if result.error else str(result.changes)):
            masked.add(result.job.root)
    assert verdicts.keys() == roots(secrets).keys()
    assert {root for root, verdict in verdicts.items() if verdict is not Verdict.ERROR} == {
        "address"
    }
    assert {"declared", "given", "environment", "token", "quoted", "module", "file"} <= masked


def test_the_keys_of_addresses_stay_apart(scanned):
    _, folder, _ = scanned
    (path,) = (folder / "drift-results" / "latest").glob("**/address/*.json")
    changes = decode_record(LatestRecord, path.read_bytes()).result.changes
    assert {change.address for change in changes} == {
        'terraform_data.x["***1"]', 'terraform_data.x["***2"]', 'terraform_data.x["open"]',
    }  # fmt: skip
