"""One value of one series, and the datagram that carries a few of them between processes."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from driftfleet.metrics.table import LOST_AS_UNKNOWN, METRICS, Labels

# A check's are 300 bytes.
DATAGRAM_BYTES = 8192


class Sample(NamedTuple):
    """``name`` is a row of the table; ``value`` is added to a counter, else taken as it is."""

    name: str
    value: float
    labels: Labels = ()


def lost(where: str, count: int) -> Sample:
    """That ``count`` samples reached nobody."""
    return Sample("metrics_lost_total", count, (where,))


def encode(samples: Iterable[Sample]) -> bytes:
    """A datagram. Raises ``ValueError`` or ``TypeError`` for what is no sample."""
    return json.dumps(list(samples), allow_nan=False, separators=(",", ":")).encode()


def decode(datagram: bytes) -> list[Sample]:
    """The samples of a datagram; one that the table doesn't know counts as lost.

    Raises
    ------
    ValueError
        It is no datagram of ours.
    """
    found = json.loads(datagram)
    if not isinstance(found, list):
        raise ValueError("a datagram is a list of samples")
    known = [sample for sample in map(_sample, found) if sample is not None]
    strange = len(found) - len(known)
    return [*known, lost(LOST_AS_UNKNOWN, strange)] if strange else known


def _sample(parts: object) -> Sample | None:
    if not isinstance(parts, Sequence) or len(parts) != len(Sample._fields):
        return None
    name, value, labels = parts
    if not (isinstance(name, str) and isinstance(value, int | float) and isinstance(labels, list)):
        return None
    metric, values = METRICS.get(name), tuple(labels)
    if metric is None or values not in metric.series or not math.isfinite(value):
        return None
    return Sample(name, float(value), values)
