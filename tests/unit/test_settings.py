"""Settings: where they come from, which wins, and what a person is told who errs."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr, ValidationError

from driftfleet.configuration import environment_of, load_settings
from driftfleet.errors import ConfigurationError
from driftfleet.settings import Settings, WorkerSettings

EVERYTHING: dict[str, Any] = {
    "broker": {"url": "redis://:pa%20ss@h:6379/0", "visibility_timeout_seconds": 30},
    "results": {"store": "file:///var/results"},
    "discovery": {"include": ["envs/**"], "exclude": ["old/**", "x y"]},
    "variants": [
        {
            "root": "envs/*",
            "variants": [
                {"name": "eu", "workspace": "eu", "var_files": ["eu.tfvars"], "env": {"A": "1"}},
                {"name": "us", "backend_config": ["key=us", "b/us.hcl"]},
            ],
        }
    ],
    "limits": {"timeout_seconds": 60, "workspace_bytes": 5000},
    "worker": {
        "concurrency": 3,
        "writable_root": "/var/w",
        "terraform": "/usr/bin/terraform",
        "mirror": "/var/mirror",
        "local_roots": ["/srv/a", "/srv/b"],
        "environment": ["AWS_*"],
        "gogc": 100,
        "stop_grace_seconds": 0.5,
        "drain_seconds": 20,
        "complete_lock_files": False,
    },
    "terraform": {
        "default": "1.5.7",
        "program": "terraform",
        "pins": [{"repo": "a/*", "root": "envs/**", "version": "~> 1.6", "program": "tofu"}],
        "prefer_installed": False,
    },
    "logs": {"level": "debug", "format": "json"},
    "metrics": {
        "cloudwatch": {"namespace": "a", "dimensions": {"fleet": "prod"}, "every_seconds": 30},
        "prometheus": {"host": "::1", "port": 9000},
    },
    "flower": {"host": "::1", "port": 80, "user": "ops", "password": "file:///run/secrets/flower"},
    "github": {
        "url": "https://ghe.example.com",
        "app": {"id": 1, "installation": 2, "private_key": "secretsmanager://app#key"},
        "connections": 8,
    },
    "schedule": {"every": "6h", "not_between": ["22:00-06:00"], "minimum_age": "30m"},
    "repositories": [
        {"repo": "a/b", "ref": "v1"},
        {"org": "c", "include": ["infra-*"], "schedule": {"cron": "0 3 * * *"}},
    ],
    "cache": {"folder": "/var/cache/df", "limit_bytes": 2000000},
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config(folder: Path, tree: object) -> Path:
    path = folder / "config.yaml"
    path.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
    return path


def test_everything_has_a_default(tmp_path: Path) -> None:
    settings = load_settings(environment={})
    assert settings.broker.url is None
    assert settings.results.store == f"file://{tmp_path}/drift-results"
    assert settings.worker.concurrency >= 1
    assert settings.worker.mirror is None


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    settings = load_settings(config(tmp_path, EVERYTHING), {})
    assert settings == Settings.model_validate(EVERYTHING)
    assert settings.broker.url == SecretStr("redis://:pa%20ss@h:6379/0")
    assert [variant.name for variant in settings.variants[0].variants] == ["eu", "us"]


def test_overrides_win_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    path = config(tmp_path, {"limits": {"timeout_seconds": 1, "workspace_bytes": 1}})
    environment = {
        "DRIFTFLEET_LIMITS__TIMEOUT_SECONDS": "2",
        "DRIFTFLEET_LIMITS__WORKSPACE_BYTES": "2",
    }
    settings = load_settings(path, environment, {"limits.timeout_seconds": 3})
    assert (settings.limits.timeout_seconds, settings.limits.workspace_bytes) == (3, 2)


def test_a_variable_that_is_empty_is_not_set(tmp_path: Path) -> None:
    names = (
        "BROKER__URL",
        "GITHUB__URL",
        "GITHUB__TOKEN",
        "WORKER__MIRROR",
        "LIMITS__TIMEOUT_SECONDS",
    )
    config = tmp_path / "fleet.yaml"
    config.write_text("github: {url: 'https://ghe.example.com'}\n")
    settings = load_settings(config, {f"DRIFTFLEET_{name}": "" for name in names})
    assert settings == load_settings(config, {})
    assert settings.github.url == "https://ghe.example.com"


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_settings(config(tmp_path, ""), {}) == load_settings(environment={})


def test_fleet_yaml_in_the_current_folder_is_found_and_a_named_file_wins(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text("limits: {timeout_seconds: 7}")
    other = config(tmp_path, {"limits": {"timeout_seconds": 8}})
    assert load_settings(environment={}).limits.timeout_seconds == 7
    named = {"DRIFTFLEET_CONFIG": str(other)}
    assert load_settings(environment=named).limits.timeout_seconds == 8


def test_a_folder_in_the_place_of_fleet_yaml_is_refused(tmp_path: Path) -> None:
    # Docker makes one where the file that it was to mount isn't there.
    (tmp_path / "fleet.yaml").mkdir()
    with pytest.raises(ConfigurationError, match=r"fleet\.yaml: can't be read: Is a directory"):
        load_settings(environment={})


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"limits": {"timeout_secs": 1}}, r"'limits.timeout_secs'; did you mean 'timeout_seconds'"),
        ({"worker": {"concurency": 1}}, r"'worker.concurency'; did you mean 'concurrency'"),
        ({"brokr": {}}, r"'brokr'; did you mean 'broker'"),
        (
            {"variants": [{"root": "a", "variants": [{"name": "x", "var_file": []}]}]},
            r"'var_file' in variants entry 1, variants entry 1; did you mean 'var_files'",
        ),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_valid_one(
    tmp_path: Path, tree: object, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_settings(config(tmp_path, tree), {})


def test_an_unknown_key_like_no_other_is_named_with_all_valid_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'limits.qqqq' \(valid here: timeout_seconds, "):
        load_settings(config(tmp_path, {"limits": {"qqqq": 1}}), {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("- a", "must be a mapping"),
        ("limits: 3", "'limits'"),
        ("limits: {timeout_seconds: soon}", "'limits.timeout_seconds'"),
        ("limits: {timeout_seconds: 0}", "'limits.timeout_seconds'.*greater than 0"),
        ("variants: [{root: a, variants: []}]", "variants entry 1, variants: must have an entry"),
        ("variants: [{root: a}]", "variants entry 1, variants: is missing"),
        ("limits: {timeout_seconds: 1.5}", "'limits.timeout_seconds': must be a whole number"),
        ("logs: {level: loud}", "'logs.level': must be 'debug', 'info'"),
        ("worker: {complete_lock_files: 3}", "'worker.complete_lock_files': must be true or false"),
        ("limits: 3", "'limits': must be a mapping .keys: timeout_seconds, workspace_bytes"),
        ("discovery: {include: envs}", r"'discovery.include': must be a list: ."),
        ("repositories: payments/infra", r"'repositories': must be a list: .payments/infra."),
        ("repositories: [a/b, 3]", "repositories entry 2: must be owner/name, owner/name@ref, or"),
        ("repositories: [a/b, ]\nlimits: [1]", "'limits': must be a mapping"),
        ("repositories: [{repo: a/b, ref: 1.0}]", "repositories entry 1, ref: must be text"),
        ("variants: [{root: a, variants: [{name: '../x'}]}]", "letters, digits"),
        ("variants: [{root: a, variants: [{var_files: ['../x']}]}]", "without '..'"),
    ],
)
def test_a_bad_file_is_explained_and_named(tmp_path: Path, text: str, message: str) -> None:
    path = config(tmp_path, text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_settings(path, {})
    assert str(path) in caught.value.message


def test_a_file_that_is_missing_or_no_text_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere.yaml: can't be read: No such file"):
        load_settings(Path("nowhere.yaml"), {})
    with pytest.raises(ConfigurationError, match=r"nowhere.yaml: can't be read"):
        load_settings(environment={"DRIFTFLEET_CONFIG": "nowhere.yaml"})
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        load_settings(tmp_path / "b", {})


def test_relative_paths_of_a_file_count_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    tree = {
        "worker": {"mirror": "m", "writable_root": "../w", "terraform": "bin/terraform"},
        "results": {"store": "file://results"},
        "broker": {"ca_file": "ca.pem"},
    }
    settings = load_settings(config(tmp_path / "conf", tree), {})
    assert settings.broker.ca_file == tmp_path / "conf/ca.pem"
    assert settings.worker.mirror == tmp_path / "conf/m"
    assert settings.worker.writable_root == tmp_path / "w"
    assert settings.worker.terraform == str(tmp_path / "conf/bin/terraform")
    assert settings.results.store == f"file://{tmp_path}/conf/results"


def test_relative_paths_of_the_environment_and_options_count_from_here(tmp_path: Path) -> None:
    environment = {"DRIFTFLEET_WORKER__MIRROR": "m"}
    settings = load_settings(None, environment, {"worker.writable_root": Path("w")})
    assert settings.worker.mirror == tmp_path / "m"
    assert settings.worker.writable_root == tmp_path / "w"


def test_a_terraform_without_a_slash_is_looked_up_on_the_path() -> None:
    settings = load_settings(environment={"DRIFTFLEET_WORKER__TERRAFORM": "terraform-1.11"})
    assert settings.worker.terraform == "terraform-1.11"


def test_variables_that_are_no_settings_are_left_alone() -> None:
    environment = {"DRIFTFLEET_SOMETHING": "1", "LIMITS__TIMEOUT_SECONDS": "1", "DRIFTFLEET_": ""}
    assert load_settings(environment=environment) == load_settings(environment={})


def test_lists_and_numbers_in_variables_are_yaml() -> None:
    environment = {
        "DRIFTFLEET_DISCOVERY__EXCLUDE": "[a, 'b/**']",
        "DRIFTFLEET_WORKER__GOGC": "50",
    }
    settings = load_settings(environment=environment)
    assert settings.discovery.exclude == ("a", "b/**")
    assert settings.worker.gogc == 50


def test_an_unknown_variable_of_a_known_section_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"limits.timeout'; did you mean"):
        load_settings(environment={"DRIFTFLEET_LIMITS__TIMEOUT": "1"})


@pytest.mark.parametrize("tree", [{}, EVERYTHING])
def test_another_process_builds_the_same_settings_from_the_environment(
    tmp_path: Path, tree: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(config(tmp_path, tree), {})
    environment = environment_of(settings)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_settings(environment=environment) == settings


def test_the_broker_password_is_shown_nowhere_but_in_what_is_handed_over() -> None:
    settings = Settings.model_validate(EVERYTHING)
    assert "pa%20ss" not in repr(settings)
    assert "pa%20ss" not in str(settings.model_dump())
    url = environment_of(settings)["DRIFTFLEET_BROKER__URL"]
    assert url == "redis://:pa%20ss@h:6379/0"


def test_a_wrong_value_is_not_repeated_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config(tmp_path, {"broker": {"url": ["hunter2"]}}), {})
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    "value", ["/tmp/x # y", "/tmp/a: b", "/srv/2024", "/tmp/\N{SNOWMAN}/\U0001f600", "/a#b?c"]
)
def test_a_path_in_the_environment_is_taken_as_it_is(value: str) -> None:
    environment = {
        "DRIFTFLEET_WORKER__MIRROR": value,
        "DRIFTFLEET_RESULTS__STORE": f"file://{value}",
        "DRIFTFLEET_BROKER__URL": "redis://:p#w: x@host",
    }
    settings = load_settings(environment=environment)
    assert str(settings.worker.mirror) == value
    assert settings.results.store == f"file://{value}"
    assert settings.broker.url is not None
    assert settings.broker.url.get_secret_value() == "redis://:p#w: x@host"
    assert load_settings(environment=environment_of(settings)) == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("repositories: [{topics: [a]}]", "must name either 'repo' (owner/name) or 'org'"),
        ("repositories: [{repo: a/b, org: c}]", "must name either"),
        ("repositories: [payments]", "'payments' is no repository's name"),
        ("repositories: [a/b, 'pay/clean@']", "entry 2: 'pay/clean@' names no ref after the '@'"),
        ("repositories: ['org:big']", "organisation: org: big"),
        ("repositories: ['org:']", "organisation: org: NAME"),
        ("repositories: [{repo: a/b, ref: a..b}]", "a/b: 'a..b' is no branch, tag or commit"),
        ("repositories: ['a/b@x y']", "a/b: 'x y' is no branch, tag or commit"),
        ("repositories: [{org: big/x}]", "'big/x' is no organisation's name"),
        ("repositories: [{org: big, ref: v1}]", "org big: ref: belongs to a 'repo' only"),
        (
            "repositories: [{repo: a/b, topics: [x], languages: [H], include: [i], exclude: [e]}]",
            "repo a/b: topics, languages, include, exclude: belongs to an 'org' only",
        ),
        ("github: {token: abcdef}", "never the token itself"),
        (
            "github: {token: env://A, app: {id: 1, installation: 2, private_key: env://B}}",
            "both 'token' and 'app'",
        ),
        ("github: {connections: 17}", "github.connections"),
    ],
)
def test_what_is_said_of_github_must_make_sense(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_settings(config(tmp_path, text), {})
    assert message in error.value.message
    assert "abcdef" not in error.value.message


def test_a_repository_may_be_named_by_a_plain_string(tmp_path: Path) -> None:
    settings = load_settings(config(tmp_path, "repositories: [a/b, a/c@v1, {org: d}]"), {})
    named = [(rule.repo, rule.ref, rule.org) for rule in settings.repositories]
    assert named == [("a/b", "", None), ("a/c", "v1", None), (None, "", "d")]


def test_repositories_can_be_named_in_a_variable() -> None:
    settings = load_settings(None, {"DRIFTFLEET_REPOSITORIES": "[a/b]"})
    assert [rule.repo for rule in settings.repositories] == ["a/b"]


def test_a_relative_secret_file_counts_from_the_configuration_file(tmp_path: Path) -> None:
    settings = load_settings(config(tmp_path, "github: {token: 'file://token'}"), {})
    assert settings.github.token == f"file://{tmp_path / 'token'}"


def test_a_key_with_nothing_after_its_colon_is_an_empty_list_or_section(tmp_path: Path) -> None:
    text = """
repositories:
discovery:
  include:
limits:
variants: [{root: a, variants: [{name: x, var_files: }]}]
"""
    settings = load_settings(config(tmp_path, text), {"DRIFTFLEET_LIMITS__TIMEOUT_SECONDS": "5"})
    assert settings.repositories == settings.discovery.include == ()
    assert settings.variants[0].variants[0].var_files == ()
    assert settings.limits.timeout_seconds == 5


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DRIFTFLEET_LIMITS__TIMEOUT_SECONDS", "soon"),
        ("DRIFTFLEET_LIMITS__TIMEOUT", "1"),
        ("DRIFTFLEET_REPOSITORIES", "[a]"),
        ("DRIFTFLEET_GITHUB__TOKEN", "abcdef"),
        ("DRIFTFLEET_GITHUB__APP", "{id: 1, installation: 2, private_key: env://KEY}"),
    ],
)
def test_what_came_from_a_variable_is_told_with_its_name(
    tmp_path: Path, variable: str, value: str
) -> None:
    path = config(tmp_path, {"github": {"token": "env://A"}})
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path, {variable: value})
    assert variable in caught.value.message.partition("'")[0]
    assert "Value error" not in caught.value.message


def test_what_contradicts_itself_across_sections_names_them_and_no_empty_place() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environment={"DRIFTFLEET_BROKER__VISIBILITY_TIMEOUT_SECONDS": "30"})
    assert "DRIFTFLEET_BROKER__VISIBILITY_TIMEOUT_SECONDS: worker.drain_seconds" in (
        caught.value.message
    )


def test_the_current_folder_may_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigurationError, match="the current folder can't be found"):
        load_settings(environment={})


def test_a_home_folder_that_nobody_knows_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="~nobody-of-this-name/m"):
        load_settings(config(tmp_path, "worker: {mirror: ~nobody-of-this-name/m}"), {})


@pytest.mark.parametrize(
    ("worker", "words"),
    [
        ({"plan_role": "plans"}, "such as arn:aws:iam::123456789012:role/plans"),
        ({"plan_role": "arn:aws:iam::123456789012:role/x", "plan_external_id": "a b"}, "2 to 1224"),
        ({"plan_external_id": "fleet"}, "without 'plan_role'"),
    ],
)
def test_a_role_of_plans_that_can_be_none_is_refused(worker: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        WorkerSettings.model_validate(worker)


def test_a_machine_without_any_writable_folder_has_settings_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    assert load_settings(environment={}).worker.writable_root.parent == Path("/tmp")
