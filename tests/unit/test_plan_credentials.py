"""By which name a role is assumed for a plan: who reads CloudTrail finds the root by it."""

import re

import pytest

from driftfleet.jobs import Job
from tests.checked import job
from worker.plan_credentials import session_name

# docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, RoleSessionName
TAKEN = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


def of(root: str, repo: str = "payments/infra") -> Job:
    return job(root, repo=repo)


@pytest.mark.parametrize(
    ("root", "name"),
    [
        ("envs/prod", "payments-infra-envs-prod"),
        (".", "payments-infra"),
        ("müll & co/x", "payments-infra-m-ll-co-x"),
    ],
)
def test_it_tells_repository_and_root(root: str, name: str) -> None:
    assert session_name(of(root)) == name


def test_long_ones_stay_apart_and_fit() -> None:
    names = {session_name(of(f"{'deep/' * 40}{number}")) for number in range(3)}
    assert len(names) == 3
    assert all(TAKEN.fullmatch(name) and len(name) == 64 for name in names)
    assert all(name.startswith("payments-infra-deep-deep-") for name in names)
