"""What people read: the order, the words, and that nobody's name can command a terminal."""

import io
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.jobs import Job, Source, Variant
from driftfleet.ledger import Running
from driftfleet.results import Change, CheckError, ErrorKind, Result, Timings, Verdict
from producer import table
from producer.display import Display, choose_display, running_lines

AT = datetime(2026, 1, 2, tzinfo=UTC)
ESCAPE = "\x1b[31mred\x1b[0m\x9b2J\u202e[bold]:bug:\r\n"


def drift(address: str, *attributes: str) -> Change:
    return Change(address=address, kind="drift", actions=("update",), attributes=attributes)


def result(
    root: str = "a",
    verdict: Verdict = Verdict.CLEAN,
    *changes: Change,
    variant: str = "default",
    repo: str = "/srv/infra",
    error: str | None = None,
    notes: tuple[str, ...] = (),
) -> Result:
    return Result(
        job=Job(
            sweep_id="s1",
            source=Source(kind="local", repo=repo),
            root=root,
            variant=Variant(name=variant),
        ),
        verdict=verdict,
        changes=changes,
        notes=notes,
        error=None
        if error is None
        else CheckError(phase="init", kind=ErrorKind.PROVIDER_MISSING, message=error),
        timings_seconds=Timings(total=1.25),
        started_at=AT,
        finished_at=AT,
    )


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Pipe(Terminal):
    """A stream that says it is none."""

    def isatty(self) -> bool:
        return False


def shown(display: Display, results: list[Result]) -> None:
    display.begin(len(results))
    for one in results:
        display.running(
            [Running(title=f"x {one.job.root}", phase="plan", worker="w", started_at=0)]
        )
        display.finished(one)
    display.running([])
    display.end()
    display.conclude(results, 12.3, "/results")


def test_what_needs_action_comes_first() -> None:
    results = [result(v.value, v) for v in (Verdict.CLEAN, *Verdict)]
    results += [result("b", Verdict.ERROR), result("a", Verdict.ERROR)]
    ordered = table.by_urgency(results)
    assert [r.verdict for r in ordered[:3]] == [Verdict.ERROR] * 3
    assert [r.job.root for r in ordered[:3]] == ["a", "b", "error"]
    assert [r.verdict.value for r in ordered[3:]] == [
        "drifted_unapplied", "drifted", "unapplied", "clean", "clean",
    ]  # fmt: skip


def test_a_variant_is_named_unless_it_is_the_default_and_a_source_where_there_are_several() -> None:
    assert table.root_of(result("a"), with_source=False) == "a"
    assert table.root_of(result("a", variant="eu"), with_source=False) == "a [eu]"
    assert table.root_of(result("a"), with_source=True).startswith("local/infra-")
    assert not table.several_sources([result("a"), result("b")])
    assert table.several_sources([result("a"), result("a", repo="/srv/other")])


def test_what_was_found_is_counted_by_kind_and_shortened() -> None:
    changes = [
        drift("aws_sqs_queue.a", "visibility_timeout_seconds"),
        drift("aws_sqs_queue.b", "x1", "x2", "x3", "x4"),
        drift("aws_sqs_queue.c"),
        Change(address="aws_s3_bucket.new", kind="unapplied", actions=("create",)),
        Change(address="url", kind="output", actions=("update",)),
    ]
    text = table.what_of(result("a", Verdict.DRIFTED_UNAPPLIED, *changes[2:]))
    assert text == (
        "1 drifted: aws_sqs_queue.c (update); 1 unapplied: aws_s3_bucket.new (create); "
        "1 output: url (update)"
    )
    assert len(table.what_of(result("a", Verdict.DRIFTED, drift("x" * 500)))) == 120
    many = table.what_of(result("a", Verdict.DRIFTED, *changes[:3]))
    assert many.startswith("3 drifted: aws_sqs_queue.a (visibility_timeout_seconds), ")
    assert "(x1, x2, x3, ...)" in many


def test_an_error_is_its_kind_and_first_line_in_the_table_and_whole_below() -> None:
    one = result("a", Verdict.ERROR, error="no provider x/y\n\nadd it with: mirror x/y")
    assert table.what_of(one) == "provider_missing: no provider x/y"
    assert table.details([one]) == [
        "", "a: provider_missing (in init)", "  no provider x/y", "  ", "  add it with: mirror x/y",
    ]  # fmt: skip


def test_notes_of_clean_roots_are_told() -> None:
    assert table.details([result("a", notes=("the code agrees\nby now",))]) == [
        "", "Notes:", "  a: the code agrees by now",
    ]  # fmt: skip


def test_the_summary_counts_what_is_there_in_the_order_of_urgency() -> None:
    results = [result("a"), result("b", Verdict.DRIFTED), result("c", Verdict.ERROR), result("d")]
    assert table.summary(results, 34.4) == "4 checked in 34 s: 1 error, 1 drifted, 2 clean"
    assert table.summary([], 1) == "0 checked in 1.0 s"


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([], 0),
        ([Verdict.CLEAN], 0),
        ([Verdict.CLEAN, Verdict.DRIFTED], 3),
        ([Verdict.UNAPPLIED], 3),
        ([Verdict.DRIFTED_UNAPPLIED], 3),
        ([Verdict.ERROR, Verdict.DRIFTED, Verdict.CLEAN], 1),
    ],
)
def test_the_exit_code_is_the_contract(verdicts: list[Verdict], code: int) -> None:
    assert table.exit_code_of([result("a", v) for v in verdicts]) == code


def test_what_could_not_be_looked_at_could_not_be_judged() -> None:
    assert table.exit_code_of([result("a", Verdict.DRIFTED)], ["acme/b: not found"]) == 1
    assert table.exit_code_of([], ["acme/b: not found"]) == 1


@given(st.text())
def test_harmless_text_has_nothing_in_it_that_is_not_printable(text: str) -> None:
    safe = table.harmless(text)
    assert safe.isprintable()
    assert table.harmless(safe) == safe
    if text.isprintable():
        assert safe == text


def test_columns_are_aligned_where_letters_are_wide() -> None:
    lines = table.plain_table([result("日本"), result("abcdef")])
    columns = {table.width_of(line[: line.index("1.2")]) for line in lines[1:]}
    assert len(columns) == 1


def displays(kind: str) -> tuple[Display, Any, Any]:
    stdout = Terminal() if kind == "terminal" else Pipe()
    stderr = Terminal() if kind == "json with a bar" else Pipe()
    as_json = kind.startswith("json")
    display = choose_display(as_json=as_json, plain=False, stdout=stdout, stderr=stderr)
    return display, stdout, stderr


@pytest.mark.parametrize("kind", ["terminal", "lines", "json", "json with a bar"])
def test_hostile_names_and_messages_reach_no_stream_as_commands(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    display, stdout, stderr = displays(kind)
    hostile = result(f"a{ESCAPE}".strip(), Verdict.ERROR, error=ESCAPE, notes=(ESCAPE,))
    display.message(ESCAPE)
    shown(display, [hostile, result("b", Verdict.DRIFTED, drift(ESCAPE.strip()))])
    for text in (stdout.getvalue(), stderr.getvalue()):
        assert "\x1b[31m" not in text
        assert "\x9b" not in text
        assert "\u202e" not in text
    if kind == "lines":
        assert "\x1b" not in stdout.getvalue() + stderr.getvalue()
    if not kind.startswith("json"):
        assert "[bold]:bug:" in stdout.getvalue()


@pytest.mark.parametrize("kind", ["json", "json with a bar"])
def test_json_is_one_result_a_line_and_nothing_else(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    display, stdout, stderr = displays(kind)
    results = [result("a"), result("ü", Verdict.ERROR, error="e\nf")]
    shown(display, results)
    lines = stdout.getvalue().splitlines()
    assert [Result.model_validate_json(line) for line in lines] == results
    assert [json.loads(line)["job"]["root"] for line in lines] == ["a", "ü"]
    assert bool(stderr.getvalue()) == (kind == "json with a bar")


def test_lines_come_as_checks_end_and_the_table_after_them() -> None:
    display, stdout, _ = displays("lines")
    display.begin(2)
    display.finished(result("a", Verdict.DRIFTED, drift("x.y", "z")))
    assert stdout.getvalue() == "1/2  drifted            a  1.2 s  1 drifted: x.y (z)\n"
    display.conclude([result("a")], 1.0, "/results")
    assert stdout.getvalue().endswith("1 checked in 1.0 s: 1 clean\nresults: /results\n")


def test_a_root_of_one_of_several_sources_is_told_with_its_source_as_it_ends() -> None:
    display, stdout, _ = displays("lines")
    display.begin(2, with_source=True)
    display.finished(result("a", repo="/srv/other"))
    assert re.match(r"1/2  clean +local/other-\w+: a  1.2 s\n", stdout.getvalue())


@pytest.mark.parametrize("kind", ["terminal", "lines"])
def test_what_could_not_be_looked_at_is_told_again_at_the_end(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "100")
    display, stdout, _ = displays(kind)
    display.begin(1)
    display.conclude([result("a")], 1.0, "/results", ("acme/b: not found",))
    text = stdout.getvalue()
    assert "Not looked at:\n  acme/b: not found\n" in text
    assert "1 checked in 1.0 s: 1 clean; 1 could not be looked at" in text


def test_without_any_result_there_is_no_empty_table() -> None:
    display, stdout, _ = displays("lines")
    display.conclude([], 1.0, "/results", ("acme/b: not found",))
    assert "VERDICT" not in stdout.getvalue()
    assert "0 checked in 1.0 s; 1 could not be looked at" in stdout.getvalue()


@pytest.mark.parametrize("columns", ["20", "40", "80"])
def test_a_narrow_terminal_still_shows_every_root_and_verdict(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", columns)
    display, stdout, _ = displays("terminal")
    shown(display, [result("prod", Verdict.DRIFTED, drift("x.y")), result("dev")])
    text = stdout.getvalue()
    assert "prod" in text
    assert "clean" in text
    assert "results: /results" in text


def test_a_dumb_terminal_gets_lines_without_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    display, stdout, _ = displays("terminal")
    shown(display, [result("a")])
    assert "\x1b" not in stdout.getvalue()


def test_a_stream_of_another_encoding_gets_escapes_and_no_failure() -> None:
    class Ascii(Pipe):
        encoding = "ascii"

    stdout = Ascii()
    shown(choose_display(as_json=False, plain=False, stdout=stdout, stderr=Pipe()), [result("ü")])
    assert stdout.getvalue().isascii()
    assert "\\xfc" in stdout.getvalue()


def test_what_runs_longest_is_shown_first_and_the_rest_is_counted() -> None:
    checks = [
        Running(title=f"local/x r{n} default", phase="plan", worker="w", started_at=100.0 + n)
        for n in range(11)
    ]
    lines = running_lines(reversed(checks), now=120.0)
    assert lines[0] == "  local/x r0  plan  20 s"
    assert lines[-1] == "  and 3 more"
    assert len(lines) == 9
