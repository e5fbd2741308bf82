"""A root's line of verdicts as people and scripts see it."""

import io
from datetime import timedelta
from pathlib import Path

import pytest

from driftfleet.errors import ConfigurationError, ContractError
from driftfleet.latest import Run
from driftfleet.model import decode_record
from driftfleet.places import latest_key
from driftfleet.results import Result, Verdict
from driftfleet.settings import ResultSettings, Settings
from driftfleet.store import ResultStore, open_objects
from producer.chosen import Chosen
from producer.progress import Progress
from producer.root_history import HistoryOrder, show_history
from tests.checked import at, checked, job

NOW = at(100)
ESCAPE = "\x1b[31mred\u202e"


class History:
    """A store in a folder, and `history` of it."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(results=ResultSettings(store=f"file://{folder}"))
        self.objects = open_objects(self.settings.results)
        self.store = ResultStore(self.objects)
        self.out = self.err = ""

    def __call__(
        self,
        *words: str,
        limit: int = 20,
        since: timedelta | None = None,
        checks: bool = False,
        as_json: bool = False,
    ) -> int:
        stdout, stderr = io.StringIO(), io.StringIO()
        order = HistoryOrder(
            words=words or ("envs/prod",),
            chosen=Chosen(),
            variant=None,
            settings=self.settings,
            progress=Progress(stderr, animate=False),
            stdout=stdout,
            limit=limit,
            since=since,
            checks=checks,
            as_json=as_json,
        )
        try:
            return show_history(order, NOW)
        finally:
            self.out, self.err = stdout.getvalue(), stderr.getvalue()

    @property
    def rows(self) -> list[list[str]]:
        """Of the table, below its head."""
        return [line.split("  ") for line in self.out.partition("\n\n")[2].splitlines()[1:]]


@pytest.fixture
def history(tmp_path: Path) -> History:
    history = History(tmp_path / "results")
    line = [Verdict.CLEAN] * 3 + [Verdict.DRIFTED] * 4 + [Verdict.ERROR] + [Verdict.DRIFTED] * 2
    for hour, verdict in enumerate(line):
        history.store.add(checked(None, 10 * hour, verdict))
    return history


def test_checks_in_a_row_that_said_the_same_are_one_line(history: History) -> None:
    assert history() == 0
    assert [(row[0], row[-2].strip() or row[-1].strip()) for row in history.rows] == [
        ("drifted", "2"), ("error", "1"), ("drifted", "4"), ("clean", "3"),
    ]  # fmt: skip
    first, third = history.rows[0], history.rows[2]
    assert first[-1] == third[-1]  # the same set of changes
    assert "credentials" in history.rows[1][-1]
    assert "2026-01-03 18:00:00Z" in "  ".join(third)


def test_its_head_says_since_when_and_what_was_before(history: History) -> None:
    history()
    head = history.out.partition("\n\n")[0].splitlines()
    assert head == [
        "acme/infra envs/prod default",
        "drifted in 2 checks since 2026-01-05 20:00:00Z; checked 10h00m ago",
        "drifted since 2026-01-03 18:00:00Z, 2d22h ago",
        "these changes since 2026-01-03 18:00:00Z, 2d22h ago",
        "last clean 2026-01-03 08:00:00Z, 3d08h ago",
        "last error 2026-01-05 10:00:00Z, 1d06h ago: credentials (in init)",
    ]


def test_limit_and_since_leave_out_what_is_older_and_say_so(history: History) -> None:
    history(limit=2)
    assert history.out.endswith("\nand 2 before (--limit)\n")
    assert len(history.rows) == 3
    history(since=timedelta(hours=25))
    assert [row[0] for row in history.rows] == ["drifted"]


def test_scripts_get_each_run(history: History) -> None:
    history(as_json=True)
    runs = [decode_record(Run, line) for line in history.out.splitlines()]
    assert [(run.verdict, run.checks) for run in runs] == [
        ("drifted", 2), ("error", 1), ("drifted", 4), ("clean", 3),
    ]  # fmt: skip


def test_each_check_is_shown_newest_first(history: History) -> None:
    assert history(checks=True, limit=4) == 0
    lines = history.out.splitlines()[-4:]
    assert [line.split()[2] for line in lines] == ["drifted", "drifted", "error", "drifted"]
    assert lines[0].startswith("2026-01-06 06:00:00Z  drifted")
    assert lines[0].endswith("10.0  1 drifted: aws_instance.a (tags)")
    history(checks=True, since=timedelta(hours=25))
    assert len(history.out.partition("\n\n")[2].splitlines()) == 1 + 2
    history(checks=True, as_json=True, limit=3)
    found = [decode_record(Result, line) for line in history.out.splitlines()]
    assert [one.finished_at for one in found] == [at(90), at(80), at(70)]


def test_a_check_that_cant_be_read_is_told_and_the_others_are_shown(history: History) -> None:
    key = checked(None, 80).history_key
    history.objects.put(key, b"{")
    assert history(checks=True, limit=2) == 1
    assert f"{key}: can't be read: not a Result of schema 1" in history.err
    assert [line.split()[2] for line in history.out.splitlines()[-2:]] == ["drifted", "error"]


def test_more_runs_than_are_kept_are_said_to_be_elsewhere(history: History) -> None:
    for hour in range(60):
        verdict = Verdict.CLEAN if hour % 2 else Verdict.DRIFTED
        history.store.add(checked(job("busy"), hour, verdict))
    history("busy", limit=100)
    assert history.out.endswith("\nWhat was before is in the history: --checks\n")
    history("busy", limit=10)
    assert history.out.endswith("\nand 40 before (--limit)\n")


def test_no_root_and_no_result_are_told(history: History, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean\n  acme/infra envs/prod default"):
        history("envs/prdo")
    with pytest.raises(ConfigurationError, match="holds no result: check roots first"):
        History(tmp_path / "empty")("envs/prod")
    history.objects.put(latest_key(job()), b"{")
    with pytest.raises(ContractError, match="not a LatestRecord"):
        history()


def test_an_object_that_is_not_ours_is_no_root(history: History) -> None:
    history.objects.put("latest/README", b"Hello")
    assert history() == 0
    with pytest.raises(ConfigurationError, match="no root is called 'README'"):
        history("README")


def test_a_root_is_found_by_a_name_that_is_too_long_for_a_key(history: History) -> None:
    history.store.add(checked(job("x" * 300)))
    history.store.add(checked(job("x" * 299 + "y")))
    history.objects.put(latest_key(job("z" * 300)), b"{")
    assert history("acme/infra", "x" * 300) == 0
    assert history("x" * 299 + "y") == 0
    with pytest.raises(ConfigurationError, match="no root is called"):
        history("x" * 301)


def test_scripts_get_ascii(history: History) -> None:
    history.store.add(checked(job("ü\x9b31m")))
    assert history("ü\\x9b31m", checks=True, as_json=True) == 0
    assert history.out.isascii()
    assert decode_record(Result, history.out).job.root == "ü\x9b31m"


def test_hostile_names_can_do_nothing(history: History) -> None:
    history.store.add(checked(job(f"{ESCAPE}\n"), 0, Verdict.DRIFTED, address=f"a.{ESCAPE}"))
    for checks in (False, True):
        history("acme/infra", "\\x1b[31mred\\u202e\\n", checks=checks)  # as `status` prints it
        assert "\x1b" not in history.out
        assert "\u202e" not in history.out
        assert "\\x1b[31mred" in history.out
