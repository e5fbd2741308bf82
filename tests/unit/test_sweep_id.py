"""Names of sweeps."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from driftfleet.jobs import Job, Source
from driftfleet.sweep_id import asked_at, new_sweep_id

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def test_sweep_ids_sort_by_utc_time_are_unique_and_fit_a_job() -> None:
    tokyo = (NOON + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=9)))
    earlier, later = new_sweep_id("scan", NOON), new_sweep_id("scan", tokyo)
    assert earlier.startswith("scan-20260102T120000-")
    assert earlier < later
    assert new_sweep_id("scan", NOON) != earlier
    source = Source(kind="local", repo="/srv/infra", sha="abc")
    assert Job(sweep_id=earlier, source=source, root=".").sweep_id == earlier


def test_a_name_says_when_it_was_asked_for_never_later_than_it_was() -> None:
    moment = NOON + timedelta(milliseconds=999)
    assert asked_at(new_sweep_id("enqueue", moment)) == NOON


@pytest.mark.parametrize(
    "name",
    ["", "sweep", "s1", "sweep-20260102T120000", "sweep-20260102T120000-abcde",
     "sweep-99999999T999999-abcdef", "sweep-20260102T120000-abcdef\n",
     "sweep-２0260102T120000-abcdef"],
)  # fmt: skip
def test_a_name_that_somebody_else_gave_says_nothing(name: str) -> None:
    assert asked_at(name) is None
