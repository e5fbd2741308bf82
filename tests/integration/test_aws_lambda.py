"""The Lambda function: the real runtime client, a Runtime API, a world in which /tmp is all."""

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from driftfleet import process
from driftfleet.jobs import Job, Limits, Source
from driftfleet.results import Result, Verdict
from driftfleet.store import ResultStore, open_store
from tests import providers
from tests.lambda_sandbox import LambdaSandbox
from tests.runtime_api import RuntimeApi
from tests.standin import Fault, StandIn
from tests.workers import wait_until

BUILTIN = 'resource "terraform_data" "this" {\n  input = "one"\n}\n'
NO_CHANGE = 'locals {\n  nothing = "to do"\n}\n'
REPO = "payments/infra"
# What may stay in the sandbox: the caches, and the mark that /tmp is the function's alone.
KEPT = (".driftfleet", "driftfleet-993/cache", "driftfleet-993/installs")


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    with RuntimeApi() as api:
        yield api


@pytest.fixture
def token(ghe: StandIn) -> str:
    ghe.rotate(f"ghp_{secrets.token_hex(18)}")
    return ghe.token


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """What the demo provider's resources are in; the function has it as /mnt/world."""
    folder = tmp_path / "world"
    folder.mkdir()
    return folder


@pytest.fixture
def lambda_mirror(tmp_path: Path) -> Path:
    """The demo provider where the function can start it."""
    folder = providers.build_mirror(tmp_path / "mirror")
    launcher = next(path for path in folder.iterdir() if path.is_file())
    launcher.write_text(
        "#!/bin/sh\nexec /var/venv/bin/python -I -B "
        '/var/task/examples/provider/demo_provider.py "$@"\n'
    )
    return folder


@pytest.fixture
def sandbox(
    api: RuntimeApi, ghe: StandIn, token: str, tmp_path: Path, world: Path, lambda_mirror: Path
) -> LambdaSandbox:
    for name in ("tmp", "results"):
        (tmp_path / name).mkdir()
    return LambdaSandbox(
        api=api,
        folder=tmp_path / "tmp",
        log=tmp_path / "log",
        environment={
            "DRIFTFLEET_GITHUB__URL": ghe.url,
            "DRIFTFLEET_GITHUB__TOKEN": "env://THE_TOKEN",
            "DRIFTFLEET_GITHUB__WORKER_PATIENCE_SECONDS": "1",
            "THE_TOKEN": token,
            "DRIFTFLEET_WORKER__MIRROR": "/mnt/mirror",
            "DRIFTFLEET_RESULTS__STORE": "file:///mnt/results",
        },
        binds={"/mnt/mirror": lambda_mirror, "/mnt/world": world},
        writable={"/mnt/results": tmp_path / "results"},
    )


@pytest.fixture
def store(sandbox: LambdaSandbox) -> ResultStore:
    return open_store(f"file://{sandbox.writable['/mnt/results']}")


def asking(root: str, **keys: str) -> dict[str, str]:
    return {"repo": REPO, "root": root, **keys}


def error_of(result: Mapping[str, Any]) -> tuple[str, str]:
    assert result["error"] is not None, result
    return result["error"]["kind"], result["error"]["message"]


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
    ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox, store: ResultStore,
    tmp_path: Path, world: Path, mirror: Path, token: str,
) -> None:  # fmt: skip
    files: dict[str, Any] = {"unapplied/main.tf": BUILTIN}
    for name in ("clean", "drifted"):
        files |= applied(tmp_path, world, mirror, name)
    (world / "drifted").write_text("two")
    sha = ghe.add_repository(REPO, files)
    expected = {"clean": "clean", "drifted": "drifted", "unapplied": "unapplied", "gone": "error"}
    with sandbox.running() as function:
        for root, verdict in expected.items():
            asked = api.asked
            answered = api.send(asking(root)).wait(60)
            assert answered.result["verdict"] == verdict, answered.result
            # It asks for its next event once everything is cleared away.
            assert wait_until(lambda asked=asked: api.asked > asked, 20)
            assert sandbox.processes(function) == []
            assert left_over(sandbox) == []
            result = Result.model_validate(answered.result)
            assert store.get(result.history_key) == result
            assert result.job.source == Source(kind="github", repo=REPO, sha=sha)
            assert result.job.sweep_id == f"lambda-{answered.request_id}"
            assert result.worker == "driftfleet/2026/01/02/[$LATEST]abc"
    assert error_of(answered.result)[0] == "source_missing"
    assert {r.token for r in ghe.requests if r.status == 200} == {token}
    told = sandbox.told()
    assert token not in told
    answers = [json.loads(line) for line in told.splitlines() if '"check_answered"' in line]
    assert [one["verdict"] for one in answers] == list(expected.values())
    assert answers[-1]["aws_request_id"] == answered.request_id


def test_a_whole_job_is_checked_at_its_own_commit_and_twice_does_no_harm(
    ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox, store: ResultStore
) -> None:
    sha = ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
    ghe.commit(REPO, {"root/main.tf": NO_CHANGE})
    source = Source(kind="github", repo=REPO, ref="main", sha=sha)
    job = Job(sweep_id="nightly", source=source, root="root", limits=Limits(timeout_seconds=20))
    with sandbox.running():
        first, second = (
            api.send(job.model_dump(mode="json"), request_id="same").wait(60) for _ in range(2)
        )
    for one in (first, second):
        assert one.result["verdict"] == "unapplied"
        assert one.result["job"] == job.model_dump(mode="json")
    latest = store.latest(Result.model_validate(second.result).latest_key)
    assert latest is not None
    assert latest.result == Result.model_validate(second.result)


def test_variants_are_those_of_the_settings(
    ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox
) -> None:
    ghe.add_repository(REPO, {"envs/main.tf": 'output "x" {\n  value = terraform.workspace\n}\n'})
    rules = [{"root": "envs", "variants": [{"name": "eu"}, {"name": "us"}]}]
    sandbox.environment = {**sandbox.environment, "DRIFTFLEET_VARIANTS": json.dumps(rules)}
    with sandbox.running():
        one = api.send(asking("envs", variant="us")).wait(60)
        none = api.send(asking("envs")).wait(60)
        other = api.send(asking("envs", variant="asia")).wait(60)
    assert one.result["job"]["variant"]["name"] == "us"
    assert (none.outcome, other.outcome) == ("error", "error")
    assert (
        "several variants: name one of them as 'variant' (eu, us)" in none.payload["errorMessage"]
    )
    assert "but: eu, us" in other.payload["errorMessage"]


class TestTime:
    """The function's own time is the limit, and an answer comes before it is over."""

    def test_a_plan_that_would_take_longer_is_answered_in_time(
        self, ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox
    ) -> None:
        ghe.add_repository(REPO, {"root/main.tf": providers.fault_root("slow", seconds=300)})
        with sandbox.running() as function:
            asked = api.send(asking("root"), seconds=18)
            answered = asked.wait(30)
            assert time.time() < answered.deadline
            assert wait_until(lambda: api.asked > 1, 20)
            assert time.time() < answered.deadline
            assert sandbox.processes(function) == []
        kind, message = error_of(answered.result)
        assert kind == "timeout"
        assert "Lambda function's own time-out" in message
        assert left_over(sandbox) == []

    def test_a_source_that_answers_slowly_is_a_timeout_too(
        self, ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox
    ) -> None:
        ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
        ghe.fault("/commits/", Fault.delay(60), times=None)
        with sandbox.running():
            answered = api.send(asking("root"), seconds=14).wait(30)
            assert time.time() < answered.deadline
        assert error_of(answered.result)[0] == "timeout"

    def test_a_function_with_no_time_at_all_says_so(
        self, ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox
    ) -> None:
        ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
        with sandbox.running():
            answered = api.send(asking("root"), seconds=5).wait(30)
        assert error_of(answered.result)[0] == "timeout"
        assert "the Lambda function's own time-out: raise it" in answered.result["error"]["message"]


def test_what_a_killed_invocation_left_is_swept_by_the_next_process(
    ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox
) -> None:
    slow = providers.fault_root("slow", seconds=300)
    ghe.add_repository(REPO, {"slow/main.tf": slow, "root/main.tf": BUILTIN})
    with sandbox.running() as function:
        api.send(asking("slow"))
        assert wait_until(lambda: is_planning(sandbox, function), 30)
        (sandbox.folder / "stray").mkdir(mode=0o700)
        (sandbox.folder / "stray" / "file").write_text("of the former")
    assert [path for path in left_over(sandbox) if "/w" in path]
    with sandbox.running() as function:
        answered = api.send(asking("root")).wait(60)
        assert answered.result["verdict"] == "unapplied"
        assert wait_until(lambda: api.asked > 2, 20)
        assert sandbox.processes(function) == []
    assert left_over(sandbox) == []
    assert "leftovers_of_the_dead_removed" in sandbox.told()


def is_planning(sandbox: LambdaSandbox, function: process.Process) -> bool:
    return any("plan" in arguments for arguments in sandbox.processes(function))


def test_what_a_hostile_provider_leaves_is_gone_before_the_next_event(
    ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox
) -> None:
    ghe.add_repository(REPO, {"bad/main.tf": providers.fault_root("hang"), "root/main.tf": BUILTIN})
    launcher = sandbox.binds["/mnt/mirror"] / "demo-provider"
    # It kills our runner, and what it started knows no workspace and has another session.
    launcher.write_text(
        "#!/bin/sh\n"
        "echo stray > /tmp/stray; mkdir -p /tmp/driftfleet-993/x/y; ln -s / /tmp/link\n"
        "env -i setsid sleep 3333 &\n"
        "read _ _ _ runner _ < /proc/$PPID/stat\n"
        "sleep 0.5; kill -9 $runner\nsleep 3333\n"
    )
    with sandbox.running() as function:
        bad = api.send(asking("bad")).wait(60)
        assert wait_until(lambda: api.asked > 1, 20)
        assert sandbox.processes(function) == []
        assert left_over(sandbox) == []
        root = api.send(asking("root")).wait(60)
    assert error_of(bad.result)[0] in ("killed", "provider_crashed")
    assert root.result["verdict"] == "unapplied"
    assert "leftovers_removed" in sandbox.told()


def test_in_a_directory_of_others_nothing_of_theirs_is_removed(
    ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox
) -> None:
    ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
    (sandbox.folder / "theirs").write_text("precious")
    with sandbox.running():
        assert api.send(asking("root")).wait(60).result["verdict"] == "unapplied"
        assert wait_until(lambda: api.asked > 1, 20)
    assert left_over(sandbox) == ["theirs"]
    assert "temporary_directory_shared" in sandbox.told()


class TestTrouble:
    """What is answered, and what Lambda is made to try again."""

    def test_an_outage_of_github_is_an_error_of_the_function(
        self, ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox, store: ResultStore
    ) -> None:
        ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
        ghe.fault("/git/", Fault.server_error(503), times=None)
        with sandbox.running():
            failed = api.send(asking("root"), request_id="one").wait(60)
            assert failed.outcome == "error"
            assert failed.payload["errorType"] == "GitHubUnavailable"
            assert failed.payload["stackTrace"] == []
            assert list(store.latest_keys()) == []
            ghe.heal()
            again = api.send(asking("root"), request_id="one").wait(60)
        assert again.result["verdict"] == "unapplied"

    def test_a_store_that_takes_nothing_is_an_error_of_the_function(
        self, ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox
    ) -> None:
        ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
        sandbox.environment = {
            **sandbox.environment,
            "DRIFTFLEET_RESULTS__STORE": "file:///mnt/world/results",
        }
        with sandbox.running():
            failed = api.send(asking("root")).wait(60)
        assert failed.payload["errorType"] == "StoreUnavailable", failed.payload

    @pytest.mark.parametrize(
        ("keys", "kind", "words"),
        [
            ({"repo": "payments/none"}, "source_missing", "no such repository"),
            ({"ref": "nowhere"}, "source_missing", "no branch, tag or commit 'nowhere'"),
            ({"root": "gone"}, "source_missing", "there is no folder gone"),
        ],
    )
    def test_what_is_not_there_is_an_answer(
        self, ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox, store: ResultStore,
        keys: dict[str, str], kind: str, words: str,
    ) -> None:  # fmt: skip
        ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
        with sandbox.running():
            answered = api.send({**asking("root"), **keys}).wait(60)
        assert answered.result["verdict"] == Verdict.ERROR
        assert error_of(answered.result)[0] == kind
        assert words in answered.result["error"]["message"]
        assert len(list(store.latest_keys())) == 1

    def test_a_refused_token_is_an_answer(
        self, ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox
    ) -> None:
        ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
        ghe.fault("/repos/", Fault.bad_credentials(), times=None)
        with sandbox.running():
            answered = api.send(asking("root")).wait(60)
        assert error_of(answered.result)[0] == "credentials"

    def test_a_disk_that_is_too_small_is_an_answer_and_the_next_check_works(
        self, ghe: StandIn, api: RuntimeApi, sandbox: LambdaSandbox
    ) -> None:
        large = providers.fault_root("write", megabytes=20)
        ghe.add_repository(REPO, {"large/main.tf": large, "small/main.tf": BUILTIN})
        sandbox.size_bytes = 8 << 20
        with sandbox.running():
            answered = api.send(asking("large")).wait(60)
            assert error_of(answered.result)[0] in ("disk_quota", "disk_full")
            assert answered.result["job"]["limits"]["workspace_bytes"] == 4 << 20
            small = api.send(asking("small")).wait(60)
        assert small.result["verdict"] == "unapplied", small.result

    @pytest.mark.parametrize(
        ("event", "words"),
        [
            ({"repo": REPO}, "'root' is missing"),
            ({"root": "x"}, "'repo' is missing"),
            ({"repo": REPO, "root": "x", "reff": "main"}, "did you mean 'ref'?"),
            ({"repo": "nobody", "root": "x"}, "it is owner/name"),
            ({"repo": REPO, "root": "../x"}, "without '..'"),
            ({"repo": REPO, "root": "x", "ref": "a b"}, "is no branch"),
            ([REPO, "x"], "no JSON object"),
            ({"detail-type": "Scheduled Event", "source": "aws.events"}, "input of its own"),
            ({"schema_version": 2, "sweep_id": "x"}, "not a job of schema 1"),
        ],
    )
    def test_a_wrong_event_is_told_what_is_wrong(
        self, api: RuntimeApi, sandbox: LambdaSandbox, event: Any, words: str
    ) -> None:
        with sandbox.running():
            failed = api.send(event).wait(60)
        assert failed.outcome == "error"
        assert failed.payload["errorType"] == "ContractError"
        assert words in failed.payload["errorMessage"]
        assert failed.payload["stackTrace"] == []

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("DRIFTFLEET_RESULTS__STORE", "", "results.store (DRIFTFLEET_RESULTS__STORE)"),
            ("DRIFTFLEET_WORKER__MIRORR", "/x", "did you mean 'mirror'?"),
            ("DRIFTFLEET_WORKER__WRITABLE_ROOT", "/mnt/w", "can't be made: Read-only file system"),
            ("DRIFTFLEET_GITHUB__TOKEN", "env:/THE_TOKEN", "never the token itself"),
        ],
    )
    def test_wrong_settings_end_the_start_with_one_sentence(
        self, api: RuntimeApi, sandbox: LambdaSandbox, name: str, value: str, words: str
    ) -> None:
        sandbox.environment = {**sandbox.environment, name: value}
        with sandbox.running() as function:
            assert api.init_failed.wait(30), sandbox.told()
            assert function.wait(10) == 1
        assert api.init_error["errorType"] == "ConfigurationError"
        assert words in api.init_error["errorMessage"]
        assert api.init_error["stackTrace"] == []
        assert "File " not in sandbox.told()
