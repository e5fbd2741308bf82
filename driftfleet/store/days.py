"""The days of a fleet in its store."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import structlog

from driftfleet.day import TREND_DAYS, DayRecord, day_key
from driftfleet.errors import ContractError
from driftfleet.model import decode_record
from driftfleet.store.objects import ObjectStore

log = structlog.get_logger()


def read_days(
    objects: ObjectStore, at: datetime, known: Mapping[date, DayRecord] | None = None
) -> tuple[DayRecord, ...]:
    """The days of the trend that ends with ``at``, as far as there are any, oldest first.

    Those that are ``known`` are not read again. A record that can't be read is told of in the log
    and left out. Raises `StoreUnavailable`.
    """
    first = at.astimezone(UTC).date() - timedelta(days=TREND_DAYS)
    kept = {day.key: day for day in (known or {}).values()}
    keys = objects.keys("days/", after=day_key(first))
    found = (kept.get(key) or _read(objects, key) for key in keys)
    return tuple(day for day in found if day)


def keep_day(objects: ObjectStore, day: DayRecord) -> None:
    """Write the record of a day; the last one of a day is the one that stays."""
    objects.put(day.key, day.model_dump_json().encode() + b"\n")


def _read(objects: ObjectStore, key: str) -> DayRecord | None:
    body = objects.get(key)
    try:
        return decode_record(DayRecord, body) if body is not None else None
    except ContractError as error:
        log.warning("day_unreadable", where=objects.describe(key), reason=error.message)
        return None
