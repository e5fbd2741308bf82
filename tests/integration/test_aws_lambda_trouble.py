"""The Lambda function in trouble: what it answers, and what Lambda is made to try again."""

from typing import Any

import pytest

from driftfleet.results import Verdict
from driftfleet.store import ResultStore
from tests import providers
from tests.lambda_sandbox import REPO, LambdaSandbox, asking, error_of
from tests.runtime_api import RuntimeApi
from tests.standin import Fault, StandIn

BUILTIN = 'resource "terraform_data" "this" {\n  input = "one"\n}\n'


class TestTrouble:
    """What is answered, and what Lambda is made to try again."""

    def test_an_outage_of_github_is_an_error_of_the_function(
        self,
        ghe: StandIn,
        runtime_api: RuntimeApi,
        sandbox: LambdaSandbox,
        lambda_store: ResultStore,
    ) -> None:
        ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
        ghe.fault("/git/", Fault.server_error(503), times=None)
        with sandbox.running():
            failed = runtime_api.send(asking("root"), request_id="one").wait(120)
            assert failed.outcome == "error"
            assert failed.payload["errorType"] == "GitHubUnavailable"
            assert failed.payload["stackTrace"] == []
            assert list(lambda_store.latest_keys()) == []
            ghe.heal()
            again = runtime_api.send(asking("root"), request_id="one").wait(120)
        assert again.result["verdict"] == "unapplied"

    def test_a_store_that_takes_nothing_is_an_error_of_the_function(
        self, ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox
    ) -> None:
        ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
        sandbox.environment = {
            **sandbox.environment,
            "DRIFTFLEET_RESULTS__STORE": "file:///mnt/world/results",
        }
        with sandbox.running():
            failed = runtime_api.send(asking("root")).wait(120)
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
        self, ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox,
        lambda_store: ResultStore, keys: dict[str, str], kind: str, words: str,
    ) -> None:  # fmt: skip
        ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
        with sandbox.running():
            answered = runtime_api.send({**asking("root"), **keys}).wait(120)
        assert answered.result["verdict"] == Verdict.ERROR
        assert error_of(answered.result)[0] == kind
        assert words in answered.result["error"]["message"]
        assert len(list(lambda_store.latest_keys())) == 1

    def test_a_function_that_knows_no_github_says_so(
        self, runtime_api: RuntimeApi, sandbox: LambdaSandbox
    ) -> None:
        names = ("DRIFTFLEET_GITHUB__URL", "DRIFTFLEET_GITHUB__TOKEN")
        sandbox.environment = {k: v for k, v in sandbox.environment.items() if k not in names}
        with sandbox.running():
            answered = runtime_api.send(asking("root")).wait(120)
        kind, message = error_of(answered.result)
        assert kind == "job_refused"
        assert "set github.url" in message

    def test_a_refused_token_is_an_answer(
        self, ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox
    ) -> None:
        ghe.add_repository(REPO, {"root/main.tf": BUILTIN})
        ghe.fault("/repos/", Fault.bad_credentials(), times=None)
        with sandbox.running():
            answered = runtime_api.send(asking("root")).wait(120)
        assert error_of(answered.result)[0] == "credentials"

    def test_a_disk_that_is_too_small_is_an_answer_and_the_next_check_works(
        self, ghe: StandIn, runtime_api: RuntimeApi, sandbox: LambdaSandbox
    ) -> None:
        large = providers.fault_root("write", megabytes=20)
        ghe.add_repository(REPO, {"large/main.tf": large, "small/main.tf": BUILTIN})
        sandbox.size_bytes = 8 << 20
        with sandbox.running():
            answered = runtime_api.send(asking("large")).wait(120)
            assert error_of(answered.result)[0] in ("disk_quota", "disk_full")
            assert answered.result["job"]["limits"]["workspace_bytes"] == 4 << 20
            small = runtime_api.send(asking("small")).wait(120)
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
            ({"repo": REPO, "root": "\ud800"}, "half a character"),
            ({"repo": REPO, "root": "x", "\ud800": 1}, "half a character"),
            ({f"key{number}": 0 for number in range(5000)}, "; and 4,992 more"),
            ([REPO, "x"], "no JSON object"),
            ({"detail-type": "Scheduled Event", "source": "aws.events"}, "input of its own"),
            ({"schema_version": 2, "sweep_id": "x"}, "not a job of schema 1"),
        ],
    )
    def test_a_wrong_event_is_told_what_is_wrong(
        self, runtime_api: RuntimeApi, sandbox: LambdaSandbox, event: Any, words: str
    ) -> None:
        with sandbox.running():
            failed = runtime_api.send(event).wait(120)
        assert failed.outcome == "error"
        assert failed.payload["errorType"] == "ContractError"
        assert words in failed.payload["errorMessage"]
        assert len(failed.payload["errorMessage"]) < 2000
        assert failed.payload["stackTrace"] == []

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("DRIFTFLEET_RESULTS__STORE", "", "results.store (DRIFTFLEET_RESULTS__STORE)"),
            ("DRIFTFLEET_RESULTS__STORE", "file:///tmp/results", "cleared after each invocation"),
            ("DRIFTFLEET_WORKER__MIRORR", "/x", "did you mean 'mirror'?"),
            ("DRIFTFLEET_WORKER__WRITABLE_ROOT", "/mnt/w", "can't be made: Read-only file system"),
            ("DRIFTFLEET_GITHUB__TOKEN", "env:/THE_TOKEN", "never the token itself"),
        ],
    )
    def test_wrong_settings_end_the_start_with_one_sentence(
        self, runtime_api: RuntimeApi, sandbox: LambdaSandbox, name: str, value: str, words: str
    ) -> None:
        sandbox.environment = {**sandbox.environment, name: value}
        with sandbox.running() as function:
            assert runtime_api.init_failed.wait(60), sandbox.told()
            assert function.wait(60) == 1
        assert runtime_api.init_error["errorType"] == "ConfigurationError"
        assert words in runtime_api.init_error["errorMessage"]
        assert runtime_api.init_error["stackTrace"] == []
        assert "File " not in sandbox.told()
