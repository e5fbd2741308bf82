"""The result: its keys, its schema, and that it never holds what it must not."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import pytest

from driftfleet import schemas
from driftfleet.errors import ContractError, Phase
from driftfleet.jobs import Job, Source, Variant
from driftfleet.model import decode_record
from driftfleet.places import place
from driftfleet.results import Change, CheckError, ErrorKind, Result, Timings, Verdict
from driftfleet.sweeps import SweepManifest

REPOSITORY = Path(__file__).resolve().parents[2]
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def job(root: str = "envs/prod", variant: str = "default", repo: str = "acme/infra") -> Job:
    source = Source(kind="github", repo=repo)
    return Job(sweep_id="s1", source=source, root=root, variant=Variant(name=variant))


def result(at: datetime = AT, root: str = "envs/prod") -> Result:
    return Result(job=job(root), verdict=Verdict.CLEAN, started_at=at, finished_at=at)


def test_keys_are_those_of_the_design() -> None:
    assert result().history_key == (
        "results/acme/infra/envs/prod/default/20260102T030405.678901Z-s1.json"
    )
    assert result().latest_key == "latest/acme/infra/envs/prod/default.json"


def test_history_keys_sort_by_the_time_of_utc() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=5)))
    assert result(elsewhere).history_key == result(AT).history_key


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        (".", "acme/infra/@root/default"),
        ("@root", "acme/infra/%40root/default"),
        ("a b/c%d", "acme/infra/a%20b/c%25d/default"),
        (".hidden", "acme/infra/%2Ehidden/default"),
        ("...", "acme/infra/%2E%2E%2E/default"),
        ("x.json", "acme/infra/x%2Ejson/default"),
        ("ü", "acme/infra/%C3%BC/default"),
    ],
)
def test_a_roots_name_can_leave_neither_its_prefix_nor_its_file(root: str, expected: str) -> None:
    assert place(job(root)) == expected


def test_a_result_survives_its_journey_as_json() -> None:
    full = Result(
        job=job(),
        verdict=Verdict.ERROR,
        changes=(Change(address="a.b", kind="drift", actions=("update",), attributes=("x",)),),
        error=CheckError(phase="plan", kind=ErrorKind.TIMEOUT, message="m", transient=True),
        timings_seconds=Timings(total=1.5),
        started_at=AT,
        finished_at=AT,
    )
    assert decode_record(Result, full.model_dump_json()) == full


def test_a_change_holds_names_of_attributes_and_has_no_place_for_values() -> None:
    assert set(Change.model_fields) == {
        "address", "module", "type", "provider", "kind", "actions", "attributes",
    }  # fmt: skip


def test_an_error_kind_that_nobody_knows_is_refused() -> None:
    text = result().model_dump_json().replace('"error":null', '"error":{"kind":"odd"}')
    with pytest.raises(ContractError, match="not a Result"):
        decode_record(Result, text)


def test_the_phases_of_errors_are_those_of_the_design() -> None:
    assert get_args(Phase) == ("source", "version", "init", "plan", "show", "store")


def test_the_published_schemas_are_those_of_the_records() -> None:
    assert schemas.differing(REPOSITORY / "docs" / "schemas") == []


def test_a_schema_that_differs_is_named_and_writing_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert schemas.main([str(tmp_path)]) == 0
    path = tmp_path / "job.schema.json"
    path.write_text(path.read_text().replace("sweep_id", "swept_id"))
    (tmp_path / "latest.schema.json").unlink()
    assert schemas.main(["--check", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "job.schema.json" in said
    assert "latest.schema.json" in said
    assert "result.schema.json" not in said
    assert schemas.main([str(tmp_path)]) == 0
    assert schemas.main(["--check", str(tmp_path)]) == 0


def test_schemas_are_written_the_same_every_time(tmp_path: Path) -> None:
    for name in schemas.PUBLISHED:
        text = schemas.schema_of(name)
        assert text.endswith("}\n")
        assert list(json.loads(text)) == sorted(json.loads(text))
        assert json.loads(text)["additionalProperties"] is False


def test_a_manifest_of_5000_jobs_is_small_and_comes_back_the_same() -> None:
    source = Source(
        kind="github", repo="payments-platform/infrastructure", ref="main", sha="0123456789" * 4
    )
    jobs = tuple(
        Job(
            sweep_id="schedule-20261124T022915-287027",
            source=source,
            root=f"regions/eu-central-{number % 3}/accounts/production-{number}/network",
            variant=Variant(name="production", workspace="production"),
        )
        for number in range(5000)
    )
    manifest = SweepManifest(sweep_id="s1", jobs=jobs, asked_at=AT, deadline=AT)
    encoded = manifest.encode()
    assert len(encoded) < 2_000_000
    assert json.loads(encoded)["schema_version"] == 1
    assert decode_record(SweepManifest, encoded) == manifest


def test_what_is_wrong_with_a_record_is_one_line_without_values() -> None:
    many = ", ".join(f'"k{n}": "hunter2"' for n in range(30))
    with pytest.raises(ContractError) as caught:
        decode_record(Result, f'{{"verdict": "hunter2", {many}}}')
    message = caught.value.message
    assert message.startswith(
        "not a Result of schema 1: job: Field required; verdict: Input should"
    )
    assert message.endswith("; and 14 more")
    assert "\n" not in message
    assert "hunter2" not in message
    assert "https://" not in message
