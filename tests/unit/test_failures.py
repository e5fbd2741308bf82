"""Why terraform failed, told from recordings of the real terraform and the real AWS provider."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.errors import CheckFailed
from driftfleet.redaction.redactor import Redactor
from driftfleet.results import ErrorKind
from worker.diagnostics import Diagnostic, parse_messages, parse_text
from worker.failures import explain

FAILURES = Path(__file__).with_name("recordings") / "failures"
DOCS = Path(__file__).parents[2] / "docs" / "errors.md"

# Kind, whether it may pass by itself, and a word that the message must hold for who reads it.
EXPECTED: dict[str, tuple[str, bool, str]] = {
    "syntax_error": ("hcl", False, "main.tf:2"),
    "boxed_syntax_error": ("hcl", False, "main.tf:2"),
    "syntax_error_in_module": ("hcl", False, "m/main.tf:1"),
    "duplicate_resource": ("hcl", False, "Duplicate resource"),
    "undeclared_reference": ("hcl", False, "main.tf:1"),
    "undeclared_variable_used": ("hcl", False, "nope"),
    "unsupported_argument": ("hcl", False, "inptu"),
    "unknown_function": ("hcl", False, "nope"),
    "missing_argument": ("hcl", False, "backend"),
    "module_argument_missing": ("hcl", False, '"x"'),
    "variable_file_broken": ("hcl", False, "x.auto.tfvars:1"),
    "s3_unknown_argument": ("hcl", False, "buckt"),
    "cycle": ("hcl", False, "terraform_data.a"),
    "required_version": ("version", False, "1.11.4"),
    "required_version_in_module": ("version", False, "m/main.tf:1"),
    "state_from_the_future": ("version", False, "9.0.0"),
    "module_folder_missing": ("module_fetch", False, "nope"),
    "boxed_module": ("module_fetch", False, "nope"),
    "module_git_no_host": ("module_fetch", True, "git.example.invalid"),
    "module_git_refused": ("module_fetch", True, "127.0.0.1"),
    "module_git_forbidden": ("module_fetch", False, "could not read Username"),
    "module_git_missing": ("module_fetch", False, "git must be available"),
    "module_ssh_refused": ("module_fetch", True, "Connection refused"),
    "module_ref_missing": ("module_fetch", False, "pathspec 'nope'"),
    "module_subfolder_missing": ("module_fetch", False, "nope"),
    "module_registry": ("module_fetch", True, "registry.terraform.io"),
    "module_private_registry": ("module_fetch", True, "app.terraform.io"),
    "module_archive_404": ("module_fetch", False, "404"),
    "module_not_installed": ("module_fetch", False, "not yet installed"),
    "provider_not_mirrored": (
        "provider_missing",
        False,
        "MIRROR/registry.terraform.io/hashicorp/random/VERSION/OS_ARCH/",
    ),
    "provider_two_not_mirrored": (
        "provider_missing",
        False,
        "MIRROR/registry.terraform.io/hashicorp/null/VERSION/OS_ARCH/, "
        "MIRROR/registry.terraform.io/hashicorp/random/VERSION/OS_ARCH/",
    ),
    "boxed_two_providers": ("provider_missing", False, "hashicorp/null (any version); provider"),
    "provider_version_not_mirrored": (
        "provider_missing",
        False,
        "provider registry.terraform.io/hashicorp/aws (~> 6.0)",
    ),
    "provider_pinned_not_mirrored": (
        "provider_missing",
        False,
        "MIRROR/registry.terraform.io/hashicorp/aws/5.99.0/OS_ARCH/",
    ),
    "provider_from_network": ("provider_missing", True, "hashicorp/random"),
    "provider_other_host": ("provider_missing", True, "MIRROR/tf.example.invalid/acme/x/"),
    "provider_pin_against_constraint": ("lock_mismatch", False, "5.99.0"),
    "lock_hash_mismatch": ("lock_mismatch", False, "checksums"),
    "lock_readonly_stale": ("lock_mismatch", False, ".terraform.lock.hcl"),
    "lock_readonly_then_plan": ("lock_mismatch", False, "hashicorp/aws 5.100.0"),
    "lock_file_broken": ("lock_mismatch", False, "dependency lock file"),
    "provider_not_installed": ("lock_mismatch", False, "hashicorp/aws"),
    "provider_dies": ("provider_crashed", False, "acme/dies"),
    "provider_panics": ("provider_crashed", False, "acme/panics"),
    "provider_chats": ("provider_crashed", False, "acme/chats"),
    "provider_killed": ("provider_crashed", True, "main.tf:17"),
    "provider_gone": ("provider_crashed", True, "ReadDataSource request was cancelled"),
    "interrupted": ("cancelled", True, "ended from outside"),
    "s3_no_credentials": ("credentials", False, "No valid credential sources"),
    "boxed_s3_no_credentials": ("credentials", False, "No valid credential sources"),
    "s3_profile_missing": ("credentials", False, "nope"),
    "s3_denied": ("credentials", False, "403"),
    "http_401": ("credentials", False, "requires auth"),
    "http_403": ("credentials", False, "invalid auth"),
    "gcs_no_credentials": ("credentials", False, "default credentials"),
    "azurerm_no_credentials": ("credentials", False, "access_key"),
    "aws_no_credentials": ("credentials", False, "No valid credential sources"),
    "aws_invalid_credentials": ("credentials", False, "InvalidClientTokenId"),
    "aws_expired_credentials": ("credentials", True, "ExpiredToken"),
    "aws_profile_missing": ("credentials", False, "nope"),
    "aws_api_denied": ("credentials", False, "logs:DescribeLogGroups"),
    "s3_refused": ("backend_unreachable", True, "connection refused"),
    "s3_no_host": ("backend_unreachable", True, "no such host"),
    "http_refused": ("backend_unreachable", True, "connection refused"),
    "http_500": ("backend_unreachable", True, "giving up"),
    "cloud_no_network": ("backend_unreachable", True, "app.terraform.io"),
    "remote_no_network": ("backend_unreachable", True, "app.terraform.io"),
    "pg_refused": ("backend_unreachable", True, "connection refused"),
    "consul_refused": ("backend_unreachable", True, "connection refused"),
    "kubernetes_no_config": ("backend_unreachable", True, "connection refused"),
    "s3_no_bucket": ("backend_config", False, 'bucket "b" does not exist'),
    "s3_without_bucket": ("backend_config", False, "bucket"),
    "two_terraform_backends": ("backend_config", False, "main.tf:8"),
    "backend_unknown": ("backend_config", False, "etcd9"),
    "backend_config_file_missing": ("backend_config", False, "nope.hcl"),
    "backend_config_unknown_key": ("backend_config", False, "nope"),
    "backend_not_initialised": ("backend_config", False, "local"),
    "backend_changed": ("backend_config", False, "changed"),
    "cloud_no_token": ("backend_config", False, "initialization required"),
    "state_not_a_state": ("backend_config", False, "could not be parsed as JSON"),
    "http_locked": ("state_locked", True, "6f1c"),
    "workspace_missing": ("workspace_missing", False, '"nope"'),
    "workspaces_not_supported": ("workspace_missing", False, "not supported"),
    "variable_missing": ("variable_missing", False, '"name"'),
    "variable_file_missing": ("variable_missing", False, "nope.tfvars"),
    "variable_invalid": ("variable_missing", False, "Must be over two."),
    "variable_wrong_type": ("variable_missing", False, "terraform.tfvars:1"),
    "variable_undeclared": ("variable_missing", False, "nope"),
    "disk_full_init": ("disk_full", True, "No space left on device"),
    "memory_limit": ("out_of_memory", True, "memory"),
    "aws_api_refused": ("plan_failed", True, "main.tf:17"),
    "aws_api_refused_plain": ("plan_failed", True, "main.tf:17"),
    "aws_no_host": ("plan_failed", True, "no such host"),
    "aws_sts_refused": ("plan_failed", True, "STS"),
    "aws_no_region": ("plan_failed", False, "Region"),
    "precondition": ("plan_failed", False, "Never."),
    "precondition_plain": ("plan_failed", False, "Never."),
    "boxed_precondition": ("plan_failed", False, "Never."),
}


def explained(name: str, redact: Callable[[str], str] = Redactor()) -> CheckFailed:  # noqa: B008
    """Explain a recording as the worker does."""
    record: dict[str, Any] = json.loads((FAILURES / f"{name}.json").read_text())
    stdout, stderr = "\n".join(record["stdout"]), "\n".join(record["stderr"])
    found = parse_messages(stdout.encode()).diagnostics
    found = found or parse_text(f"{stderr}\n{stdout}".encode())
    tail = stderr[-4000:] or stdout[-4000:]
    return explain(record["phase"], found, tail, record["exit_code"], redact)


def test_every_recording_has_its_expectation() -> None:
    assert {path.stem for path in FAILURES.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_failure_gets_its_kind(name: str) -> None:
    failure = explained(name)
    kind, transient, word = EXPECTED[name]
    assert (failure.kind, failure.transient) == (kind, transient)
    assert word in failure.message


@pytest.mark.parametrize("name", EXPECTED)
def test_a_message_is_one_readable_line(name: str) -> None:
    message = explained(name).message
    assert message.startswith("terraform ")
    assert "\n" not in message
    assert not re.search(r"[╷│╵\x1b]|  ", message)
    assert len(message) < 1800


def test_every_kind_has_its_section_in_the_document() -> None:
    headings = re.findall(r"^## `(\w+)`$", DOCS.read_text(), re.MULTILINE)
    assert headings == [kind.value for kind in ErrorKind]


@pytest.mark.parametrize(
    ("phase", "tail", "exit_code", "kind", "transient"),
    [
        ("plan", "", -9, "killed", True),
        ("plan", "", 137, "killed", True),
        ("init", "", 127, "terraform_missing", False),
        ("init", "strange words", 1, "init_failed", False),
        ("plan", "strange words", 1, "plan_failed", False),
        ("show", "strange words", 1, "plan_unreadable", False),
        ("version", "strange words", 1, "version", False),
        ("init", "dial tcp: i/o timeout", 1, "init_failed", True),
        ("plan", "fatal error: runtime: out of memory", 2, "out_of_memory", True),
        ("init", "write /x: no space left on device", 1, "disk_full", True),
        ("init", "write /x: file too large", 1, "disk_quota", False),
        ("init", 'Workspace "x" doesn\'t exist.', 1, "workspace_missing", False),
        ("plan", "Interrupt received.", 1, "cancelled", True),
    ],
)
def test_without_diagnostics_the_exit_code_and_the_last_words_tell(
    phase: Any, tail: str, exit_code: int, kind: str, transient: bool
) -> None:
    failure = explain(phase, (), tail, exit_code)
    assert (failure.phase, failure.kind, failure.transient) == (phase, kind, transient)


def test_an_init_error_with_a_place_in_the_code_is_the_codes() -> None:
    error = Diagnostic("error", "something new", file="main.tf", line=3)
    assert explain("init", [error], "", 1).kind == "hcl"


def test_an_interrupted_plan_is_no_crash_and_says_so_in_words() -> None:
    message = explained("interrupted").message
    assert message.startswith(
        "terraform plan failed: Interrupt received. Please wait for Terraform"
    )
    assert "@message" not in message


def test_the_cloud_that_cancels_a_request_is_no_crashed_provider() -> None:
    error = Diagnostic(
        "error", "reading Bucket", "rpc error: code = Canceled: request was cancelled"
    )
    assert explain("plan", [error], "", 1).kind == "plan_failed"


def test_warnings_explain_nothing() -> None:
    warning = Diagnostic("warning", "No valid credential sources found")
    assert explain("plan", [warning], "", 1).kind == "plan_failed"


def test_a_quotation_of_another_error_does_not_win_over_the_machine() -> None:
    errors = [
        Diagnostic("error", "Unsupported argument"),
        Diagnostic("error", "no space left on device"),
    ]
    assert explain("plan", errors, "", 1).kind == "disk_full"


def test_source_that_terraform_quotes_is_not_taken_for_its_reason() -> None:
    tail = "  on main.tf line 1:\n   1: # error acquiring the state lock\n\n"
    error = Diagnostic("error", "Resource precondition failed", "Never.")
    assert explain("plan", [error], tail, 1).kind == "plan_failed"


def test_a_password_in_a_module_source_is_masked() -> None:
    source = "git::https://me:hunter2@git.example.com/a.git"
    error = Diagnostic("error", "Failed to download module", f'Could not download "{source}"')
    message = explain("init", [error], "", 1).message
    assert "hunter2" not in message
    assert "https://***@git.example.com" in message


def test_long_details_are_shortened() -> None:
    error = Diagnostic("error", "x" * 5000, "y" * 100_000)
    assert len(explain("plan", [error], "z" * 100_000, 1).message) < 1800


@given(
    phase=st.sampled_from(["init", "plan", "show", "version"]),
    summaries=st.lists(st.text(), max_size=3),
    tail=st.text(),
    exit_code=st.integers(-64, 255),
)
def test_whatever_terraform_says_becomes_a_known_kind(
    phase: Any, summaries: list[str], tail: str, exit_code: int
) -> None:
    errors = [Diagnostic("error", s, s, file=s or None, line=1) for s in summaries]
    failure = explain(phase, errors, tail, exit_code)
    assert failure.kind in set(ErrorKind)
    assert failure.phase == phase


def test_a_secret_is_masked_before_its_message_is_cut() -> None:
    secret = "half-of-it-would-stay-" * 3
    for filler in range(600, 720, 7):
        error = Diagnostic("error", "Nothing we know", "x " * (filler // 2) + secret + " end")
        message = explain("plan", [error], "", 1, Redactor([secret])).message
        assert "half" not in message
    long = secret * 200
    error = Diagnostic("error", "Nothing we know", " ".join([long] * 6))
    assert "half" not in explain("plan", [error], "", 1, Redactor([long])).message
    message = explain("plan", [], "y" * 100 + secret + "z" * 380, 1, Redactor([secret])).message
    assert "stay" not in message


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_recorded_failure_reads_the_same_without_secrets(name: str) -> None:
    assert explained(name).message == explained(name, redact=str).message
