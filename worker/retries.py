"""The one table of what is tried again, how soon, and how often.

What it doesn't name is answered at once. Nothing waits in a worker: a job that is put off waits in
Redis (`driftfleet.ledger`).
"""

import random
from typing import NamedTuple

from driftfleet.errors import (
    BrokerUnavailable,
    DriftfleetError,
    GitHubUnavailable,
    InstallUnavailable,
    RoleUnavailable,
    SecretUnavailable,
    StoreUnavailable,
    TransientError,
)
from driftfleet.results import CheckError, ErrorKind

# What another side may ask us to wait: a rate limit of GitHub's passes within the hour.
_LONGEST_ASKED_SECONDS = 3600.0


class Retry(NamedTuple):
    """After how many seconds (doubled each time, up to the longest) a failure is tried again.

    ``attempts`` is how often it is tried in all, if that is more than the settings say; None where
    only trying again can give an answer at all. ``spent`` is what the answer says when they are
    used up.
    """

    attempts: int | None
    first_seconds: float
    longest_seconds: float
    spent: ErrorKind = ErrorKind.INTERNAL

    def wait_seconds(self, tried: int, asked_seconds: float | None = None) -> float:
        """How long to wait after ``tried`` tries, at least as long as the other side asked."""
        own = min(self.first_seconds * 2.0 ** min(tried - 1, 16), self.longest_seconds)
        return max(own, min(asked_seconds or 0.0, _LONGEST_ASKED_SECONDS))

    def jittered_seconds(self, tried: int, asked_seconds: float | None = None) -> float:
        """`wait_seconds`, and up to half as much again: not all at the same moment."""
        return self.wait_seconds(tried, asked_seconds) * random.uniform(1.0, 1.5)  # noqa: S311


_SOURCE = Retry(5, first_seconds=5, longest_seconds=300, spent=ErrorKind.SOURCE_UNREACHABLE)

# Exceptions, the first row that fits.
FAILURES: dict[type[DriftfleetError], Retry] = {
    StoreUnavailable: Retry(None, first_seconds=2, longest_seconds=300),
    BrokerUnavailable: Retry(None, first_seconds=2, longest_seconds=300),
    GitHubUnavailable: _SOURCE,
    SecretUnavailable: _SOURCE,
    RoleUnavailable: Retry(5, first_seconds=5, longest_seconds=300, spent=ErrorKind.CREDENTIALS),
    InstallUnavailable: Retry(5, first_seconds=5, longest_seconds=300, spent=ErrorKind.VERSION),
    TransientError: Retry(5, first_seconds=2, longest_seconds=60),
}

_CLOUD = Retry(1, first_seconds=10, longest_seconds=300)
_MACHINE = Retry(1, first_seconds=20, longest_seconds=300)

# Answers that say of themselves that they may pass (`CheckError.transient`). A check that took all
# the time it may is not among them: it would take that again.
ANSWERS: dict[ErrorKind, Retry] = {
    ErrorKind.SOURCE_UNREACHABLE: _CLOUD,
    ErrorKind.VERSION: _CLOUD,
    ErrorKind.MODULE_FETCH: _CLOUD,
    ErrorKind.PROVIDER_MISSING: _CLOUD,
    ErrorKind.BACKEND_UNREACHABLE: _CLOUD,
    ErrorKind.CREDENTIALS: _CLOUD,
    ErrorKind.STATE_LOCKED: _CLOUD,
    ErrorKind.INIT_FAILED: _CLOUD,
    ErrorKind.PLAN_FAILED: _CLOUD,
    ErrorKind.PROVIDER_CRASHED: _MACHINE,
    ErrorKind.KILLED: _MACHINE,
    ErrorKind.OUT_OF_MEMORY: _MACHINE,
    ErrorKind.DISK_FULL: _MACHINE,
}


def policy_of_failure(error: Exception) -> Retry | None:
    """How an exception is tried again; None where it isn't."""
    return next((policy for kind, policy in FAILURES.items() if isinstance(error, kind)), None)


def policy_of_answer(error: CheckError | None) -> Retry | None:
    """How a check is tried again that was answered so; None where the answer stands."""
    return ANSWERS.get(error.kind) if error is not None and error.transient else None


def may_try_again(policy: Retry, tried: int, attempts: int) -> bool:
    """Whether a job that was tried ``tried`` times is tried once more.

    ``attempts`` is what the settings allow for what may pass; one says that nobody waits for it.
    """
    if policy.attempts is None:
        return True
    return tried < (max(policy.attempts, attempts) if attempts > 1 else 1)
