"""What is tried again, how soon, and what the answer is when that was in vain."""

import pytest

from driftfleet.errors import (
    GitHubUnavailable,
    SecretUnavailable,
    StoreUnavailable,
    TransientError,
)
from driftfleet.results import ErrorKind
from worker.tasks import RETRIES, Retry


def row(error: TransientError) -> Retry:
    return next(policy for kind, policy in RETRIES.items() if isinstance(error, kind))


def test_an_answer_that_exists_is_stored_however_long_that_takes() -> None:
    assert row(StoreUnavailable()).attempts is None


@pytest.mark.parametrize("error", [GitHubUnavailable(), SecretUnavailable()])
def test_a_source_that_does_not_answer_is_asked_a_few_times_and_then_named(
    error: TransientError,
) -> None:
    policy = row(error)
    assert policy.attempts == 4
    assert policy.spent is ErrorKind.SOURCE_UNREACHABLE
    assert [policy.wait_seconds(tried) for tried in range(8)] == [5, 10, 20, 40, 80, 160, 300, 300]


def test_what_the_other_side_asks_is_waited_for_but_not_for_ever() -> None:
    policy = row(GitHubUnavailable())
    assert policy.wait_seconds(0, 60) == 60
    assert policy.wait_seconds(3, 1) == 40
    assert policy.wait_seconds(0, 10**9) == 3600
