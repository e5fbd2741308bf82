"""What `driftfleet top` shows of a fleet, at every size of a terminal and whatever names are."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from driftfleet.ledger import MOST_RECENT, Recent, WorkerSeen
from driftfleet.results import Verdict
from producer.columns import Column, cut, fit
from producer.overview import Overview, RunningCheck, SweepSeen, parts_of, record_of
from producer.page import Page, show_age
from producer.top import top_lines

_RECORDED = Path(__file__).parent / "recordings" / "top" / "fleet.json"
NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def fleet() -> Overview:
    """Recorded from two workers with two slots each, and three repositories."""
    return Overview.model_validate_json(_RECORDED.read_text())


def shown(overview: Overview, page: Page | None = None, **more: str) -> list[str]:
    return [line.plain for line in top_lines(overview, page or Page(), **more)]


def running(n: int, **more: Any) -> RunningCheck:
    known = {
        "repo": "o/r", "root": f"root{n}", "variant": "default", "phase": "plan", "worker": "w",
        "started_at": NOW - 100 + n,
    }  # fmt: skip
    return RunningCheck(**{**known, **more})


def sweep(n: int, **more: Any) -> SweepSeen:
    known = {
        "sweep_id": f"s{n}", "repo": f"o/r{n}", "asked": 9, "waiting": 5, "running": 1,
        "answered": 3, "asked_at": NOW - 60, "deadline": NOW + 3600,
    }  # fmt: skip
    return SweepSeen(**{**known, **more})


def recent(n: int, ago: float, verdict: Verdict = Verdict.ERROR, **more: Any) -> Recent:
    known = {
        "title": f"o/r root{n} default", "verdict": verdict, "error": "plan_failed",
        "seconds": 1.0, "finished_at": NOW - ago, "worker": "w",
    }  # fmt: skip
    return Recent(**{**known, **more})


def worker(name: str, **more: Any) -> WorkerSeen:
    return WorkerSeen(**{"name": name, "slots": 2, "seen_at": NOW, **more})


def crowd() -> Overview:
    """Far more of everything than any terminal has lines."""
    return Overview(
        at=NOW,
        workers=tuple(worker(f"celery@w{n}/1", waits_for="disk") for n in range(9)),
        running=tuple(running(n) for n in range(500)),
        sweeps=tuple(sweep(n) for n in range(500)),
        recent=tuple(recent(n, n) for n in range(MOST_RECENT)),
        waiting=100_000,
        oldest_sent_at=NOW - 3700,
    )


class TestAFleet:
    def test_the_header_tells_of_workers_slots_queue_rate_and_room(self, fleet: Overview) -> None:
        assert shown(fleet)[0].split("   ") == [
            "driftfleet", "13:02:49 UTC", "2 workers", "4/4 slots busy", "29 waiting", "0 later",
            "oldest 22s", "15 checks/min", "free: 75.4 GiB disk, 22.2 GiB memory (ip-10-0-2-31)",
        ]  # fmt: skip

    def test_what_runs_is_shown_with_the_longest_first(self, fleet: Overview) -> None:
        lines = shown(fleet)
        at = next(n for n, line in enumerate(lines) if line.startswith("RUNNING"))
        assert lines[at].split() == ["RUNNING", "ROOT", "VARIANT", "PHASE", "SINCE", "WORKER"]
        assert [line.split() for line in lines[at + 1 : at + 5]] == [
            ["payments/infrastructure", root, variant, phase, since, "ip-10-0-1-17"]
            for root, variant, phase, since in [
                ("envs/production/eu-central-1/network", "default", "plan", "20s"),
                ("envs/staging/service-04", "blue", "plan", "7s"),
                ("envs/staging/service-05", "default", "show", "4s"),
                ("envs/staging/service-06", "blue", "plan", "1s"),
            ]
        ]

    def test_open_sweeps_and_errors_are_shown(self, fleet: Overview) -> None:
        text = "\n".join(shown(fleet))
        assert "payments/billing            14        6        0         8" in text
        assert "payments/infrastructure     31       23        4         4" in text
        assert "payments/billing broken  provider_missing" in text

    def test_the_variant_has_a_column_only_where_there_is_another(self) -> None:
        without = shown(Overview(at=NOW, running=(running(1),)))
        assert not any("VARIANT" in line for line in without)
        with_one = shown(Overview(at=NOW, running=(running(1, variant="blue"),)))
        assert any("VARIANT" in line for line in with_one)

    def test_a_sweep_past_its_deadline_is_overdue(self) -> None:
        late = top_lines(Overview(at=NOW, sweeps=(sweep(1, deadline=NOW - 5),)), Page())
        (line,) = [one for one in late if "overdue" in one.plain]
        assert "red" in str(line.style)

    def test_a_worker_that_starts_nothing_says_why(self) -> None:
        seen = worker("celery@w1/7", waits_for="1 GiB of disk, and 12 MiB are free")
        assert "w1 starts nothing: 1 GiB of disk, and 12 MiB are free" in shown(
            Overview(at=NOW, workers=(seen,))
        )

    def test_an_empty_fleet_says_so(self) -> None:
        lines = shown(Overview(at=NOW))
        assert "no worker   0/0 slots busy   0 waiting   0 later   0.0 checks/min" in lines[0]
        assert {"nothing runs", "no open sweep", "no answer yet"} <= set(lines)

    def test_a_fleet_without_errors_says_of_how_many_answers(self) -> None:
        answered = tuple(recent(n, n, Verdict.CLEAN) for n in range(7))
        assert "none of the last 7 answers is an error" in shown(Overview(at=NOW, recent=answered))

    def test_why_it_is_old_is_told(self, fleet: Overview) -> None:
        lines = shown(fleet, Page(80, 24), trouble="Redis did not answer: refused", hint="q ends")
        assert "Redis did not answer: refused" in lines
        assert lines[-1] == "q ends"


class TestSizes:
    @pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
    @pytest.mark.parametrize("height", [1, 2, 5, 10, 12, 24, 50, 200])
    @pytest.mark.parametrize("width", [1, 10, 40, 79, 80, 120, 300])
    def test_no_line_is_wider_and_there_are_no_more_than_fit(
        self, fleet: Overview, width: int, height: int, encoding: str
    ) -> None:
        for overview in (Overview(at=NOW), fleet, crowd()):
            lines = shown(overview, Page(width, height, encoding), hint="q ends it", trouble="x")
            assert len(lines) == height
            assert max(map(cell_len, lines)) <= width

    def test_at_80_by_24_a_crowded_fleet_shows_some_of_everything(self) -> None:
        lines = shown(crowd(), Page(80, 24), hint="q ends it")
        for head in ("RUNNING", "QUEUE", "LAST ERRORS"):
            at = next(n for n, line in enumerate(lines) if line.startswith(head))
            assert lines[at + 1].startswith("o/r")
        assert sum(line.startswith("and ") for line in lines) == 4

    def test_what_is_left_out_is_counted(self) -> None:
        overview = Overview(at=NOW, running=tuple(running(n) for n in range(50)))
        lines = shown(overview, Page(80, 24))
        rows = [line for line in lines if line.startswith("o/r")]
        assert f"and {50 - len(rows)} more" in lines
        assert len(rows) > 5

    def test_where_there_is_no_room_for_all_what_runs_is_what_is_shown(self) -> None:
        lines = shown(crowd(), Page(200, 11), hint="q ends it")
        assert any(line.startswith("RUNNING") for line in lines)
        assert not any(line.startswith("LAST ERRORS") for line in lines)

    def test_a_long_root_keeps_both_its_ends(self) -> None:
        root = f"envs/production/{'x' * 100}/network"
        lines = shown(Overview(at=NOW, running=(running(1, root=root),)), Page(80, 24))
        row = next(line for line in lines if line.startswith("o/r"))
        assert "envs/production" in row
        assert "…" in row
        assert "/network  plan" in row

    def test_without_a_width_nothing_is_cut(self) -> None:
        root = "x" * 250
        assert any(
            root in line for line in shown(Overview(at=NOW, running=(running(1, root=root),)))
        )


HOSTILE = [
    "\x1b[2J\x1b[31mred", "\x07bell", "a\nb\rc\td", "\x9b31m", "\u202egnp.exe", "[red]x[/red]",
    ":bug:", "\udcff", "名前" * 40, "a" * 10_000, "\x1b]0;title\x07", "\x00",
]  # fmt: skip


class TestNames:
    @pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
    @pytest.mark.parametrize("name", HOSTILE)
    @pytest.mark.parametrize("width", [80, None])
    def test_a_hostile_name_is_only_text(self, name: str, encoding: str, width: int | None) -> None:
        safe = name.encode("utf-8", "replace").decode()
        overview = Overview(
            at=NOW,
            workers=(worker(f"celery@{safe}/1", waits_for=safe), worker("celery@b/1")),
            running=(running(1, repo=safe, root=safe, variant=safe, phase=safe, worker=safe),),
            sweeps=(sweep(1, repo=safe), sweep(2, repo="", sweep_id=safe)),
            recent=(recent(1, 1, title=safe, error=safe, worker=safe),),
        )
        for line in top_lines(overview, Page(width, encoding=encoding), trouble=safe):
            assert line.plain.isprintable()
            line.plain.encode(encoding)
            # No markup in it has become a style.
            assert {str(span.style) for span in line.spans} <= {"bold", "bold red", ""}

    @given(st.text(max_size=60), st.integers(1, 40))
    def test_what_is_cut_fits(self, text: str, width: int) -> None:
        assert cell_len(cut(text, width, "…")) <= width

    @given(st.lists(st.text(max_size=30), min_size=1, max_size=4), st.integers(1, 60))
    def test_columns_fit(self, cells: list[str], width: int) -> None:
        columns = [
            Column("FIRST", cells, least=3),
            Column("SECOND", cells[::-1], right=True),
            Column("THIRD", cells, least=2, rank=1),
        ]
        rows = fit(columns, width, "…")
        assert len(rows) == len(cells) + 1
        assert max(map(cell_len, rows)) <= width

    def test_the_titles_of_folders_with_spaces_in_their_names_are_told_apart(self) -> None:
        assert parts_of("o/r a/b default") == ("o/r", "a/b", "default")
        assert parts_of("o/r a b/c blue", "o/r") == ("o/r", "a b/c", "blue")
        source = "local/my folder-1234abcd"
        assert parts_of(f"{source} . default", source) == (source, ".", "default")
        assert parts_of("nonsense") == ("nonsense", "", "")
        assert parts_of("") == ("", "", "")


class TestNumbers:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (-5, "0s"), (0.9, "0s"), (59, "59s"), (60, "1m00s"), (3599, "59m59s"),
            (3600, "1h00m"), (86_399, "23h59m"), (86_400, "1d00h"), (200_000, "2d07h"),
        ],
    )  # fmt: skip
    def test_ages(self, seconds: float, text: str) -> None:
        assert show_age(seconds) == text

    def rate(self, *ages: float) -> float:
        answers = tuple(recent(n, age) for n, age in enumerate(ages))
        return Overview(at=NOW, recent=answers).checks_a_minute

    def test_a_fleet_that_answered_nothing_has_no_rate(self) -> None:
        assert self.rate() == 0
        assert self.rate(1000, 2000) == 0

    def test_the_rate_is_of_the_last_five_minutes(self) -> None:
        assert self.rate(*range(0, 300, 10), 301, 400, 5000) == pytest.approx(6)

    def test_the_rate_of_a_fleet_that_has_just_begun_is_not_thinned_by_the_time_before(
        self,
    ) -> None:
        assert self.rate(*range(0, 120, 10)) == pytest.approx(6, rel=0.1)
        assert self.rate(0.1) == 1

    def test_a_fast_fleet_keeps_only_its_last_answers_and_the_rate_is_right(self) -> None:
        assert self.rate(*(n * 0.05 for n in range(MOST_RECENT))) == pytest.approx(1200, rel=0.02)

    def test_an_answer_of_a_clock_that_is_ahead_does_no_harm(self) -> None:
        assert self.rate(-3600) == 1

    def test_the_tightest_worker_is_the_one_that_is_named(self) -> None:
        gib = 1 << 30
        seen = (
            worker("celery@a/1", free_disk_bytes=5 * gib, available_memory_bytes=9 * gib),
            worker("celery@b/1", free_disk_bytes=9 * gib, available_memory_bytes=gib // 2),
        )
        (head, *_) = shown(Overview(at=NOW, workers=seen))
        assert head.endswith("free: 5.0 GiB disk (a), 512 MiB memory (b)")
        (head, *_) = shown(Overview(at=NOW, workers=seen[:1]))
        assert head.endswith("free: 5.0 GiB disk, 9.0 GiB memory")


def test_the_record_has_all_that_is_shown(fleet: Overview) -> None:
    record = record_of(fleet)
    assert record["slots"] == {"busy": 4, "total": 4}
    assert record["queue"]["waiting"] == 29
    assert record["queue"]["oldest_seconds"] == pytest.approx(22, abs=1)
    assert record["running"][0]["root"] == "envs/production/eu-central-1/network"
    assert {one["error"] for one in record["errors"]} <= {"provider_missing", "source_missing"}
    assert set(record) == {
        "at", "workers", "running", "sweeps", "slots", "queue", "checks_a_minute", "errors",
    }  # fmt: skip
