"""`worker.plan_role`: a whole check whose terraform tells which credentials it has."""

import json
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from driftfleet.assumed_role import Role, Sts
from driftfleet.errors import RoleRefused, RoleUnavailable
from driftfleet.jobs import Job, Limits, Source
from driftfleet.results import Result
from driftfleet.settings import Settings
from producer.doctor.plan_role import plan_role
from tests.checks import local_tools
from tests.sts import Sts as Server
from worker.check import check
from worker.plan_credentials import plan_role_of
from worker.tools import Tools

ROLE = "arn:aws:iam::123456789012:role/plans"
OWN = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "workers-own-secret",
    "AWS_REGION": "eu-central-1",
}
# What terraform is in these tests: it notes its environment, and fails with what it was given.
PROGRAM = """\
#!/bin/sh
if [ "$1" = version ]; then echo '{"terraform_version": "1.11.4"}'; exit 0; fi
env >> %s
echo "Error: refused with $AWS_SESSION_TOKEN" >&2
exit 1
"""


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return tmp_path / "told"


@pytest.fixture
def tools(tmp_path: Path, told: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tools]:
    for name, value in OWN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/workers")
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "main.tf").write_text('output "x" {\n  value = 1\n}\n')
    program = tmp_path / "terraform"
    program.write_text(PROGRAM % told)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with local_tools(
        repository, "r", terraform=str(program), plan_role=ROLE, plan_external_id="fleet-1"
    ) as tools:
        yield replace(tools, plan_role=plan_role_of(tools.settings, tools.environment))


@pytest.fixture
def answer(tools: Tools) -> Callable[[], Result]:
    (repository,) = tools.settings.local_roots

    def ask() -> Result:
        job = Job(
            sweep_id="s",
            source=Source(kind="local", repo=str(repository)),
            root=".",
            limits=Limits(timeout_seconds=1800),
        )
        return check(job, tools, lambda _: None)

    return ask


def environments(told: Path) -> Mapping[str, str]:
    return dict(line.split("=", 1) for line in told.read_text().splitlines() if "=" in line)


def test_a_plan_has_the_roles_keys_and_none_of_the_workers(
    answer: Callable[[], Result], sts: Server, told: Path
) -> None:
    result = answer()
    seen = environments(told)
    assert seen["AWS_ACCESS_KEY_ID"] == "ASIA0000000000000001"
    assert (seen["AWS_SECRET_ACCESS_KEY"], seen["AWS_SESSION_TOKEN"]) == ("sts-secret", "sts-token")
    assert seen["AWS_REGION"] == "eu-central-1"
    assert not [name for name in seen if name.startswith("AWS_CONTAINER_")]
    assert "workers" not in told.read_text()
    (asked,) = sts.asked
    assert (asked["RoleArn"], asked["ExternalId"]) == (ROLE, "fleet-1")
    assert asked["RoleSessionName"].startswith("local-repository-")
    # The check's time, and a minute.
    assert 1800 < int(asked["DurationSeconds"]) <= 1860
    assert result.error is not None
    assert "sts-token" not in result.error.message
    assert "refused with ***" in result.error.message


def test_each_check_has_keys_of_its_own(answer: Callable[[], Result], sts: Server) -> None:
    answer()
    answer()
    assert len(sts.asked) == 2


def test_a_role_that_may_not_be_assumed_is_an_answer_with_the_mend(
    answer: Callable[[], Result], sts: Server, told: Path
) -> None:
    sts.refuses = "AccessDenied"
    error = answer().error
    assert error is not None
    assert (error.phase, error.kind, error.transient) == ("init", "credentials", False)
    assert f"the role {ROLE} can't be assumed: STS says AccessDenied" in error.message
    assert "worker.plan_external_id" in error.message
    assert not told.exists()


def test_where_sts_does_not_answer_nothing_is_planned_and_it_is_tried_later(
    answer: Callable[[], Result], told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    with pytest.raises(RoleUnavailable, match=r"STS does not answer \(EndpointConnectionError\)"):
        answer()
    assert not told.exists()


def test_without_credentials_the_worker_is_to_blame(
    answer: Callable[[], Result], sts: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*OWN, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    error = answer().error
    assert error is not None
    assert error.kind == "worker_config"
    assert "no AWS credentials were found" in error.message
    assert sts.asked == []


def test_credentials_that_come_later_are_found_without_a_restart(
    answer: Callable[[], Result], sts: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the service that an instance asks for them was slow once."""
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with monkeypatch.context() as early:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            early.delenv(name)
        assert answer().error is not None
    assert sts.asked == []
    answer()
    assert len(sts.asked) == 1


def test_credentials_that_have_ended_are_looked_for_again(
    tools: Tools, sts: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a file of them is written anew from time to time."""
    role = Sts(Role(ROLE), "worker.plan_", tools.environment)
    sts.refuses = "ExpiredToken"
    with pytest.raises(RoleUnavailable, match="says ExpiredToken") as raised:
        role.assume("xy", 900)
    assert "trust policy" not in raised.value.message
    sts.refuses = ""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANEWONE")
    role.assume("xy", 900)
    assert "AKIANEWONE" in sts.signed[-1]


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidClientTokenId"])
def test_what_no_policy_mends_is_told_apart(tools: Tools, sts: Server, code: str) -> None:
    sts.refuses = code
    with pytest.raises(RoleRefused, match=f"says {code}") as raised:
        Sts(Role(ROLE), "worker.plan_", tools.environment).assume("xy", 900)
    assert "sts:AssumeRole" not in raised.value.message
    assert ("clock" in raised.value.message) == (code == "SignatureDoesNotMatch")


@pytest.mark.parametrize(("seconds", "asked"), [(1, 900), (1800.5, 1800), (7200, 3600)])
def test_keys_are_asked_for_as_long_as_aws_gives_them(
    tools: Tools, sts: Server, seconds: float, asked: int
) -> None:
    keys = Sts(Role(ROLE), "worker.plan_", tools.environment).assume("xy", seconds)
    assert sts.asked[0]["DurationSeconds"] == str(asked)
    assert "ExternalId" not in sts.asked[0]
    assert "sts-secret" not in repr(keys)
    assert "sts-token" not in repr(keys)


def examined(**worker: Any) -> Any:
    found = plan_role(Settings.model_validate({"worker": worker}), OWN)
    return found and (found.level, json.dumps([found.finding, found.mend]))


@pytest.mark.usefixtures("tools")
def test_a_doctor_tries_it(sts: Server) -> None:
    assert examined() is None
    assert examined(plan_role=ROLE)[0] == "ok"
    assert sts.asked[0]["RoleSessionName"] == "driftfleet-doctor"
    sts.refuses = "AccessDenied"
    level, said = examined(plan_role=ROLE)
    assert (level, "AccessDenied" in said, "trust policy" in said) == ("fail", True, True)
