"""Whole records for scripts, as they are kept."""

import io
import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from driftfleet.errors import ConfigurationError
from driftfleet.model import decode_record
from driftfleet.places import latest_key
from driftfleet.results import Result, Verdict
from driftfleet.settings import ResultSettings, Settings
from driftfleet.store import ResultStore, open_objects
from producer.chosen import Chosen
from producer.progress import Progress
from producer.result_dump import DumpOrder, ahead, dump_results
from tests.checked import at, checked, job

NOW = at(24)
OF = [job("a"), job("b", "eu"), job("a", repo="other/infra", ref="v1")]


class Dump:
    """A store in a folder, and `results` of it."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(results=ResultSettings(store=f"file://{folder}"))
        self.objects = open_objects(self.settings.results)
        self.err = ""

    def __call__(
        self, chosen: Chosen | None = None, since: float | None = None, *, expect: int = 0
    ) -> list[Result]:
        out = self.text(chosen, since, expect=expect, as_json=True)
        return [decode_record(Result, line) for line in out.splitlines()]

    def text(
        self, chosen: Chosen | None, since: float | None, *, expect: int = 0, as_json: bool = False
    ) -> str:
        stdout, stderr = io.StringIO(), io.StringIO()
        order = DumpOrder(
            chosen=chosen or Chosen(),
            settings=self.settings,
            progress=Progress(stderr, animate=False),
            stdout=stdout,
            since=None if since is None else timedelta(hours=since),
            as_json=as_json,
        )
        assert dump_results(order, NOW) == expect
        self.err = stderr.getvalue()
        return stdout.getvalue()


@pytest.fixture
def dump(tmp_path: Path) -> Dump:
    dump = Dump(tmp_path / "results")
    store = ResultStore(dump.objects)
    for hours, of in itertools.product(range(0, 24, 6), OF):
        store.add(checked(of, hours, Verdict.DRIFTED if hours == 12 else Verdict.CLEAN))
    return dump


def test_the_newest_of_each_root_is_whole(dump: Dump) -> None:
    assert dump() == [checked(of, 18) for of in OF]
    assert dump.err == ""


def test_with_a_time_all_of_it_is_told_root_by_root_oldest_first(dump: Dump) -> None:
    found = dump(since=12.5)
    assert [(one.job, one.finished_at) for one in found] == [
        (of, at(hours)) for of in OF for hours in (12, 18)
    ]
    assert dump(since=0.5) == []


def test_only_what_is_meant_is_told(dump: Dump) -> None:
    assert dump(Chosen(("other/infra@v1",))) == [checked(OF[2], 18)]
    assert dump(Chosen(("other/infra@v2",))) == []
    assert dump(Chosen(("org:acme",), ("b",))) == [checked(OF[1], 18)]
    drifted = dump(Chosen(verdicts=(Verdict.DRIFTED,)), since=24)
    assert [one.finished_at for one in drifted] == [at(12)] * 3
    assert dump(Chosen(verdicts=(Verdict.DRIFTED,))) == []
    with pytest.raises(ConfigurationError, match="did you mean other/infra"):
        dump(Chosen(("other/infar",)))


def test_what_cant_be_read_is_told_and_the_others_are_printed(dump: Dump) -> None:
    dump.objects.put(latest_key(OF[0]), b"{")
    assert dump(expect=1) == [checked(of, 18) for of in OF[1:]]
    assert "latest/acme/infra/a/default.json: can't be read: not a LatestRecord" in dump.err
    assert len(dump(since=24)) == 12  # the history of that root is whole


def test_an_object_that_is_not_ours_is_told(dump: Dump) -> None:
    dump.objects.put("latest/README", b"Hello")
    assert dump(expect=1) == [checked(of, 18) for of in OF]
    assert "latest/README: can't be read" in dump.err
    assert len(dump(since=24)) == 12


def test_a_glob_is_over_the_whole_name_where_a_key_holds_half_of_it(dump: Dump) -> None:
    long = job("x" * 300 + "/end")
    ResultStore(dump.objects).add(checked(long))
    glob = "x" * 300 + "/*"
    assert dump(Chosen(roots=(glob,))) == [checked(long)]
    assert dump(Chosen(roots=(glob,)), since=30) == [checked(long)]


def test_a_place_without_any_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere holds no result: check roots first"):
        Dump(tmp_path / "nowhere")()


def test_scripts_get_ascii(dump: Dump) -> None:
    ResultStore(dump.objects).add(checked(job("ü\x9b31m")))
    out = dump.text(Chosen(roots=("ü*",)), None, as_json=True)
    assert out.isascii()
    assert decode_record(Result, out).job.root == "ü\x9b31m"


def test_people_get_a_line_each(dump: Dump) -> None:
    lines = dump.text(None, 12.5).splitlines()
    assert lines[0] == (
        "2026-01-03T00:00:00+00:00  drifted  acme/infra a default  1 drifted: aws_instance.a (tags)"
    )
    assert "\x1b" not in dump.text(None, 24)


def test_nothing_is_read_far_ahead_of_who_consumes_it() -> None:
    begun: list[int] = []
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            begun.append(number)
            yield number

    for result in ahead(lambda number: number * 2, items()):
        taken.append(result)
        assert len(begun) - len(taken) <= 32
    assert taken == [number * 2 for number in range(1000)]
    stopped = ahead(lambda number: number, items())
    next(stopped)
    stopped.close()
    assert len(begun) < 1100
