"""The queries over results that docs/results.md tells people to use, run as they are printed."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from driftfleet.results import Result, Verdict
from driftfleet.settings import ResultSettings
from driftfleet.store import ResultStore, open_store
from tests.checked import checked, job

PAGE = (Path(__file__).resolve().parents[2] / "docs/results.md").read_text()
STATEMENTS = re.findall(
    r"```sql\n(.*?)```", PAGE.partition("### DuckDB")[2].partition("### Athena")[0], re.DOTALL
)


def ago(result: Result, days: float) -> Result:
    at = datetime.now(UTC) - timedelta(days=days)
    return result.model_copy(update={"started_at": at, "finished_at": at})


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResultStore:
    monkeypatch.chdir(tmp_path)
    return open_store(ResultSettings(store=f"file://{tmp_path}/drift-results"))


def answers() -> list[list[tuple[Any, ...]]]:
    """Of the queries, behind the statement that makes the view."""
    view, *queries = STATEMENTS
    with duckdb.connect() as connection:
        connection.execute(view)
        return [connection.execute(query).fetchall() for query in queries]


def test_duckdb_tells_what_drifts_and_how_often(store: ResultStore) -> None:
    for days in range(8):
        store.add(ago(checked(job("a"), 0, Verdict.CLEAN), days))
        for root, every in (("b", 2), ("c", 4)):
            verdict = Verdict.CLEAN if days % every else Verdict.DRIFTED
            store.add(ago(checked(job(root), 0, verdict, address="aws_instance.a"), days))
    store.add(ago(checked(job("b"), 0, Verdict.DRIFTED), 40))
    store.add(ago(checked(job("e/default"), 0, Verdict.ERROR), 1))
    often, what = answers()
    assert often == [
        ("acme/infra", "b", 8, 4, 10.0), ("acme/infra", "c", 8, 2, 10.0),
        ("acme/infra", "a", 8, 0, 10.0),
    ]  # fmt: skip
    assert what == [("aws_instance", ["tags"], 2)]


def test_a_fleet_that_was_always_clean_is_no_error(store: ResultStore) -> None:
    for days in range(3):
        store.add(ago(checked(job("a")), days))
    assert answers() == [[("acme/infra", "a", 3, 0, 10.0)], []]
