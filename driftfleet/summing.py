"""The answers of a sweep -> what they come down to."""

from collections import Counter
from collections.abc import Mapping

from driftfleet.ledger import Answer
from driftfleet.results import Timings
from driftfleet.sweeps import Answered, SweepSummary

_SLOWEST = 20


def summed(answers: Mapping[str, Answer]) -> SweepSummary:
    """The summary of answers by title; those without a verdict are none."""
    given = {title: one for title, one in answers.items() if one.verdict}
    timed = [
        Answered(title=title, verdict=one.verdict, timings_seconds=one.timings_seconds)
        for title, one in given.items()
        if one.verdict and one.timings_seconds
    ]
    sums = {
        phase: round(sum(getattr(one.timings_seconds, phase) for one in timed), 3)
        for phase in Timings.model_fields
    }
    longest = sorted(timed, key=lambda one: (-one.timings_seconds.total, one.title))
    verdicts = Counter(one.verdict for one in given.values() if one.verdict)
    return SweepSummary(
        verdicts=dict(sorted(verdicts.items())),
        errors={title: one.error for title, one in given.items() if one.error},
        timings_seconds=Timings(**sums),
        slowest=tuple(longest[:_SLOWEST]),
    )
