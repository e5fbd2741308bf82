"""Tokens of a GitHub App, and who asks for them."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr

from driftfleet.errors import ConfigurationError, CredentialsRefused
from driftfleet.github.auth import AppCredentials, sign
from driftfleet.github.lockout import Lockout
from driftfleet.secrets import open_secret
from driftfleet.settings import GitHubApp
from tests.scripted import Clock, Script, chain, client, said

NOW = 1_700_000_000.0
APP = GitHubApp(id=12, installation=34, private_key="env://KEY")


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Server:
    """Exchanges claims for tokens that it numbers."""

    def __init__(self, expires: Callable[[], object] = lambda: "2023-11-14T23:13:20Z") -> None:
        self.claims: list[str] = []
        self.expires = expires
        self.paths: list[str] = []

    def __call__(self, path: str, claim: SecretStr) -> object:
        self.paths.append(path)
        self.claims.append(claim.get_secret_value())
        return {"token": f"ghs_{len(self.claims)}", "expires_at": self.expires()}


def credentials(
    key: rsa.RSAPrivateKey, exchange: Callable[[str, SecretStr], object], clock: Clock
) -> AppCredentials:
    secret = open_secret("env://KEY", {"KEY": pem(key)})
    return AppCredentials(APP, secret, exchange, now=clock)


def now() -> Clock:
    clock = Clock()
    clock.time = NOW
    return clock


def test_the_claim_is_what_github_asks_for(key: rsa.RSAPrivateKey) -> None:
    claim = sign(APP, SecretStr(pem(key)), NOW).get_secret_value()
    claims = jwt.decode(
        claim, key.public_key(), algorithms=["RS256"], options={"verify_exp": False}
    )
    assert jwt.get_unverified_header(claim)["alg"] == "RS256"
    assert claims["iss"] == "12"
    assert claims["iat"] == NOW - 60
    assert NOW < claims["exp"] < claims["iat"] + 600


def test_a_token_is_kept_until_five_minutes_before_its_end(key: rsa.RSAPrivateKey) -> None:
    clock, server = now(), Server()
    app = credentials(key, server, clock)
    assert app.token() == SecretStr("ghs_1")
    clock.time = NOW + 3600 - 301
    assert app.token() == SecretStr("ghs_1")
    clock.time = NOW + 3600 - 299
    assert app.token() == SecretStr("ghs_2")
    assert server.paths == ["/app/installations/34/access_tokens"] * 2


@pytest.mark.parametrize("expires", ["soon", None, 17, "2023-11-14T22:13:20Z"])
def test_an_end_that_says_nothing_does_not_make_each_request_ask(
    key: rsa.RSAPrivateKey, expires: object
) -> None:
    server = Server(lambda: expires)
    app = credentials(key, server, now())
    assert app.token() == app.token() == SecretStr("ghs_1")


def test_renewing_asks_for_another(key: rsa.RSAPrivateKey) -> None:
    app = credentials(key, Server(), now())
    assert app.token() == SecretStr("ghs_1")
    assert app.renew()
    assert app.token() == SecretStr("ghs_2")
    assert not app.reread()


@pytest.mark.parametrize("answer", [[], {}, {"token": 1}, {"token": "two words"}, None])
def test_an_answer_without_a_token_is_an_error(key: rsa.RSAPrivateKey, answer: object) -> None:
    app = credentials(key, lambda path, claim: answer, now())
    with pytest.raises(ConfigurationError):
        app.token()


@pytest.mark.parametrize("kind", ["text", "elliptic", "public"])
def test_a_key_that_is_none_is_told_without_it(key: rsa.RSAPrivateKey, kind: str) -> None:
    wrong = {
        "text": "s3cr3t but no key",
        "elliptic": pem(ec.generate_private_key(ec.SECP256R1())),
        "public": key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    }[kind]
    with pytest.raises(ConfigurationError, match="private_key") as caught:
        sign(APP, SecretStr(wrong), NOW)
    assert len(chain(caught.value)) == 1
    assert wrong not in str(caught.value)


def app_client(script: Script, key: rsa.RSAPrivateKey, clock: Clock | None = None):  # type: ignore[no-untyped-def]
    return client(script, clock, token=None, app=APP, environment={"KEY": pem(key)})


def test_a_client_exchanges_once_and_asks_with_the_token(key: rsa.RSAPrivateKey) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            given = {"token": "ghs_x", "expires_at": "2999-01-01T00:00:00Z"}
            return httpx.Response(201, json=given)
        return httpx.Response(200, json={})

    script = Script(answer)
    with app_client(script, key) as github:
        github.get("/meta")
        github.get("/meta")
    assert [request.method for request in script.requests] == ["POST", "GET", "GET"]
    assert script.paths[0] == "/api/v3/app/installations/34/access_tokens"
    assert str(script.tokens[0]).startswith("Bearer eyJ")
    assert script.tokens[1:] == ["Bearer ghs_x"] * 2


def test_an_expired_installation_token_is_renewed_after_a_401(key: rsa.RSAPrivateKey) -> None:
    numbers = iter(range(10))
    good = {"token": "ghs_0"}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            good["token"] = f"ghs_{next(numbers)}"
            return httpx.Response(201, content=json.dumps(good).encode())
        accepted = request.headers["authorization"] == f"Bearer {good['token']}"
        return httpx.Response(200, json={}) if accepted else said(401, "Bad credentials")

    script = Script(answer)
    with app_client(script, key) as github:
        github.get("/meta")
        good["token"] = "revoked"
        assert github.get("/meta").status == 200
    assert [r.method for r in script.requests] == ["POST", "GET", "GET", "POST", "GET"]


def test_a_refused_claim_is_not_sent_again(key: rsa.RSAPrivateKey) -> None:
    script = Script(said(401, "A JSON web token could not be decoded"))
    with app_client(script, key) as github:
        for _ in range(3):
            with pytest.raises(CredentialsRefused, match="could not be decoded"):
                github.get("/meta")
    assert len(script.requests) == 1


def test_a_refused_claim_is_sent_by_no_other_process_either(
    key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    script = Script(said(401, "A JSON web token could not be decoded"))
    for _ in range(3):
        github = client(
            script, token=None, app=APP, environment={"KEY": pem(key)}, lockout=Lockout(tmp_path)
        )
        with github, pytest.raises(CredentialsRefused):
            github.get("/meta")
    assert len(script.requests) == 1


def test_an_installation_that_is_not_there_names_itself(key: rsa.RSAPrivateKey) -> None:
    script = Script(said(404, "Not Found"))
    with (
        app_client(script, key) as github,
        pytest.raises(ConfigurationError, match="installation 34 of GitHub App 12"),
    ):
        github.get("/meta")
