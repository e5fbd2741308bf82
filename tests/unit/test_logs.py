"""Secrets in text that leaves the process."""

import time

import pytest

from driftfleet.redaction.names import secrets_in
from driftfleet.redaction.redactor import Redactor

KEY = "AKIA" + "ABCDEFGHIJKLMNOP"
SECRETS = [
    f"the key {KEY} is not valid",
    "clone https://bot:s3cr3t-t0ken@git.example.com/x.git failed",
    "redis://:s3cr3t-t0ken@host:6379/0 refused",
    "password = s3cr3t-t0ken",
    'api_key: "s3cr3t-t0ken"',
    "token=s3cr3t-t0ken&x=1",
    "-----BEGIN RSA PRIVATE KEY-----\ns3cr3t-t0ken\n-----END RSA PRIVATE KEY-----",
    "bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.s3cr3t-t0ken",
    "is-eyJ-eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.s3cr3t-t0ken",
    "of.something-long.eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.s3cr3t-t0ken",
    "ghp_" + "a1B2" * 9,
]


@pytest.mark.parametrize("text", SECRETS)
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    masked = Redactor()(text)
    assert "***" in masked
    assert not [part for part in ("s3cr3t", KEY, "a1B2a1B2") if part in masked]


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:iam::123456789012:role/reader",
        "module.vpc.aws_subnet.private[2]",
        "git::https://git.example.com/modules/vpc.git?ref=v1.2.3",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "h1:Ly1nJp2DvN6KJ3AbcUmwtPmLfjQ=",
        "main.tf:12: Missing required argument",
        "http://127.0.0.1:1/state",
        "github.token is kept in env://GITHUB_TOKEN, and the variable GITHUB_TOKEN is not set",
        "github.token is kept in secretsmanager://driftfleet#token, which is not there",
    ],
)
def test_innocent_text_stays_as_it_is(text: str) -> None:
    assert Redactor()(text) == text


def test_known_secrets_are_masked_wherever_they_stand_the_longest_first() -> None:
    redact = Redactor(["abcdef", "abcdef-and-more"])
    assert redact("x=abcdef-and-more, y=abcdef") == "x=***, y=***"


def test_a_short_value_is_no_secret_that_could_mask_half_a_text() -> None:
    assert Redactor(["a"])("banana") == "banana"


def test_secrets_are_found_by_the_names_of_variables() -> None:
    environment = {
        "AWS_SECRET_ACCESS_KEY": "value-one",
        "TF_VAR_db_password": "value-two",
        "DRIFTFLEET_GITHUB_TOKEN": "value-three",
        "AWS_SESSION_TOKEN": "/starts-like-a-path",
        "USE_TOKEN": "true",
        "DRIFTFLEET_BROKER__URL": "redis://:value-four@host:6379/0",
        "AWS_REGION": "eu-west-1",
        "AWS_SHARED_CREDENTIALS_FILE": "/etc/credentials",
    }
    assert secrets_in(environment) == [
        "value-one", "value-two", "value-three", "/starts-like-a-path", "value-four",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "eyJ-" * 100_000,
        "eyJ-" * 100_000 + ".payload.",
        "eyJ-" * 100_000 + ".long-enough",
        "eyJ-long-enough." + "eyJ-" * 100_000,
        "token " * 70_000,
        "://a:" * 80_000,
        "-----BEGIN PRIVATE KEY-----" * 15_000,
    ],
    ids=lambda text: text[:24],
)
def test_a_hostile_text_takes_linear_time(text: str) -> None:
    started = time.process_time()
    Redactor()(text)
    assert time.process_time() - started < 5


def test_the_place_of_a_secret_is_none() -> None:
    places = ("env://GITHUB_TOKEN", "file:///run/secrets/x", "secretsmanager://driftfleet#token")
    assert secrets_in({f"DRIFTFLEET_GITHUB__TOKEN_{n}": p for n, p in enumerate(places)}) == []
    assert secrets_in({"A_TOKEN": "https://is-this-one"}) == ["https://is-this-one"]
