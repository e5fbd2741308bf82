"""Roots -> the jobs that ask for their checks."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from driftfleet.errors import ConfigurationError
from driftfleet.jobs import Job, Source, Variant
from driftfleet.ledger import Answer
from driftfleet.module_facts import BUCKET_KEYS
from driftfleet.redaction.redactor import Redactor
from driftfleet.results import Result
from driftfleet.settings import Settings
from driftfleet.summing import summed
from driftfleet.sweeps import SweepRecord
from driftfleet.variants import variants_of
from producer.discovery import Folder
from producer.found import Found, Trouble


def jobs_for(
    roots: Iterable[Folder],
    *,
    sweep_id: str,
    source: Source,
    settings: Settings,
) -> list[Job]:
    """One job per root and variant, in the order of the roots.

    Raises
    ------
    ConfigurationError
        Two variants of a root have one name, or a folder's name can't travel in a message.
    """
    jobs: list[Job] = []
    for root in roots:
        variants = variants_of(root.path, settings.variants)
        _refuse_unspeakable(f"{source.repo}/{root.path}")
        _refuse_twins(root.path, variants)
        for variant in variants:
            bucket = _bucket_of(root, variant)
            caps = settings.caps.names(source.slug, root.path, bucket)
            jobs.append(
                Job(
                    sweep_id=sweep_id,
                    source=source,
                    root=root.path,
                    variant=variant,
                    limits=settings.limits,
                    caps=tuple(caps),
                )
            )
    return jobs


def jobs_of(found: Found, sweep_id: str, settings: Settings) -> list[Job]:
    """The jobs for what was found in one folder or repository. Raises as `jobs_for` does."""
    roots = found.discovery.roots
    return jobs_for(roots, sweep_id=sweep_id, source=found.source, settings=settings)


def _bucket_of(root: Folder, variant: Variant) -> str | None:
    """Where its state is, as far as that is written in the code or the variant."""
    key = BUCKET_KEYS.get(root.backend or "")
    given = [one.partition("=")[2].strip(' "') for one in variant.backend_config
             if key and one.partition("=")[0].strip() == key]  # fmt: skip
    return (given[-1] if given else root.bucket) or None


def open_record(
    jobs: Sequence[Job], sweep_id: str, started_at: datetime, troubles: Sequence[Trouble] = ()
) -> SweepRecord:
    """The record of a sweep that has asked for ``jobs``, and could not look at ``troubles``."""
    names = [*(job.source.slug for job in jobs), *(trouble.name for trouble in troubles)]
    return SweepRecord(
        sweep_id=sweep_id,
        source=", ".join(dict.fromkeys(names)),
        asked=tuple(job.title for job in jobs),
        problems=tuple(Redactor()(trouble.reason) for trouble in troubles),
        started_at=started_at,
    )


def close_record(
    record: SweepRecord, results: Iterable[Result], closed_at: datetime
) -> SweepRecord:
    """The record at the sweep's end, which has ``results`` for its answers."""
    by_title = {result.job.title: Answer.of(result, result.history_key) for result in results}
    answers = {title: by_title[title] for title in record.asked if title in by_title}
    return record.model_copy(
        update={
            "answered": {title: one.verdict for title, one in answers.items()},
            "missing": tuple(title for title in record.asked if title not in answers),
            "closed_at": closed_at,
            "summary": summed(answers),
        }
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
