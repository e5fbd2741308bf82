"""The page of a sweep, and the list of sweeps."""

from datetime import timedelta

import pytest

from driftfleet.report.edition import Edition
from driftfleet.report.links import sweep_page_key
from driftfleet.report.sweep import errors_of, line_of, sweep_page, sweeps_page, titles_on
from driftfleet.results import ErrorKind, Result, Verdict
from driftfleet.sweeps import SweepRecord
from tests.fleets import HOSTILE
from tests.sites import AT, HOUR, change, closed, failed, job, result, sweep_id

NAME = sweep_id(1)


def page(sweep: SweepRecord, pages: dict[str, str] | None = None) -> str:
    return sweep_page(sweep, pages or {}, Edition(at=AT))


def several() -> list[Result]:
    return [
        result(job("a", sweep=NAME), plan=100),
        result(job("b", sweep=NAME), Verdict.DRIFTED, changes=[change("x.y")]),
        result(job("c", sweep=NAME), error=failed(ErrorKind.TIMEOUT)),
        result(job("d", sweep=NAME), error=failed(ErrorKind.CREDENTIALS)),
        result(job("e", sweep=NAME), error=failed(ErrorKind.CREDENTIALS)),
    ]


def test_it_says_what_was_asked_and_what_came_back() -> None:
    sweep = closed(NAME, several(), missing=["acme/infra f default"])
    text = page(sweep)
    for told in ("<b>6</b> asked", "<b>5</b> answered", "<b>3</b> in error", "<b>1</b> missing",
                 "Missing: never answered", "acme/infra f default"):  # fmt: skip
        assert told in text


def test_errors_are_by_kind_the_most_frequent_first_with_what_to_do() -> None:
    sweep = closed(NAME, several())
    assert [(one.kind, one.named.count) for one in errors_of(sweep)] == [
        (ErrorKind.CREDENTIALS, 2), (ErrorKind.TIMEOUT, 1)
    ]  # fmt: skip
    assert "Raise the limit, split the root" in page(sweep)


def test_it_says_where_the_time_went() -> None:
    text = page(closed(NAME, several()))
    # 100 + 4 x 4.5 s of plans, and 5 x 12 s in the queue.
    assert "1 min 58 s" in text
    assert "1 min 00 s" in text
    assert text.index("acme/infra a default") < text.rindex("acme/infra b default")


def test_roots_that_have_a_page_are_led_to_and_others_named() -> None:
    pages = {"acme/infra c default": "site/roots/acme/infra/c/default.html"}
    text = page(closed(NAME, several()), pages)
    assert 'href="../roots/acme/infra/c/default.html"' in text
    assert text.count("../roots/") == 2


def test_a_deadline_that_was_missed_is_told() -> None:
    late = closed(NAME, several()[:1], missing=["x"], deadline=AT)
    assert "Closed by its deadline" in page(late)
    assert "missed" in page(late)
    kept = closed(NAME, several()[:1], deadline=AT + HOUR)
    assert "all of it came back" in page(kept)
    assert "kept" in page(kept)
    # Closed early, because Redis was away when it was asked for.
    early = closed(NAME, [], missing=["x"], deadline=AT + HOUR)
    assert "not all of it was answered" in page(early)


def test_an_open_one_says_so() -> None:
    record = closed(NAME, several()).model_copy(
        update={"closed_at": None, "answered": {}, "summary": None}
    )
    assert "Open</strong> when this page was made" in page(record)
    assert line_of(record).seconds is None


def test_an_old_record_without_a_summary_has_a_page() -> None:
    text = page(closed(NAME, several()).model_copy(update={"summary": None}))
    assert "Reason not recorded" in text
    assert "is not in its record" in text


def test_one_of_ten_thousand_roots_names_some_of_them() -> None:
    many = [result(job(f"r{n}", sweep=NAME), error=failed()) for n in range(10_000)]
    sweep = closed(NAME, many, missing=[f"acme/infra m{n} default" for n in range(10_000)])
    text = page(sweep)
    assert len(text) < 150_000
    assert text.count("and 9,800 more") == 2
    # And the slowest.
    assert len(titles_on(sweep)) <= 2 * 200 + 20


def test_the_list_says_in_a_line_what_each_came_to() -> None:
    lines = [line_of(closed(NAME, several(), missing=["x"], problems=["y"], deadline=AT))]
    text = sweeps_page(lines, Edition(at=AT))
    assert 'href="sweep-' in text
    for told in ("1 missing", "1 not looked at", "1 h 00 min, late"):
        assert told in text
    assert "None yet" in sweeps_page([], Edition(at=AT))


@pytest.mark.parametrize("name", HOSTILE)
def test_what_comes_from_outside_is_text(name: str) -> None:
    of = result(job(name.replace("/", "|"), sweep=NAME, repo=f"/srv/{name}", kind="local"),
                error=failed())  # fmt: skip
    sweep = closed(NAME, [of], missing=[name], problems=[name])
    for text in (page(sweep), sweeps_page([line_of(sweep)], Edition(at=AT))):
        assert text.count("<script") == 1
        assert "<img" not in text
        assert "\u202e" not in text


def test_a_source_of_a_thousand_repositories_is_cut_in_the_list() -> None:
    sweep = closed(NAME, []).model_copy(update={"source": ", ".join(f"o/r{n}" for n in range(999))})
    assert len(line_of(sweep).source) == 201
    assert sweep_page_key(NAME) == f"site/sweeps/{NAME}.html"
    assert line_of(sweep).seconds == timedelta(hours=1).total_seconds()
