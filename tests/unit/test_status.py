"""What people and scripts see of the fleet's status."""

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from driftfleet.errors import ConfigurationError, StoreUnavailable
from driftfleet.jobs import Job, Source
from driftfleet.model import decode_record
from driftfleet.places import latest_key
from driftfleet.repository_roots import roots_of
from driftfleet.results import Verdict
from driftfleet.root_status import RootStatus
from driftfleet.settings import ResultSettings, Settings
from driftfleet.store import ResultStore, open_objects
from producer.chosen import Chosen
from producer.progress import Progress
from producer.status import StatusOrder, show_fleet_status
from tests.checked import at, checked, job

ESCAPE = "\x1b[31mred\u202e"
NOW = at(24)


class Pipe(io.StringIO):
    """A stream that says it is no terminal."""

    encoding = "utf-8"


class Terminal(Pipe):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


class Fleet:
    """A store in a folder, and `status` of it."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(results=ResultSettings(store=f"file://{folder}"))
        self.objects = open_objects(self.settings.results)
        self.store = ResultStore(self.objects)
        self.out = self.err = ""

    def add(self, of: Job, hours: float = 0, verdict: Verdict = Verdict.CLEAN, **more: Any) -> None:
        self.store.add(checked(of, hours, verdict, **more))

    def look(self, *jobs: Job, hours: float = 1) -> None:
        found = roots_of(job().source, jobs, at(hours))
        self.store.keep(found.key, found)

    def status(
        self,
        *,
        chosen: Chosen | None = None,
        stale: timedelta | None = None,
        as_json: bool = False,
        stdout: Pipe | None = None,
    ) -> int:
        stdout, stderr = stdout or Pipe(), io.StringIO()
        order = StatusOrder(
            chosen=chosen or Chosen(),
            settings=self.settings,
            progress=Progress(stderr, animate=False),
            stdout=stdout,
            stale=stale,
            as_json=as_json,
        )
        try:
            return show_fleet_status(order, NOW)
        finally:
            self.out, self.err = stdout.getvalue(), stderr.getvalue()

    @property
    def roots(self) -> list[str]:
        """Of the lines of a table."""
        lines = self.out.partition("\n\n")[0].splitlines()[1:]
        return [line.split()[2] for line in lines]


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path / "results")


def test_what_needs_somebody_comes_first_and_what_has_for_longest(fleet: Fleet) -> None:
    fleet.add(job("clean"))
    fleet.add(job("unapplied"), 0, Verdict.UNAPPLIED)
    fleet.add(job("young"), 10, Verdict.DRIFTED)
    for hours, verdict in ((2, Verdict.DRIFTED), (3, Verdict.ERROR), (20, Verdict.DRIFTED)):
        fleet.add(job("old"), hours, verdict)
    fleet.add(job("both"), 0, Verdict.DRIFTED_UNAPPLIED)
    fleet.add(job("broken"), 0, Verdict.ERROR)
    assert fleet.status() == 1
    assert fleet.roots == ["broken", "both", "old", "young", "unapplied", "clean"]
    old = next(line for line in fleet.out.splitlines() if " old " in line)
    assert old.split() == ["drifted", "acme/infra", "old", "22h00m", "4h00m", "1", "drifted"]
    assert fleet.out.splitlines()[1].endswith("credentials: no credentials")
    assert fleet.out.splitlines()[-1] == (
        "6 roots: 1 error, 1 drifted_unapplied, 2 drifted, 1 unapplied, 1 clean"
    )
    assert fleet.err == ""


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([Verdict.CLEAN], 0),
        ([Verdict.CLEAN, Verdict.UNAPPLIED], 3),
        ([Verdict.DRIFTED], 3),
        ([Verdict.DRIFTED, Verdict.ERROR], 1),
    ],
)
def test_the_exit_code_is_that_of_a_scan(fleet: Fleet, verdicts: list[Verdict], code: int) -> None:
    for number, verdict in enumerate(verdicts):
        fleet.add(job(f"r{number}"), 0, verdict)
    assert fleet.status() == code
    assert fleet.status(as_json=True) == code


def test_variants_are_a_column_where_there_is_another_than_the_default(fleet: Fleet) -> None:
    fleet.add(job("a"))
    fleet.status()
    assert "VARIANT" not in fleet.out
    fleet.add(job("a", "eu"))
    fleet.status()
    assert [line.split()[3] for line in fleet.out.splitlines()[:3]] == ["VARIANT", "default", "eu"]


def test_roots_that_were_never_answered_are_told_and_not_all_is_clean(fleet: Fleet) -> None:
    fleet.add(job("a"))
    fleet.look(job("a"), job("b", "eu"))
    assert fleet.status() == 1
    assert "1 never answered, though they are in the code:\n  acme/infra b eu\n" in fleet.out
    assert fleet.out.endswith("1 root: 1 clean; 1 never answered\n")
    assert fleet.status(as_json=True) == 1
    assert "acme/infra b eu" in fleet.err
    assert len(fleet.out.splitlines()) == 1


def test_roots_that_are_gone_are_told_and_do_not_count(fleet: Fleet) -> None:
    fleet.add(job("a"))
    fleet.add(job("b"), 0, Verdict.ERROR)
    fleet.look(job("a"))
    assert fleet.status() == 0
    assert "1 no longer in the code, and not counted:\n  acme/infra b default\n" in fleet.out
    assert fleet.out.endswith("1 root: 1 clean; 1 gone\n")


def test_what_cant_be_read_is_told_with_where_and_why_and_exit_1(fleet: Fleet) -> None:
    fleet.add(job("a"))
    fleet.objects.put("latest/acme/infra/b/default.json", b"{")
    fleet.objects.put("roots/acme/infra.json", b"{}")
    assert fleet.status() == 1
    assert "results/latest/acme/infra/b/default.json: can't be read: not a Latest" in fleet.err
    assert "results/roots/acme/infra.json: can't be read: not a RepositoryRoots" in fleet.err
    assert fleet.out.endswith("1 root: 1 clean; 2 unreadable\n")
    assert fleet.status(chosen=Chosen(("acme/infra",), ("a",))) == 1
    assert "infra/b/" not in fleet.err


@pytest.mark.parametrize(
    ("verdict", "outputs", "told"),
    [
        (Verdict.UNAPPLIED, 1, "1 to change, 1 output"),
        (Verdict.UNAPPLIED, 3, "1 to change, 3 outputs"),
        (Verdict.CLEAN, 3, ""),
    ],
)
def test_outputs_are_told_where_somebody_has_to_apply_them(
    fleet: Fleet, verdict: Verdict, outputs: int, told: str
) -> None:
    result = checked(job("a"), 0, verdict)
    summary = result.summary.model_copy(update={"outputs": outputs})
    fleet.store.add(result.model_copy(update={"summary": summary}))
    fleet.status()
    (line,) = [one for one in fleet.out.splitlines() if "acme/infra" in one]
    assert line.endswith(told or "  1d00h")


@pytest.mark.parametrize(
    ("repo", "ref", "target"),
    [
        ("acme/infra", "v/1", "acme/infra"),
        ("Acme/Infra", "v1", "acme/infra@v1"),
        ("acme/infra", "", "org:acme"),
    ],
)
def test_a_look_that_cant_be_read_is_told_to_who_asks_for_its_repository(
    fleet: Fleet, repo: str, ref: str, target: str
) -> None:
    fleet.add(job("a", repo="acme/infra"))
    found = roots_of(job(repo=repo, ref=ref).source, (), at(1))
    fleet.objects.put(found.key, b"{")
    assert fleet.status(chosen=Chosen((target,))) == 1
    assert "not a RepositoryRoots" in fleet.err


def test_of_a_folder_too(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "A@b").mkdir()
    source = Source(kind="local", repo=str(tmp_path / "A@b"))
    fleet.add(job("a").model_copy(update={"source": source}))
    fleet.objects.put(roots_of(source, (), at(1)).key, b"{")
    assert fleet.status(chosen=Chosen((str(tmp_path / "A@b"),))) == 1
    assert "not a RepositoryRoots" in fleet.err


def test_a_link_that_leads_nowhere_is_none_and_one_to_itself_is_told(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.add(job("a"))
    folder = tmp_path / "results/latest/acme/infra/b"
    folder.mkdir()
    (folder / "default.json").symlink_to("nowhere")
    assert fleet.status() == 0
    (folder / "default.json").unlink()
    (folder / "default.json").symlink_to("default.json")
    with pytest.raises(StoreUnavailable, match=r"b/default.json: Too many levels"):
        fleet.status()


@pytest.mark.parametrize("key", ["latest/README", "latest/acme/x.json", "roots/x.json"])
def test_an_object_that_is_not_ours_is_told_of(fleet: Fleet, key: str) -> None:
    fleet.add(job("a"))
    fleet.objects.put(key, b"Hello")
    assert fleet.status() == 1
    assert f"{key}: can't be read" in fleet.err
    assert fleet.roots == ["a"]


def test_only_what_is_meant_is_shown_and_counts(fleet: Fleet) -> None:
    fleet.add(job("envs/prod"), 0, Verdict.DRIFTED)
    fleet.add(job("envs/dev"))
    fleet.add(job("envs/dev", repo="other/infra"), 0, Verdict.ERROR)
    assert fleet.status(chosen=Chosen(("acme/infra",))) == 3
    assert fleet.roots == ["envs/prod", "envs/dev"]
    assert fleet.status(chosen=Chosen(("org:acme",), ("**/dev",))) == 0
    assert fleet.roots == ["envs/dev"]
    assert fleet.status(chosen=Chosen(verdicts=(Verdict.DRIFTED,))) == 3
    assert fleet.roots == ["envs/prod"]
    assert fleet.status(chosen=Chosen(roots=("nowhere",))) == 0
    assert fleet.out == "0 roots\n"


def test_a_repository_that_is_not_known_is_refused_and_so_is_an_empty_store(fleet: Fleet) -> None:
    with pytest.raises(ConfigurationError, match="holds no result: check roots first"):
        fleet.status()
    fleet.add(job("a"))
    with pytest.raises(ConfigurationError, match=r"acme/infar \(did you mean acme/infra\?\)"):
        fleet.status(chosen=Chosen(("acme/infar",)))
    fleet.objects.delete(latest_key(job("a")))
    fleet.look(job("a"))
    assert fleet.status() == 1
    assert fleet.out.endswith("\n0 roots; 1 never answered\n")


def test_stale_is_what_was_not_judged_for_longer_longest_first(fleet: Fleet) -> None:
    fleet.add(job("fresh"), 23)
    fleet.add(job("old"), 1, Verdict.DRIFTED)
    fleet.add(job("older"), 0)
    fleet.add(job("older"), 23.5, Verdict.ERROR)  # no judgement
    fleet.add(job("never"), 2, Verdict.ERROR)
    fleet.add(job("new"), 23, Verdict.ERROR)
    assert fleet.status(stale=timedelta(hours=12)) == 1
    assert fleet.roots == ["never", "older", "old"]
    lines = fleet.out.splitlines()
    assert lines[0].split()[3:5] == ["JUDGED", "CHECKED"]
    ages = [line.split()[3:5] for line in lines[1:4]]
    assert ages == [["never", "22h00m"], ["1d00h", "30m00s"], ["23h00m", "23h00m"]]
    assert lines[-1] == "3 roots not judged for more than 12h: 2 error, 1 drifted"
    fleet.look(job("fresh"), job("unknown"))
    assert fleet.status(stale=timedelta(hours=12), chosen=Chosen(roots=("unknown",))) == 1
    assert "acme/infra unknown default" in fleet.out
    assert fleet.status(stale=timedelta(days=30), chosen=Chosen(roots=("fresh",))) == 0
    assert fleet.out == "0 roots not judged for more than 30d\n"


def test_scripts_get_records_of_the_published_schema(fleet: Fleet) -> None:
    fleet.add(job("a"), 0, Verdict.DRIFTED)
    fleet.add(job("b"))
    fleet.status(as_json=True)
    found = [decode_record(RootStatus, line) for line in fleet.out.splitlines()]
    assert [(one.root, one.verdict) for one in found] == [("a", "drifted"), ("b", "clean")]
    assert json.loads(fleet.out.splitlines()[0])["drifted_since"] == "2026-01-02T12:00:00Z"


def test_what_scripts_get_is_ascii_and_can_do_nothing_to_a_terminal(fleet: Fleet) -> None:
    fleet.add(job("ü\x9b31m\u202e\U0001f600"))
    fleet.status(as_json=True)
    assert fleet.out.isascii()
    assert decode_record(RootStatus, fleet.out).root == "ü\x9b31m\u202e\U0001f600"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("terminal", [True, False])
def test_hostile_names_can_do_nothing(fleet: Fleet, encoding: str, terminal: bool) -> None:
    fleet.add(job(f"{ESCAPE}\n[bold]é"), 0, Verdict.ERROR, message=f"{ESCAPE}\r\n[red]")
    fleet.add(job("x" * 300))
    fleet.look(job(f"{ESCAPE}never"), job("x" * 300))
    stream = Terminal() if terminal else Pipe()
    stream.encoding = encoding
    fleet.status(stdout=stream)
    plain = fleet.out.replace("\x1b[31m", "").replace("\x1b[0m", "").replace("\x1b[32m", "")
    plain = plain.replace("\x1b[1m", "")
    assert "\u202e" not in fleet.out
    assert "\x1b" not in plain
    assert "\\x1b[31mred\\u202e" in fleet.out
    fleet.out.encode(encoding)


def test_on_a_terminal_each_root_is_one_line_of_its_width(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    for number in range(3):
        fleet.add(job(f"environments/production/{number}/network/vpc-{number}"), 0, Verdict.ERROR)
    fleet.status(stdout=Terminal())
    lines = fleet.out.partition("\n\n")[0].splitlines()
    assert len(lines) == 4
    assert all(len(line) <= 70 for line in lines)
    assert "…" in lines[1]
