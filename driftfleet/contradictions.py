"""Settings that are each right and can't be so together; each is told with both names."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from driftfleet.role_name import MARGIN_SECONDS, MOST_SECONDS

if TYPE_CHECKING:
    from driftfleet.settings import Settings


def contradictions(settings: "Settings") -> list[str]:
    """A sentence for each."""
    return list(_found(settings))


def _found(settings: "Settings") -> Iterator[str]:
    worker, broker = settings.worker, settings.broker
    if worker.drain_seconds >= broker.visibility_timeout_seconds:
        yield (
            f"worker.drain_seconds ({worker.drain_seconds:g}) must be less than "
            f"broker.visibility_timeout_seconds ({broker.visibility_timeout_seconds}): a worker "
            "that ends doesn't say any more that its plans are its own, and they would begin "
            "elsewhere while they still run"
        )
    if worker.stop_grace_seconds >= settings.limits.timeout_seconds:
        yield (
            f"worker.stop_grace_seconds ({worker.stop_grace_seconds:g}) must be less than "
            f"limits.timeout_seconds ({settings.limits.timeout_seconds}): ending a plan would take "
            "longer than the plan may"
        )
    longest = MOST_SECONDS - MARGIN_SECONDS
    if worker.plan_role is not None and settings.limits.timeout_seconds > longest:
        yield (
            f"limits.timeout_seconds ({settings.limits.timeout_seconds}) must be at most {longest} "
            "with worker.plan_role: AWS gives a role for an hour to who has a role itself (role "
            "chaining), and a plan would lose its keys while it runs"
        )
    yield from _same_port(settings)


def _same_port(settings: "Settings") -> Iterator[str]:
    """Of what may run on one machine."""
    prometheus, flower = settings.metrics.prometheus, settings.flower
    if prometheus is None or not prometheus.port or prometheus.host != flower.host:
        return
    if flower.port in (prometheus.port, prometheus.port + 1):
        yield (
            f"flower.port ({flower.port}) is a port of metrics.prometheus.port ({prometheus.port}: "
            "a worker's, and the next one a producer's)"
        )
