"""What is tried again, how soon, and what the answer is when that was in vain."""

import pytest

from driftfleet.errors import (
    BrokerUnavailable,
    CheckFailed,
    ConfigurationError,
    ContractError,
    CredentialsRefused,
    GitHubNotFound,
    GitHubUnavailable,
    InstallRefused,
    InstallUnavailable,
    RoleUnavailable,
    SecretUnavailable,
    SourceRefused,
    StoreUnavailable,
    TransientError,
)
from driftfleet.results import CheckError, ErrorKind
from worker.retries import (
    ANSWERS,
    FAILURES,
    Retry,
    may_try_again,
    policy_of_answer,
    policy_of_failure,
)


def row(error: Exception) -> Retry:
    policy = policy_of_failure(error)
    assert policy is not None
    return policy


def policy_of(kind: ErrorKind, *, transient: bool) -> Retry | None:
    return policy_of_answer(CheckError(phase="plan", kind=kind, message="m", transient=transient))


def tries(policy: Retry, attempts: int) -> int:
    """How often a job is tried in all."""
    return next(tried for tried in range(1, 100) if not may_try_again(policy, tried, attempts))


@pytest.mark.parametrize("error", [StoreUnavailable(), BrokerUnavailable()])
@pytest.mark.parametrize("attempts", [1, 3, 10])
def test_an_answer_that_exists_is_stored_however_long_that_takes(
    error: TransientError, attempts: int
) -> None:
    assert all(may_try_again(row(error), tried, attempts) for tried in (1, 10, 1000, 10**6))
    assert row(error).wait_seconds(10**6) == 300


def test_a_role_that_can_not_be_had_is_asked_for_a_few_times_and_then_credentials_are_missing() -> (
    None
):
    policy = row(RoleUnavailable())
    assert (tries(policy, 3), policy.spent) == (5, ErrorKind.CREDENTIALS)


@pytest.mark.parametrize("error", [GitHubUnavailable(), SecretUnavailable()])
def test_a_source_that_does_not_answer_is_asked_a_few_times_and_then_named(
    error: TransientError,
) -> None:
    policy = row(error)
    assert tries(policy, 3) == 5
    assert tries(policy, 8) == 8
    assert policy.spent is ErrorKind.SOURCE_UNREACHABLE
    waits = [policy.wait_seconds(tried) for tried in range(1, 9)]
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]


def test_an_install_that_does_not_work_is_an_error_of_the_version() -> None:
    assert row(InstallUnavailable()).spent is ErrorKind.VERSION


def test_every_transient_error_has_a_row_and_the_narrowest_counts() -> None:
    kinds = [TransientError, *TransientError.__subclasses__()]
    for kind in kinds:
        policy = row(kind())
        assert policy is FAILURES.get(kind, FAILURES[TransientError])
    assert list(FAILURES)[-1] is TransientError


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        MemoryError(),
        OSError(),
        ConfigurationError(),
        CredentialsRefused(),
        ContractError("x"),
        GitHubNotFound("x", 404),
        SourceRefused(),
        InstallRefused(),
        CheckFailed("plan", "plan_failed", "x", transient=True),
    ],
)
def test_whatever_is_not_in_the_table_is_answered_at_once(error: Exception) -> None:
    assert policy_of_failure(error) is None


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_an_answer_is_only_tried_again_where_it_says_that_it_may_pass(kind: ErrorKind) -> None:
    assert policy_of(kind, transient=False) is None
    assert policy_of(kind, transient=True) is ANSWERS.get(kind)
    assert policy_of_answer(None) is None


def test_rate_limits_throttling_and_the_machines_own_troubles_are_tried_again() -> None:
    assert set(ANSWERS) == {
        ErrorKind.SOURCE_UNREACHABLE, ErrorKind.VERSION, ErrorKind.MODULE_FETCH,
        ErrorKind.PROVIDER_MISSING, ErrorKind.BACKEND_UNREACHABLE, ErrorKind.CREDENTIALS,
        ErrorKind.STATE_LOCKED, ErrorKind.INIT_FAILED, ErrorKind.PLAN_FAILED,
        ErrorKind.PROVIDER_CRASHED, ErrorKind.KILLED, ErrorKind.OUT_OF_MEMORY,
        ErrorKind.DISK_FULL,
    }  # fmt: skip


def test_what_took_all_the_time_it_may_would_take_it_again() -> None:
    assert policy_of(ErrorKind.TIMEOUT, transient=True) is None


@pytest.mark.parametrize("policy", [*ANSWERS.values(), row(GitHubUnavailable())])
def test_one_attempt_means_that_all_but_the_storing_is_answered_at_once(policy: Retry) -> None:
    assert tries(policy, 1) == 1


@pytest.mark.parametrize("policy", ANSWERS.values())
def test_a_check_is_tried_as_often_as_the_settings_say(policy: Retry) -> None:
    assert [tries(policy, attempts) for attempts in (2, 3, 10)] == [2, 3, 10]
    assert [policy.wait_seconds(tried) for tried in (1, 2, 3)] == [
        policy.first_seconds * 2**n for n in range(3)
    ]


def test_what_the_other_side_asks_is_waited_for_but_not_for_ever() -> None:
    policy = row(GitHubUnavailable())
    assert policy.wait_seconds(1, 60) == 60
    assert policy.wait_seconds(4, 1) == 40
    assert policy.wait_seconds(1, 10**9) == 3600


def test_not_all_are_tried_again_at_the_same_moment_and_none_too_soon() -> None:
    policy = row(GitHubUnavailable())
    waits = {policy.jittered_seconds(2, 30) for _ in range(200)}
    assert len(waits) > 100
    assert 30 <= min(waits) < max(waits) <= 45
