"""What a plan's environment holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from driftfleet.errors import CheckFailed
from driftfleet.settings import PLAN_ENVIRONMENT
from worker.environment import module_environment, named_files, plan_environment
from worker.mirror import cli_configuration
from worker.workspace import Workspace, Workspaces


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspaces(tmp_path).use(1 << 20) as workspace:
        yield workspace


OWN = {
    "PATH": "/bin",
    "AWS_REGION": "eu-west-1",
    "TF_VAR_size": "big",
    "HTTPS_PROXY": "http://proxy",
    "GITHUB_TOKEN": "secret",
    "DRIFTFLEET_BROKER__URL": "redis://:secret@host",
    "TF_CLI_ARGS_plan": "-target=x",
    "TF_CLI_CONFIG_FILE": "/home/somebody/.terraformrc",
    "TF_PLUGIN_CACHE_DIR": "/cache",
    "TF_LOG": "trace",
    "LD_PRELOAD": "/lib/x.so",
    "HOME": "/home/somebody",
    "TMPDIR": "/elsewhere",
}


def test_only_what_is_allowed_is_handed_on(workspace: Workspace) -> None:
    environment = plan_environment(OWN, PLAN_ENVIRONMENT, {}, workspace, None)
    assert environment["AWS_REGION"] == "eu-west-1"
    assert environment["TF_VAR_size"] == "big"
    assert environment["HTTPS_PROXY"] == "http://proxy"
    assert not {"GITHUB_TOKEN", "LD_PRELOAD", "TF_LOG", "TF_PLUGIN_CACHE_DIR"} & set(environment)
    assert not [name for name in environment if name.startswith(("DRIFTFLEET_", "TF_CLI_ARGS"))]


def test_not_even_a_wide_setting_hands_on_what_is_the_workers_own(workspace: Workspace) -> None:
    environment = plan_environment(OWN, ["*"], {}, workspace, None)
    assert environment["GITHUB_TOKEN"] == "secret"
    assert not {"DRIFTFLEET_BROKER__URL", "LD_PRELOAD", "TF_CLI_ARGS_plan"} & set(environment)


def test_everything_that_is_written_stays_in_the_workspace(workspace: Workspace) -> None:
    environment = plan_environment(OWN, ["*"], {}, workspace, None)
    for name in ("HOME", "TMPDIR", "TF_CLI_CONFIG_FILE", "PLUGIN_UNIX_SOCKET_DIR"):
        assert Path(environment[name]).is_relative_to(workspace.path), name
    # In the root's folder, as for people: it is part of `path.module`.
    assert environment["TF_DATA_DIR"] == ".terraform"


def test_a_variant_sets_what_is_allowed_and_overrules_the_worker(workspace: Workspace) -> None:
    variant = {"TF_VAR_size": "small", "AWS_EC2_METADATA_DISABLED": "false"}
    environment = plan_environment(OWN, PLAN_ENVIRONMENT, variant, workspace, None)
    assert environment["TF_VAR_size"] == "small"
    assert environment["AWS_EC2_METADATA_DISABLED"] == "false"


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "PATH", "HOME", "TF_CLI_ARGS", "PYTHONPATH", "TF_WORKSPACE"]
)
def test_a_variant_that_sets_anything_else_is_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(CheckFailed, match=name) as caught:
        plan_environment(OWN, PLAN_ENVIRONMENT, {name: "x"}, workspace, None)
    assert caught.value.kind == "job_refused"


def test_the_metadata_service_is_not_asked_unless_somebody_says_so(workspace: Workspace) -> None:
    environment = plan_environment({}, PLAN_ENVIRONMENT, {}, workspace, None)
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"


@pytest.mark.parametrize(("gogc", "expected"), [(400, "400"), (None, None)])
def test_the_collectors_target_is_set_where_memory_allows(
    workspace: Workspace, gogc: int | None, expected: str | None
) -> None:
    environment = plan_environment({}, PLAN_ENVIRONMENT, {}, workspace, gogc)
    assert environment.get("GOGC") == expected


def test_the_cli_configuration_knows_the_mirror_alone() -> None:
    text = cli_configuration(Path('/a "b"'), Path("/empty"))
    assert 'path = "/a \\"b\\""' in text
    assert "direct" not in text
    assert '"/empty"' in cli_configuration(None, Path("/empty"))


def test_what_holds_the_workers_own_secret_is_withheld_whatever_is_allowed(
    workspace: Workspace,
) -> None:
    withheld = {"GITHUB_TOKEN", "AWS_APP_KEY"}
    own = {**OWN, "AWS_APP_KEY": "secret", "GIT_TOKEN": "kept"}
    environment = plan_environment(own, ["*"], {}, workspace, None, withheld=withheld)
    git = module_environment(own, ["*"], workspace, withheld | {"GIT_TOKEN"})
    assert "secret" not in {**environment, **git}.values()
    assert "GIT_TOKEN" not in git
    with pytest.raises(CheckFailed, match="GITHUB_TOKEN"):
        plan_environment(own, ["*"], {"GITHUB_TOKEN": "x"}, workspace, None, withheld=withheld)


def test_what_only_git_reads_is_there_while_modules_are_fetched(workspace: Workspace) -> None:
    own = {"GIT_SSL_CAINFO": "/ca.pem", "GIT_SSL_NO_VERIFY": "1", "GIT_TRACE_CURL": "/log"}
    plan = plan_environment(own, PLAN_ENVIRONMENT, {}, workspace, None)
    assert not [name for name in plan if name.startswith("GIT_")]
    git = module_environment(own, PLAN_ENVIRONMENT, workspace)
    assert git["GIT_SSL_CAINFO"] == "/ca.pem"
    assert git["GIT_TERMINAL_PROMPT"] == "0"
    assert "GIT_SSL_NO_VERIFY" not in git
    assert "GIT_TRACE_CURL" not in module_environment(own, ["*"], workspace)
    with pytest.raises(CheckFailed, match="GIT_SSL_CAINFO"):
        plan_environment(own, ["*"], {"GIT_SSL_CAINFO": "/other.pem"}, workspace, None)


class TestARolesKeys:
    """`worker.plan_role`: a plan has the keys of that role, and nothing of the worker's."""

    KEYS: ClassVar = {
        "AWS_ACCESS_KEY_ID": "ASIAPLAN",
        "AWS_SECRET_ACCESS_KEY": "plans",
        "AWS_SESSION_TOKEN": "of-plans",
    }
    # All by which botocore and Go's SDK find credentials.
    WORKERS: ClassVar = {
        "AWS_ACCESS_KEY_ID": "AKIAWORKER",
        "AWS_SECRET_ACCESS_KEY": "workers",
        "AWS_SESSION_TOKEN": "of-workers",
        "AWS_PROFILE": "workers",
        "AWS_CONFIG_FILE": "/workers",
        "AWS_SHARED_CREDENTIALS_FILE": "/workers",
        "AWS_ROLE_ARN": "workers",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/workers",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/workers",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/workers",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "workers",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/workers",
        "AWS_ACCESS_KEY": "workers",
        "AWS_SECRET_KEY": "workers",
        "AWS_CREDENTIAL_FILE": "/workers",
        "AWS_BEARER_TOKEN_BEDROCK": "workers",
    }

    @pytest.mark.parametrize("allowed", [PLAN_ENVIRONMENT, ("*",), ("TF_VAR_*",)])
    def test_they_are_all_that_a_plan_and_its_modules_have(
        self, workspace: Workspace, allowed: tuple[str, ...]
    ) -> None:
        own = {**OWN, **self.WORKERS}
        plan = plan_environment(own, allowed, {}, workspace, None, keys=self.KEYS)
        modules = module_environment(own, allowed, workspace, keys=self.KEYS)
        for environment in (plan, modules):
            assert self.KEYS.items() <= environment.items()
            assert not [value for value in environment.values() if "workers" in value]
        assert ("AWS_REGION" in plan) == (allowed != ("TF_VAR_*",))

    def test_an_isolated_plan_is_not_shown_the_workers_credential_files(self) -> None:
        own = {**self.WORKERS, "AWS_CA_BUNDLE": "/ca.pem"}
        assert Path("/workers") in named_files(own, PLAN_ENVIRONMENT, ())
        assert named_files(own, PLAN_ENVIRONMENT, (), self.KEYS) == [Path("/ca.pem")]

    @pytest.mark.parametrize("name", sorted(WORKERS))
    def test_no_variant_puts_others_in_their_place(self, workspace: Workspace, name: str) -> None:
        with pytest.raises(CheckFailed, match=rf"{name}: worker\.plan_role gives") as caught:
            plan_environment(OWN, ["*"], {name: "x"}, workspace, None, keys=self.KEYS)
        assert caught.value.kind == "job_refused"
        assert plan_environment(OWN, ["*"], {name: "x"}, workspace, None)[name] == "x"
