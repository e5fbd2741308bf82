"""What a doctor says of an answer's headers and of this machine, and how it is printed."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from driftfleet.github.transfer import Answer
from driftfleet.settings import (
    GitHubApp,
    GitHubSettings,
    RepositoryRule,
    Settings,
    WorkerSettings,
)
from producer.crew import worker_environment
from producer.doctor import machine
from producer.doctor.broker import check_broker
from producer.doctor.examination import Doctor, examine
from producer.doctor.findings import Finding, fail, ok, skip, warn
from producer.doctor.github import expiry_finding, read_moment, scopes_finding
from producer.doctor.report import lines_of, report
from producer.doctor.repositories import organisation_finding, repository_finding
from tests.scripted import Script, client, said

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def answer(**headers: str) -> Answer:
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Answer(status=200, headers=named, content=b"{}")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01 12:00:00 UTC", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01 12:00:00 +0200", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01 12:00:00 -0000", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("soon", None),
        ("", None),
    ],
)
def test_a_moment_is_read_as_github_writes_it(text: str, moment: datetime | None) -> None:
    assert read_moment(text) == moment


@pytest.mark.parametrize(
    ("told", "level"),
    [
        (None, None),
        ("2026-06-01 00:00:00 UTC", "ok"),
        ("2026-01-09 00:00:00 UTC", "warn"),
        ("2026-01-01 00:00:00 UTC", "warn"),
        ("whenever", "warn"),
    ],
)
def test_a_token_that_expires_soon_is_warned_of(told: str | None, level: str | None) -> None:
    name = "GitHub_Authentication_Token_Expiration"
    found = expiry_finding(answer(**({name: told} if told else {})), NOW)
    assert (found.level if found else None) == level


@pytest.mark.parametrize(
    ("told", "level", "words"),
    [
        ("repo, read:org", "ok", "repo, read:org"),
        ("read:org", "warn", "private repositories can't be read without 'repo'"),
        ("", "warn", "none: private"),
        (None, "ok", "fine-grained"),
    ],
)
def test_the_scopes_of_a_classic_token_are_judged(told: str | None, level: str, words: str) -> None:
    found = scopes_finding(answer(**({"X_OAuth_Scopes": told} if told is not None else {})))
    assert found.level == level
    assert words in found.finding


def test_lines_have_the_mend_below_and_nothing_that_a_terminal_obeys() -> None:
    found = fail("acme/\x1b[31m", "not found\nreally \x1b[2J", "do this\nthen that")
    assert lines_of(found) == [
        "fail  acme/\\x1b[31m  not found",
        "      really \\x1b[2J",
        "      -> do this",
        "         then that",
    ]
    assert lines_of(ok("host", "answers")) == ["ok    host          answers"]


def test_lines_that_are_too_long_for_the_terminal_go_on_below_between_words() -> None:
    found = warn("eviction", "some words that are many", "CONFIG SET a-long-option-of-redis value")
    assert lines_of(found, width=40) == [
        "warn  eviction      some words that are",
        "                    many",
        "      -> CONFIG SET",
        "         a-long-option-of-redis value",
    ]
    assert lines_of(found) == lines_of(found, width=200)
    coloured = lines_of(found, width=40, coloured=True)
    assert coloured[0] == "\x1b[33mwarn\x1b[0m  eviction      some words that are"
    assert coloured[1:] == lines_of(found, width=40)[1:]


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([ok("a", "")], 0),
        ([warn("a", ""), skip("b", "")], 0),
        ([fail("a", ""), ok("b", "")], 1),
    ],
)
def test_only_a_failure_is_exit_1_and_json_is_a_finding_a_line(
    findings: list[Finding], code: int
) -> None:
    stdout = io.StringIO()
    assert report(findings, as_json=True, stdout=stdout) == code
    lines = [json.loads(line) for line in stdout.getvalue().splitlines()]
    assert [Finding.model_validate(line) for line in lines] == findings


def test_folders_are_judged_by_whether_they_can_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    good = Settings(worker=WorkerSettings(writable_root=tmp_path / "w"))
    bad = Settings(worker=WorkerSettings(writable_root=tmp_path / "file" / "w"))
    assert machine.writable_root(good).level == "ok"
    assert not (tmp_path / "w").exists(), "a doctor changes nothing"
    assert machine.writable_root(bad).level == "fail"


def test_git_is_judged_by_what_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "git"
    monkeypatch.setenv("PATH", str(tmp_path))

    def found(printed: str) -> Finding:
        program.write_text(f"#!/bin/sh\necho '{printed}'\n")
        program.chmod(0o755)
        return machine.git({})

    assert "no program" in machine.git({}).finding
    assert found("git version 2.38.0").level == "ok"
    assert found("git version 2.39.5 (Apple Git-154)").finding.startswith("2.39.5 (Apple")
    assert found("git version 2.37.9").level == "warn"
    assert found("").level == "warn"


def test_a_mirror_is_not_named_missing_empty_or_there(tmp_path: Path) -> None:
    def level(mirror: Path | None) -> str:
        return machine.mirror(Settings(worker=WorkerSettings(mirror=mirror))).level

    (tmp_path / "full" / "registry.terraform.io").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    levels = [level(None), *(level(tmp_path / name) for name in ("nowhere", "empty", "full"))]
    assert levels == ["warn", "fail", "warn", "ok"]
    assert "built-in resources" in machine.mirror(Settings()).finding


def test_a_broker_url_that_is_none_fails_without_being_shown() -> None:
    settings = Settings.model_validate({"broker": {"url": "redis://:se/cret@host:6379"}})
    (found,) = check_broker(settings)
    assert found.level == "fail"
    assert "'se'" not in found.finding
    assert "cret" not in found.finding


def test_a_worker_gets_the_variables_that_hold_its_secrets_whatever_they_are_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DRIFTFLEET_MY_TOKEN", "t")
    monkeypatch.setenv("DRIFTFLEET_MY_KEY", "k")
    monkeypatch.setenv("DRIFTFLEET_OTHER", "o")
    url = "https://ghe.example.com"
    token = Settings(github=GitHubSettings(url=url, token="env://DRIFTFLEET_MY_TOKEN"))
    app = GitHubApp(id=1, installation=2, private_key="env://DRIFTFLEET_MY_KEY")
    assert worker_environment(token)["DRIFTFLEET_MY_TOKEN"] == "t"
    assert "DRIFTFLEET_MY_KEY" not in worker_environment(token)
    by_app = worker_environment(Settings(github=GitHubSettings(url=url, app=app)))
    assert by_app["DRIFTFLEET_MY_KEY"] == "k"
    assert not {"DRIFTFLEET_MY_TOKEN", "DRIFTFLEET_OTHER"} & set(by_app)


def test_the_rules_of_repositories_do_not_travel_to_a_worker() -> None:
    settings = Settings.model_validate({"repositories": ["acme/infra"]})
    assert "acme/infra" not in "".join(worker_environment(settings).values())


def test_a_home_that_is_not_set_is_what_is_said_of_the_cache() -> None:
    found = machine.cache(Settings(), {})
    assert found.level == "warn"
    assert "HOME is not set" in found.finding


def test_a_target_that_is_none_keeps_nothing_from_being_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    found = list(examine(Doctor(None, ["nowhere", "", "here", "acme/infra"], {"HOME": "/"})))
    by_name = {finding.what: finding for finding in found}
    assert by_name["nowhere"].level == by_name["target"].level == "fail"
    assert "no such folder" in by_name["nowhere"].finding
    assert by_name["folder"].finding == str(tmp_path / "here")
    assert {"terraform", "workspaces", "results", "broker", "github"} <= set(by_name)


def test_targets_that_contradict_each_other_are_a_failure_and_the_rest_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = list(examine(Doctor(None, ["acme/a@x", "acme/a"], {"HOME": "/"})))
    by_name = {finding.what: finding for finding in found}
    assert by_name["targets"].level == "fail"
    assert "terraform" in by_name


RECORD = {"full_name": "acme/a", "default_branch": "trunk"}


def of_repository(script: Script, **rule: str) -> Finding:
    with client(script, patience_seconds=0) as github:
        return repository_finding(github, RepositoryRule(repo="acme/a", **rule))


def test_the_mend_of_a_repository_fits_what_is_wrong_with_it() -> None:
    record = httpx.Response(200, json=RECORD)
    missing = of_repository(Script(said(404)))
    assert "SSO" in missing.mend
    ref = of_repository(Script(record, said(422)), ref="nope")
    assert (ref.level, "SSO" in ref.mend, "trunk" in ref.mend) == ("fail", False, True)
    trouble = of_repository(Script(said(503)))
    assert (trouble.level, "SSO" in trouble.mend) == ("fail", False)
    assert "later" in trouble.mend
    archived = of_repository(Script(httpx.Response(200, json={**RECORD, "archived": True})))
    assert "in fleet.yaml: {repo: acme/a, archived: true}" in archived.mend


def test_an_organisation_whose_server_is_in_trouble_is_not_blamed_on_the_network() -> None:
    with client(Script(said(503)), patience_seconds=0) as github:
        found = organisation_finding(github, RepositoryRule(org="acme"))
    assert found.level == "fail"
    assert "later" in found.mend


@pytest.mark.parametrize("database", ["abc", "-1", "0/1", "0#x"])
def test_a_database_that_is_no_number_fails_with_its_setting(database: str) -> None:
    settings = Settings.model_validate({"broker": {"url": f"redis://:s3cr3t@h:6379/{database}"}})
    (found,) = check_broker(settings)
    assert found.level == "fail"
    assert "number of a database" in found.finding
    assert "s3cr3t" not in found.finding


class TestIsolation:
    def finding(self, tmp_path: Path, script: str | None, *shown: Path) -> Finding:
        """What is found where ``script`` is bubblewrap."""
        if script is not None:
            (tmp_path / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / "bwrap").chmod(0o755)
        worker = WorkerSettings(isolation="bubblewrap", isolation_shows=shown)
        return machine.isolation(Settings(worker=worker), {"PATH": f"{tmp_path}"})

    def test_without_the_program_it_says_what_to_install(self, tmp_path: Path) -> None:
        finding = self.finding(tmp_path, None)
        assert (finding.level, finding.what) == ("fail", "isolation")
        assert "bubblewrap" in finding.mend

    def test_what_the_kernel_refuses_is_told(self, tmp_path: Path) -> None:
        refusal = "bwrap: No permissions to create new namespace"
        finding = self.finding(tmp_path, f"echo '{refusal}' >&2; exit 1")
        assert finding.level == "fail"
        assert "No permissions to create new namespace" in finding.finding
        assert "docs/isolation.md" in finding.mend

    def test_what_is_to_be_shown_has_to_be_there(self, tmp_path: Path) -> None:
        assert self.finding(tmp_path, "exit 0", tmp_path).level == "ok"
        finding = self.finding(tmp_path, "exit 0", tmp_path / "none")
        assert finding.level == "fail"
        assert "worker.isolation_shows" in finding.mend
