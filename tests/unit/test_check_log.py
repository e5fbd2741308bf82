"""The one line that a worker logs for each check."""

from datetime import UTC, datetime

import structlog

from driftfleet.jobs import Job, Source
from driftfleet.results import (
    Change,
    CheckError,
    Cost,
    ErrorKind,
    Result,
    Timings,
    Verdict,
    Versions,
)
from worker.check import log_answered

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHA = "0123456789abcdef0123456789abcdef01234567"
JOB = Job(sweep_id="s", source=Source(kind="github", repo="a/b", sha=SHA), root="envs/prod")


def logged(verdict: Verdict, error: CheckError | None = None, **more: str) -> dict[str, object]:
    result = Result(
        job=JOB,
        verdict=verdict,
        changes=(Change(address="x.y", kind="drift", actions=("update",)),),
        error=error,
        versions=Versions(terraform="1.11.4"),
        timings_seconds=Timings(wait=1, source=2, init=3, plan=4, show=5, total=14.5),
        cost=Cost(cpu_seconds=9.5, peak_memory_bytes=700, peak_disk_bytes=30, api_calls=2),
        started_at=NOW,
        finished_at=NOW,
        worker="w1",
    )
    with structlog.testing.capture_logs() as lines:
        log_answered(result, **more)
    (line,) = lines
    return dict(line)


def test_the_line_has_what_one_asks_for_first_and_is_flat() -> None:
    assert logged(Verdict.DRIFTED, key="results/x.json") == {
        "log_level": "info",
        "event": "check_answered",
        "sha": "0123456789ab",
        "verdict": "drifted",
        "error": None,
        "error_phase": None,
        "error_message": None,
        "transient": None,
        "changes": 1,
        "wait_seconds": 1,
        "source_seconds": 2,
        "init_seconds": 3,
        "plan_seconds": 4,
        "show_seconds": 5,
        "total_seconds": 14.5,
        "cpu_seconds": 9.5,
        "peak_memory_bytes": 700,
        "peak_disk_bytes": 30,
        "api_calls": 2,
        "terraform": "1.11.4",
        "worker": "w1",
        "key": "results/x.json",
    }


def test_an_error_is_told_with_its_phase_and_the_beginning_of_its_message() -> None:
    message = "terraform plan failed:\n\x1b[31mno " + "x" * 1000
    error = CheckError(phase="plan", kind=ErrorKind.CREDENTIALS, message=message, transient=True)
    line = logged(Verdict.ERROR, error)
    assert (line["error"], line["error_phase"], line["transient"]) == ("credentials", "plan", True)
    told = line["error_message"]
    assert isinstance(told, str)
    assert told.startswith("terraform plan failed: ?[31mno xxx")
    assert len(told) == 200
