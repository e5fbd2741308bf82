"""Repositories, the rules that select them, and their newest commit."""

from typing import Any

import httpx
import pytest

from driftfleet.errors import (
    ConfigurationError,
    GitHubNotFound,
    GitHubRefused,
    GitHubUnavailable,
    RepositoryEmpty,
)
from driftfleet.github.repositories import (
    Repository,
    head,
    organisation,
    repository,
    selects,
)
from driftfleet.repository_rule import RepositoryRule
from tests.scripted import Script, client, said

SHA = "0123456789abcdef0123456789abcdef01234567"
RECORD: dict[str, Any] = {
    "id": 1,
    "full_name": "payments/infra",
    "default_branch": "main",
    "archived": False,
    "disabled": False,
    "fork": False,
    "private": True,
    "language": "HCL",
    "topics": ["terraform"],
    "size": 108,
    "owner": {"login": "payments"},
}


def sha(text: str = SHA) -> httpx.Response:
    kind = {"content-type": "application/vnd.github.sha; charset=utf-8"}
    return httpx.Response(200, headers=kind, content=text.encode())


def test_a_repository_is_read_and_what_is_not_needed_is_dropped() -> None:
    with client(Script(httpx.Response(200, json=RECORD))) as github:
        found = repository(github, "payments/infra")
    assert found == Repository(
        full_name="payments/infra",
        default_branch="main",
        language="HCL",
        topics=("terraform",),
        size=108,
    )


def test_what_github_leaves_out_or_null_has_a_default() -> None:
    record = {"full_name": "o/r", "language": None, "topics": None}
    with client(Script(httpx.Response(200, json=record))) as github:
        assert repository(github, "o/r") == Repository(full_name="o/r")


@pytest.mark.parametrize(
    "record",
    [[], 7, {}, {**RECORD, "full_name": "../x/y"}, {**RECORD, "full_name": "o/r\n"},
     {**RECORD, "topics": "x"}, {**RECORD, "size": "large"}],
)  # fmt: skip
def test_what_describes_no_repository_is_an_error(record: object) -> None:
    with (
        client(Script(httpx.Response(200, json=record))) as github,
        pytest.raises(GitHubUnavailable, match="describes no repository"),
    ):
        repository(github, "o/r")


def test_a_renamed_repository_is_known_by_its_new_name() -> None:
    place = "https://ghe.example.com/api/v3/repositories/7"
    moved = httpx.Response(301, headers={"location": place})
    with client(Script(moved, httpx.Response(200, json=RECORD))) as github:
        assert repository(github, "payments/old").full_name == "payments/infra"


def test_an_organisation_is_listed_page_by_page() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params.get("page", "1"))
        link = f"<https://ghe.example.com/api/v3/organizations/7/repos?page={page + 1}>; rel=next"
        names = [{**RECORD, "full_name": f"payments/r{page}{n}"} for n in range(2)]
        return httpx.Response(200, json=names, headers={"link": link} if page < 2 else {})

    script = Script(answer)
    with client(script) as github:
        found = organisation(github, "payments")
        assert next(found).full_name == "payments/r10"
        assert len(script.requests) == 1
        assert [one.full_name for one in found] == [
            "payments/r11",
            "payments/r20",
            "payments/r21",
        ]
    assert script.paths[0] == "/api/v3/orgs/payments/repos"


def test_a_list_that_is_none_is_an_error() -> None:
    with (
        client(Script(httpx.Response(200, json={}))) as github,
        pytest.raises(GitHubUnavailable, match="no list"),
    ):
        list(organisation(github, "payments"))


def test_the_newest_commit_costs_one_request() -> None:
    script = Script(sha())
    with client(script) as github:
        assert head(github, "o/r") == SHA
    (request,) = script.requests
    assert request.url.path == "/api/v3/repos/o/r/commits/HEAD"
    assert request.headers["accept"] == "application/vnd.github.sha"
    assert "if-none-match" not in request.headers


def test_a_known_commit_is_asked_for_on_condition() -> None:
    script = Script(httpx.Response(304))
    with client(script) as github:
        assert head(github, "o/r", "release/1", known_sha=SHA) is None
    assert script.requests[0].headers["if-none-match"] == f'"{SHA}"'
    assert script.requests[0].url.raw_path == b"/api/v3/repos/o/r/commits/release/1"


def test_a_server_that_ignores_the_condition_changes_nothing() -> None:
    with client(Script(sha(f"{SHA}\n"))) as github:
        assert head(github, "o/r", known_sha=SHA) is None
        assert head(github, "o/r", known_sha="f" * 40) == SHA


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (said(409, "Git Repository is empty."), RepositoryEmpty),
        (said(409, "Conflict"), RepositoryEmpty),
        (said(404, "Not Found"), GitHubNotFound),
        (said(422, "No commit found for SHA: x"), GitHubNotFound),
        (said(403, "No"), GitHubRefused),
        (httpx.Response(200, text="<html>", headers={"content-type": "text/html"}), GitHubRefused),
        (httpx.Response(200, text="<!DOCTYPE html>", headers={"content-type": ""}), GitHubRefused),
        (sha("main"), GitHubUnavailable),
        (sha(SHA.upper()), GitHubUnavailable),
        (sha(f"{SHA}\n{SHA}"), GitHubUnavailable),
    ],
)
def test_a_commit_that_can_not_be_told(answer: httpx.Response, kind: type[Exception]) -> None:
    with client(Script(answer)) as github, pytest.raises(kind) as caught:
        head(github, "o/r", "x")
    assert type(caught.value) is kind


def test_what_can_be_no_ref_is_not_asked_for() -> None:
    script = Script(sha())
    with client(script) as github, pytest.raises(ConfigurationError):
        head(github, "o/r", "../../user")
    assert script.requests == []


def one(**changes: Any) -> Repository:
    return Repository.model_validate(
        {"full_name": "payments/infra-eu", "language": "HCL", "topics": ("terraform",), **changes}
    )


@pytest.mark.parametrize(
    ("rule", "repository", "wanted"),
    [
        ({}, one(), True),
        ({}, one(disabled=True), False),
        ({"archived": True}, one(disabled=True), False),
        ({}, one(archived=True), False),
        ({"archived": True}, one(archived=True), True),
        ({}, one(fork=True), False),
        ({"forks": True}, one(fork=True), True),
        ({}, one(full_name="other/infra-eu"), False),
        ({"org": "Payments"}, one(), True),
        ({"include": ("infra-*",)}, one(), True),
        ({"include": ("INFRA-*",)}, one(full_name="payments/Infra-EU"), True),
        ({"include": ("live-*",)}, one(), False),
        ({"include": ("live-*", "*-eu")}, one(), True),
        ({"exclude": ("*-eu",)}, one(), False),
        ({"include": ("infra-*",), "exclude": ("*-eu",)}, one(), False),
        ({"include": ("payments/infra-*",)}, one(), True),
        ({"include": ("other/infra-*",)}, one(), False),
        ({"topics": ("Terraform", "x")}, one(), True),
        ({"topics": ("x",)}, one(), False),
        ({"topics": ("x",)}, one(topics=()), False),
        ({"languages": ("hcl",)}, one(), True),
        ({"languages": ("Go",)}, one(), False),
        ({"languages": ("Go",)}, one(language=None), False),
        ({"org": None, "repo": "Payments/Infra-EU"}, one(fork=True), True),
        ({"org": None, "repo": "payments/infra-eu"}, one(archived=True), False),
        ({"org": None, "repo": "payments/other"}, one(), False),
    ],
)
def test_a_rule_selects(rule: dict[str, Any], repository: Repository, wanted: bool) -> None:
    full = RepositoryRule.model_validate({"org": "payments", **rule})
    assert selects(full, repository) is wanted
