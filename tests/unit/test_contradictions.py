"""Settings that are each right and can't be so together are refused with the names of both."""

from typing import Any

import pytest

from driftfleet.configuration import load_settings
from driftfleet.errors import ConfigurationError
from driftfleet.ledger import LEASE_SECONDS, OPEN_SECONDS, RENEW_SECONDS
from driftfleet.settings import Settings

ROLE = "arn:aws:iam::123456789012:role/plans"


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (
            {"worker.drain_seconds": 120},
            ("worker.drain_seconds (120)", "broker.visibility_timeout_seconds (120)"),
        ),
        (
            {"broker.visibility_timeout_seconds": 30},
            ("worker.drain_seconds (60)", "broker.visibility_timeout_seconds (30)"),
        ),
        (
            {"limits.timeout_seconds": 10, "worker.stop_grace_seconds": 10},
            ("worker.stop_grace_seconds (10)", "limits.timeout_seconds (10)"),
        ),
        (
            {"schedule.deadline": "10m", "limits.timeout_seconds": 1800},
            ("'deadline' (10m)", "'limits.timeout_seconds': 1800"),
        ),
        ({"schedule.deadline": "8d"}, ("'deadline' (8d)", "7d at most")),
        (
            {"repositories": [{"repo": "a/b", "schedule": {"deadline": "30d"}}]},
            ("entry 1 (repo a/b)", "'deadline' (30d)"),
        ),
        (
            {"metrics.prometheus": {"port": 5555}, "flower.port": 5555},
            ("flower.port (5555)", "metrics.prometheus.port (5555"),
        ),
        (
            {"worker.plan_role": ROLE, "limits.timeout_seconds": 3541},
            ("limits.timeout_seconds (3541)", "worker.plan_role", "at most 3540"),
        ),
    ],
)
def test_each_is_told_with_both_names(overrides: dict[str, Any], names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(environment={}, overrides=overrides)
    for name in names:
        assert name in raised.value.message


def test_all_of_them_are_told_at_once() -> None:
    overrides = {"worker.drain_seconds": 300, "worker.stop_grace_seconds": 1800}
    with pytest.raises(ConfigurationError) as raised:
        load_settings(environment={}, overrides=overrides)
    assert "worker.drain_seconds" in raised.value.message
    assert "worker.stop_grace_seconds" in raised.value.message


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"worker.drain_seconds": 119},
        {"worker.drain_seconds": 0, "broker.visibility_timeout_seconds": 10},
        {"schedule.deadline": "7d"},
        {"worker.plan_role": ROLE, "limits.timeout_seconds": 3540},
    ],
)
def test_what_just_fits_is_taken(overrides: dict[str, Any]) -> None:
    load_settings(environment={}, overrides=overrides)


def test_what_nobody_can_set_fits_the_defaults() -> None:
    """A dead worker's check runs again within 2.5 minutes, one that lives keeps its own."""
    settings = Settings()
    assert settings.broker.visibility_timeout_seconds + 10 <= 150
    assert LEASE_SECONDS <= 60
    assert 3 * RENEW_SECONDS < LEASE_SECONDS
    assert settings.schedule.deadline.total_seconds() < OPEN_SECONDS
