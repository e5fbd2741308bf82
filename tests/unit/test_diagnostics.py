"""What terraform prints is read, whatever stands between."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.diagnostics import Diagnostic, parse_messages, parse_text, tail_of

RECORDINGS = Path(__file__).with_name("recordings")


def failure(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((RECORDINGS / "failures" / f"{name}.json").read_text())
    return record


def printed(name: str) -> bytes:
    record = failure(name)
    return "\n".join([*record["stdout"], *record["stderr"]]).encode()


def drifted_plan() -> bytes:
    record = json.loads((RECORDINGS / "plans" / "drift_in_count_and_each.json").read_text())
    return "\n".join(map(json.dumps, record["messages"])).encode()


def test_messages_tell_the_version_the_drift_and_the_changes() -> None:
    messages = parse_messages(drifted_plan())
    assert messages.terraform_version == "1.11.4"
    assert 'aws_cloudwatch_log_group.e["b"]' in messages.drift_addresses
    assert sorted(messages.change_addresses) == [
        'aws_cloudwatch_log_group.e["b"]',
        "aws_cloudwatch_log_group.main[1]",
    ]
    assert messages.errors == ()


def test_a_json_diagnostic_tells_file_line_and_address() -> None:
    (error,) = parse_messages(printed("provider_killed")).errors
    assert error == Diagnostic(
        severity="error",
        summary="Plugin did not respond",
        detail=error.detail,
        file="main.tf",
        line=17,
        address="data.aws_cloudwatch_log_groups.all",
    )
    assert error.detail.startswith("The plugin encountered an error")


def test_what_is_no_message_is_skipped() -> None:
    stdout = drifted_plan()
    junk = [
        b"hello from a provider",
        b'{"type": "resource_drift", "change": {',
        b'{"type": 7}',
        b'{"type": "diagnostic", "diagnostic": "text"}',
        b'["type"]',
        b"\xff\xfe\x00",
        b"{" + b"x" * 2_000_000,
        b'{"type":' * 100_000,
        b"null",
    ]
    mixed = b"\r\n".join([junk[0], *stdout.split(b"\n"), *junk])
    messages = parse_messages(mixed)
    assert messages.drift_addresses == parse_messages(stdout).drift_addresses


def test_invalid_utf8_inside_a_message_costs_only_the_letter() -> None:
    line = b'{"type":"diagnostic","diagnostic":{"severity":"error","summary":"caf\xe9"}}'
    assert parse_messages(line).errors[0].summary == "caf\N{REPLACEMENT CHARACTER}"


def test_plain_text_is_read_with_place_and_detail() -> None:
    preamble, error = parse_text(printed("syntax_error"))
    assert preamble.summary.startswith("Terraform encountered problems during initialisation, incl")
    assert (error.summary, error.file, error.line) == ("Invalid expression", "main.tf", 2)
    assert error.detail.startswith("Expected the start of an expression")


@pytest.mark.parametrize(
    ("boxed", "plain"),
    [
        ("boxed_syntax_error", "syntax_error"),
        ("boxed_module", "module_folder_missing"),
        ("boxed_two_providers", "provider_two_not_mirrored"),
        ("boxed_precondition", "precondition_plain"),
    ],
)
def test_a_box_and_its_colours_say_the_same_as_plain_text(boxed: str, plain: str) -> None:
    def flat(diagnostics: tuple[Diagnostic, ...]) -> list[tuple[Any, ...]]:
        return [
            (d.severity, d.summary, " ".join(d.detail.split()), d.file, d.line) for d in diagnostics
        ]

    assert flat(parse_text(printed(boxed))) == flat(parse_text(printed(plain)))


def test_a_line_that_begins_like_an_error_stays_inside_its_box() -> None:
    (error,) = parse_text(printed("boxed_s3_no_credentials"))
    assert error.summary == "No valid credential sources found"
    assert "Error: failed to refresh cached credentials" in error.detail


def test_the_resource_and_the_place_are_read_from_text() -> None:
    (error,) = parse_text(printed("aws_api_refused_plain"))
    assert error.address == "data.aws_cloudwatch_log_groups.all"
    assert error.file == "main.tf"
    assert error.line == 17


def test_lines_of_source_are_left_out() -> None:
    text = b'\nError: Bad\n\n  on main.tf line 2, in locals:\n   2:   password = "hunter2"\n\nNo.\n'
    (error,) = parse_text(text)
    assert error.detail == "No."
    assert "hunter2" not in repr(error)


def test_a_place_in_a_module_is_read() -> None:
    text = (
        "╷\n│ Warning: Old\n│ \n│   with module.x.aws_x.y[0],\n"
        '│   on modules/a b/main.tf line 31, in module "x":\n│   31: a = 1\n│ \n│ Detail\n'
        "│ in two lines.\n╵\nDone.\n"
    )
    (warning,) = parse_text(text.encode())
    assert warning == Diagnostic(
        severity="warning",
        summary="Old",
        detail="Detail\nin two lines.",
        file="modules/a b/main.tf",
        line=31,
        address="module.x.aws_x.y[0]",
    )


@given(st.binary())
def test_no_output_breaks_the_reading(output: bytes) -> None:
    parse_messages(output)
    parse_text(output)


@given(st.lists(st.sampled_from(["Error: a", "╷", "╵", "│ Error: b", "", "  on x line 1:", "d"])))
def test_no_mixture_of_boxes_breaks_the_reading(lines: list[str]) -> None:
    for diagnostic in parse_text("\n".join(lines).encode()):
        assert diagnostic.severity == "error"


@pytest.mark.parametrize("line", ["9" * 5000, "٣"])
def test_a_line_that_no_file_has_is_no_place(line: str) -> None:
    (found,) = parse_text(f"Error: x\n\n  on main.tf line {line}:\n\nbecause".encode())
    assert found.summary == "x"
    assert found.line is None or found.line == 999_999_999


def test_a_long_line_takes_linear_time() -> None:
    started = time.process_time()
    parse_text(b"Error: x\n\n" + b"on x line " * 100_000)
    assert time.process_time() - started < 5


def test_the_tail_of_an_output_begins_with_a_whole_line() -> None:
    assert tail_of(b"one\ntwo\nthree\n", 8) == "three\n"
    assert tail_of(b"one two three", 8) == "three"
    assert tail_of(b"half-of-a-secret", 8) == ""
    assert tail_of(b"short\n", 8) == "short\n"
