"""Roots -> the jobs that ask for their checks."""

import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from driftfleet.errors import ConfigurationError
from driftfleet.jobs import Job, Limits, Source, Variant
from driftfleet.results import SweepRecord, Verdict
from driftfleet.settings import Settings, VariantRule
from driftfleet.variants import variants_of
from producer.found import Found, Trouble


def new_sweep_id(kind: str, now: datetime) -> str:
    """``KIND-YYYYmmddTHHMMSS-RANDOM``: sorts by time, and names files and Redis keys."""
    return f"{kind}-{now.astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def jobs_for(
    roots: Iterable[str],
    *,
    sweep_id: str,
    source: Source,
    rules: Sequence[VariantRule],
    limits: Limits,
) -> list[Job]:
    """One job per root and variant, in the order of the roots.

    Raises
    ------
    ConfigurationError
        Two variants of a root have one name, or a folder's name can't travel in a message.
    """
    jobs: list[Job] = []
    for root in roots:
        variants = variants_of(root, rules)
        _refuse_unspeakable(f"{source.repo}/{root}")
        _refuse_twins(root, variants)
        for variant in variants:
            jobs.append(
                Job(sweep_id=sweep_id, source=source, root=root, variant=variant, limits=limits)
            )
    return jobs


def jobs_of(found: Found, sweep_id: str, settings: Settings) -> list[Job]:
    """The jobs for what was found in one folder or repository. Raises as `jobs_for` does."""
    return jobs_for(
        [root.path for root in found.discovery.roots],
        sweep_id=sweep_id,
        source=found.source,
        rules=settings.variants,
        limits=settings.limits,
    )


def open_record(
    jobs: Sequence[Job], sweep_id: str, started_at: datetime, troubles: Sequence[Trouble] = ()
) -> SweepRecord:
    """The record of a sweep that has asked for ``jobs``, and could not look at ``troubles``."""
    names = [*(job.source.slug for job in jobs), *(trouble.name for trouble in troubles)]
    return SweepRecord(
        sweep_id=sweep_id,
        source=", ".join(dict.fromkeys(names)),
        asked=tuple(job.title for job in jobs),
        problems=tuple(trouble.reason for trouble in troubles),
        started_at=started_at,
    )


def close_record(
    record: SweepRecord, answered: dict[str, Verdict], closed_at: datetime
) -> SweepRecord:
    """The record at the sweep's end; ``answered`` is by title."""
    missing = tuple(title for title in record.asked if title not in answered)
    return record.model_copy(
        update={"answered": answered, "missing": missing, "closed_at": closed_at}
    )


def _refuse_unspeakable(path: str) -> None:
    """A name that is no UTF-8 (Python reads its bytes as surrogates) fits in no JSON record."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"the folder {path!r} can't be checked: its name is no UTF-8 text; rename it or "
            "exclude it (discovery.exclude, --exclude)"
        ) from error


def _refuse_twins(root: str, variants: Sequence[Variant]) -> None:
    name, count = Counter(variant.name for variant in variants).most_common(1)[0]
    if count > 1:
        raise ConfigurationError(
            f"variants: {count} variants of the root '{root}' are named '{name}'; "
            "their results would replace each other"
        )
