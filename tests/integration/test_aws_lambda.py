"""The Lambda function: the real runtime client, a Runtime API, a world in which /tmp is all."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from driftfleet import process
from driftfleet.jobs import Job, Limits, Source
from driftfleet.results import Result
from driftfleet.store import ResultStore, open_store
from tests import providers
from tests.lambda_sandbox import REPO, LambdaSandbox, asking, error_of
from tests.runtime_api import RuntimeApi
from tests.s3 import S3
from tests.standin import Fault, StandIn
from tests.sts import Sts
from tests.workers import wait_until

BUILTIN = 'resource "terraform_data" "this" {\n  input = "one"\n}\n'
NO_CHANGE = 'locals {\n  nothing = "to do"\n}\n'
# What may stay in the sandbox: the caches, and the mark that /tmp is the function's alone.
KEPT = (".driftfleet", "driftfleet-993/cache", "driftfleet-993/installs")


def left_over(sandbox: LambdaSandbox) -> list[str]:
    return [path for path in sandbox.files() if not path.startswith(KEPT)]


def applied(tmp_path: Path, world: Path, mirror: Path, name: str) -> dict[str, bytes]:
    """The files of a root whose world is /mnt/world for whoever plans it."""
    root = providers.write_root(tmp_path / name, providers.file_root(world / name, "one"))
    providers.apply(root, mirror)
    files = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
    here, there = str(world).encode(), b"/mnt/world"
    return {f"{name}/{file}": content.replace(here, there) for file, content in files.items()}


def test_roots_are_judged_stored_and_leave_nothing_behind(
    ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox, lambda_store: ResultStore,
    tmp_path: Path, lambda_world: Path, mirror: Path, new_token: str,
) -> None:  # fmt: skip
    files: dict[str, Any] = {"unapplied/main.tf": BUILTIN}
    for name in ("clean", "drifted"):
        files |= applied(tmp_path, lambda_world, mirror, name)
    (lambda_world / "drifted").write_text("two")
    sha = ghe.add_repository(REPO, files)
    expected = {"clean": "clean", "drifted": "drifted", "unapplied": "unapplied", "gone": "error"}
    with sandbox.running() as function:
        for number, (root, verdict) in enumerate(expected.items(), 1):
            answered = runtime_api.send(asking(root)).wait(120)
            assert answered.result["verdict"] == verdict, answered.result
            # It asks for its next event once everything is cleared away.
            assert wait_until(lambda number=number: runtime_api.asked > number, 60)
            assert sandbox.processes(function) == []
            assert left_over(sandbox) == []
            result = Result.model_validate(answered.result)
            assert lambda_store.get(result.history_key) == result
            assert result.job.source == Source(kind="github", repo=REPO, sha=sha)
            assert result.job.sweep_id == f"lambda-{answered.request_id}"
            assert result.worker == "driftfleet/2026/01/02/[$LATEST]abc"
    assert error_of(answered.result)[0] == "source_missing"
    assert {r.token for r in ghe.requests if r.status == 200} == {new_token}
    told = sandbox.told()
    assert new_token not in told
    answers = [json.loads(line) for line in told.splitlines() if '"check_answered"' in line]
    assert [one["verdict"] for one in answers] == list(expected.values())
    assert answers[-1]["aws_request_id"] == answered.request_id


def test_a_whole_job_is_checked_at_its_own_commit_and_twice_does_no_harm(
    ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox, lambda_store: ResultStore
) -> None:
    sha = ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
    ghe.commit(REPO, {"root/main.tf": NO_CHANGE})
    source = Source(kind="github", repo=REPO, ref="main", sha=sha)
    job = Job(sweep_id="nightly", source=source, root="root", limits=Limits(timeout_seconds=20))
    with sandbox.running():
        first, second = (
            runtime_api.send(job.model_dump(mode="json"), request_id="same").wait(120)
            for _ in range(2)
        )
    for one in (first, second):
        assert one.result["verdict"] == "unapplied"
        assert one.result["job"] == job.model_dump(mode="json")
    latest = lambda_store.latest(Result.model_validate(second.result).latest_key)
    assert latest is not None
    assert latest.result == Result.model_validate(second.result)


def test_a_renamed_repository_is_answered_under_the_name_that_it_has_now(
    ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox
) -> None:
    ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
    ghe.rename(REPO, "payments/platform")
    with sandbox.running():
        answered = runtime_api.send(asking("root", ref="main")).wait(120)
    assert answered.result["verdict"] == "unapplied"
    assert answered.result["job"]["source"]["repo"] == "payments/platform"
    # Those that find the newest commit, before the check, are the invocation's, too.
    assert answered.result["cost"]["api_calls"] == len(ghe.requests) > 0


def test_variants_are_those_of_the_settings(
    ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox
) -> None:
    ghe.add_repository(REPO, {"envs/main.tf": 'output "x" {\n  value = terraform.workspace\n}\n'})
    rules = [{"root": "envs", "variants": [{"name": "eu"}, {"name": "us"}]}]
    sandbox.environment = {**sandbox.environment, "DRIFTFLEET_VARIANTS": json.dumps(rules)}
    with sandbox.running():
        one = runtime_api.send(asking("envs", variant="us")).wait(120)
        none = runtime_api.send(asking("envs")).wait(120)
        other = runtime_api.send(asking("envs", variant="asia")).wait(120)
    assert one.result["job"]["variant"]["name"] == "us"
    assert (none.outcome, other.outcome) == ("error", "error")
    assert (
        "several variants: name one of them as 'variant' (eu, us)" in none.payload["errorMessage"]
    )
    assert "but: eu, us" in other.payload["errorMessage"]


class TestTime:
    """The function's own time is the limit, and an answer comes before it is over."""

    def test_a_plan_that_would_take_longer_is_answered_in_time(
        self, ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox
    ) -> None:
        ghe.add_repository(REPO, {"root/main.tf": providers.fault_root("slow", seconds=300)})
        with sandbox.running() as function:
            asked = runtime_api.send(asking("root"), seconds=18)
            answered = asked.wait(120)
            assert time.time() < answered.deadline
            assert wait_until(lambda: runtime_api.asked > 1, 60)
            assert time.time() < answered.deadline
            assert sandbox.processes(function) == []
        kind, message = error_of(answered.result)
        assert kind == "timeout"
        assert "Lambda function's own time-out" in message
        assert left_over(sandbox) == []

    def test_a_source_that_answers_slowly_is_a_timeout_too(
        self, ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox
    ) -> None:
        ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
        ghe.fault("/commits/", Fault.delay(60), times=None)
        with sandbox.running():
            answered = runtime_api.send(asking("root"), seconds=14).wait(120)
            assert time.time() < answered.deadline
        assert error_of(answered.result)[0] == "timeout"

    def test_a_function_with_no_time_at_all_says_so(
        self, ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox
    ) -> None:
        ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
        with sandbox.running():
            answered = runtime_api.send(asking("root"), seconds=5).wait(120)
        assert error_of(answered.result)[0] == "timeout"
        assert "the Lambda function's own time-out: raise it" in answered.result["error"]["message"]


def test_what_a_killed_invocation_left_is_swept_by_the_next_process(
    ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox
) -> None:
    slow = providers.fault_root("slow", seconds=300)
    ghe.add_repository(REPO, {"slow/main.tf": slow, "root/main.tf": BUILTIN})
    with sandbox.running() as function:
        runtime_api.send(asking("slow"))
        assert wait_until(lambda: is_planning(sandbox, function), 60)
        (sandbox.folder / "stray").mkdir(mode=0o700)
        (sandbox.folder / "stray" / "file").write_text("of the former")
        half_installed = sandbox.folder / "driftfleet-993" / "installs" / ".staging" / "x"
        half_installed.mkdir(mode=0o700, parents=True)
    assert [path for path in left_over(sandbox) if "/w" in path]
    with sandbox.running() as function:
        answered = runtime_api.send(asking("root")).wait(120)
        assert answered.result["verdict"] == "unapplied"
        assert wait_until(lambda: runtime_api.asked > 2, 60)
        assert sandbox.processes(function) == []
    assert left_over(sandbox) == []
    assert not half_installed.exists()
    assert "leftovers_of_the_dead_removed" in sandbox.told()


def is_planning(sandbox: LambdaSandbox, function: process.Process) -> bool:
    return any("plan" in arguments for arguments in sandbox.processes(function))


def test_what_a_hostile_provider_leaves_is_gone_before_the_next_event(
    ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox
) -> None:
    ghe.add_repository(REPO, {"bad/main.tf": providers.fault_root("hang"), "root/main.tf": BUILTIN})
    launcher = sandbox.binds["/mnt/mirror"] / "demo-provider"
    # It kills our runner, and what it started knows no workspace and has another session.
    launcher.write_text(
        "#!/bin/sh\n"
        "echo stray > /tmp/stray; mkdir -p /tmp/driftfleet-993/x/y; ln -s / /tmp/link\n"
        "chmod 0 /tmp/driftfleet-993\n"
        "env -i setsid sleep 3333 &\n"
        "read _ _ _ runner _ < /proc/$PPID/stat\n"
        "sleep 0.5; kill -9 $runner\nsleep 3333\n"
    )
    with sandbox.running() as function:
        bad = runtime_api.send(asking("bad")).wait(120)
        assert wait_until(lambda: runtime_api.asked > 1, 60)
        assert sandbox.processes(function) == []
        assert left_over(sandbox) == []
        root = runtime_api.send(asking("root")).wait(120)
    # The last where we looked in between: it has closed its workspace to us.
    assert error_of(bad.result)[0] in ("killed", "provider_crashed", "disk_quota")
    assert root.result["verdict"] == "unapplied"
    assert "leftovers_removed" in sandbox.told()


def test_in_a_directory_of_others_nothing_of_theirs_is_removed(
    ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox
) -> None:
    ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
    (sandbox.folder / "theirs").write_text("precious")
    with sandbox.running():
        assert runtime_api.send(asking("root")).wait(120).result["verdict"] == "unapplied"
        assert wait_until(lambda: runtime_api.asked > 1, 60)
    assert left_over(sandbox) == ["theirs"]
    assert "temporary_directory_shared" in sandbox.told()


def test_results_are_kept_in_s3(
    ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox, s3: S3
) -> None:
    told = s3.settings()
    environment = {
        **sandbox.environment,
        "DRIFTFLEET_RESULTS__STORE": told.store,
        "DRIFTFLEET_RESULTS__S3": told.s3.model_dump_json(exclude_none=True),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
    with dataclasses.replace(sandbox, environment=environment).running():
        answered = runtime_api.send(asking("root")).wait(120)
    result = Result.model_validate(answered.result)
    assert result.verdict == "unapplied"
    store = open_store(told)
    assert store.get(result.history_key) == result
    latest = store.latest_of(result.job)
    assert latest is not None
    assert latest.result == result


def test_plans_run_as_the_role_that_is_named(
    ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox, sts: Sts
) -> None:
    environment = {
        **sandbox.environment,
        "DRIFTFLEET_WORKER__PLAN_ROLE": "arn:aws:iam::123456789012:role/plans",
        "AWS_ENDPOINT_URL_STS": sts.endpoint,
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
    with dataclasses.replace(sandbox, environment=environment).running():
        answered = runtime_api.send(asking("root")).wait(120)
        sts.refuses = "AccessDenied"
        refused = runtime_api.send(asking("root")).wait(120)
    assert answered.result["verdict"] == "unapplied"
    assert sts.asked[0]["RoleSessionName"] == "payments-infra-root"
    assert error_of(refused.result)[0] == "credentials"
