"""Secrets of every kind, made at run time: none of a real form is written down anywhere here."""

import base64
import json
import random
import string
from collections.abc import Callable

Make = Callable[[random.Random], str]

LETTERS = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
WEB = LETTERS + "-_"
BASE = LETTERS + "+/"


def some(alphabet: str, length: int, before: str = "", after: str = "") -> Make:
    return lambda rng: before + "".join(rng.choices(alphabet, k=length)) + after


def joined(*parts: Make | str) -> Make:
    return lambda rng: "".join(p if isinstance(p, str) else p(rng) for p in parts)


def uuid(rng: random.Random) -> str:
    return "-".join(some(HEX, n)(rng) for n in (8, 4, 4, 4, 12))


def password(rng: random.Random) -> str:
    """As people and generators make them, with what ends a careless pattern too early."""
    length = rng.choice((9, 12, 16, 20))
    inner = "".join(rng.choices(LETTERS + "!@#%^*-_+?~", k=length - 2))
    return rng.choice(string.ascii_letters) + inner + rng.choice(string.digits)


def odd_password(rng: random.Random) -> str:
    """With signs that separate things elsewhere."""
    words = ["".join(rng.choices(LOWER, k=6)) for _ in range(3)]
    return rng.choice((",", ";", "'", " ", "&", ")", "=", ":")).join(words)


def passphrase(rng: random.Random) -> str:
    return " ".join("".join(rng.choices(string.ascii_lowercase, k=7)) for _ in range(4))


def base64_of(make: Make) -> Make:
    return lambda rng: base64.b64encode(make(rng).encode()).decode()


def jwt(rng: random.Random) -> str:
    def part(tree: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(tree).encode()).decode().rstrip("=")

    head = part({"alg": "RS256", "kid": some(HEX, 16)(rng)})
    return f"{head}.{part({'sub': some(LOWER, 20)(rng)})}.{some(WEB, 86)(rng)}"


def armoured(kind: str, lines: int = 6, width: int = 64) -> Make:
    def make(rng: random.Random) -> str:
        body = [some(BASE, width)(rng) for _ in range(lines)]
        return "\n".join([f"-----BEGIN {kind}-----", *body, f"-----END {kind}-----"])

    return make


def cut(make: Make, lines: int) -> Make:
    """The beginning of a block that goes on."""
    return lambda rng: "\n".join(make(rng).split("\n")[:lines])


MAKERS: dict[str, Make] = {
    "password": password,
    "odd_password": odd_password,
    "passphrase": passphrase,
    "aws_key_id": some(UPPER, 16, "AKIA"),
    "aws_temporary_key_id": some(UPPER, 16, "ASIA"),
    "aws_secret_key": some(BASE, 40),
    "aws_session_token": joined("IQoJb3JpZ2lu", some(BASE, 300), "=="),
    "aws_signature": some(HEX, 64),
    "gcp_api_key": some(WEB, 35, "AIza"),
    "gcp_oauth": some(WEB, 120, "ya29."),
    "gcp_client_secret": some(WEB, 28, "GOCSPX-"),
    "gcp_key_id": some(HEX, 40),
    "azure_client_secret": joined(some(LETTERS, 3), "8Q~", some(LETTERS + "~._-", 34)),
    "azure_storage_key": some(BASE, 86, after="=="),
    "azure_sas": joined(some(BASE, 43), "%3D"),
    "azure_shared_key": some(BASE, 43, after="="),
    "github_classic": some(LETTERS, 36, "ghp_"),
    "github_oauth": some(LETTERS, 36, "gho_"),
    "github_app": some(LETTERS, 36, "ghs_"),
    "github_app_long": lambda rng: "ghs_" + jwt(rng),
    "github_fine": joined("github_pat_", some(LETTERS, 22), "_", some(LETTERS, 59)),
    "gitlab": some(WEB, 20, "glpat-"),
    "gitlab_runner": some(WEB, 20, "glrt-"),
    "gitlab_deploy": some(WEB, 20, "gldt-"),
    "slack": joined("xoxb-", some(string.digits, 12), "-", some(LETTERS, 24)),
    "slack_user": joined("xoxp-", some(string.digits, 12), "-", some(HEX, 32)),
    "slack_hook": joined("T", some(UPPER, 8), "/B", some(UPPER, 8), "/", some(LETTERS, 24)),
    "discord_hook": joined(some(string.digits, 18), "/", some(WEB, 68)),
    "stripe": some(LETTERS, 24, "sk_live_"),
    "sendgrid": joined("SG.", some(WEB, 22), ".", some(WEB, 43)),
    "npm": some(LETTERS, 36, "npm_"),
    "pypi": joined("pypi-AgEIcHlwaS5vcmc", some(WEB, 80)),
    "docker_pat": some(WEB, 27, "dckr_pat_"),
    "docker_auth": base64_of(joined(some(LOWER, 8), ":", password)),
    "datadog_api": some(HEX, 32),
    "datadog_app": some(HEX, 40),
    "vault": some(WEB, 90, "hvs."),
    "vault_batch": some(WEB, 140, "hvb."),
    "vault_old": some(LETTERS, 24, "s."),
    "vault_secret_id": uuid,
    "terraform_cloud": joined(some(LETTERS, 14), ".atlasv1.", some(WEB, 67)),
    "jwt": jwt,
    "basic": base64_of(joined(some(LOWER, 8), ":", password)),
    "opaque": some(WEB, 43),
    "opaque_hex": some(HEX, 64),
    "databricks": some(HEX, 32, "dapi"),
    "digitalocean": some(HEX, 64, "dop_v1_"),
    "newrelic": some(UPPER, 27, "NRAK-"),
    "grafana": joined("glsa_", some(LETTERS, 32), "_", some(HEX, 8)),
    "pulumi": some(HEX, 40, "pul-"),
    "openai": joined("sk-", "proj-", some(WEB, 48)),
    "twilio": some(HEX, 32, "SK"),
    "cloudflare": some(WEB, 40),
    "okta": some(WEB, 40, "00"),
    "bcrypt": joined("$2y$10$", some(LETTERS + "./", 53)),
    "sha512_crypt": joined("$6$", some(LETTERS, 16), "$", some(LETTERS + "./", 86)),
    "argon2": joined("$argon2id$v=19$m=65536,t=3,p=4$", some(BASE, 22), "$", some(BASE, 43)),
    "apr1": joined("$apr1$", some(LETTERS, 8), "$", some(LETTERS + "./", 22)),
    "age": some("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58, "AGE-SECRET-KEY-1"),
    "wireguard": some(BASE, 43, after="="),
    "rsa_key": armoured("RSA PRIVATE KEY"),
    "pkcs8_key": armoured("PRIVATE KEY"),
    "encrypted_key": armoured("ENCRYPTED PRIVATE KEY"),
    "ec_key": armoured("EC PRIVATE KEY", 3),
    "openssh_key": armoured("OPENSSH PRIVATE KEY", 5, 70),
    "pgp_key": armoured("PGP PRIVATE KEY BLOCK"),
    "cut_key": cut(armoured("RSA PRIVATE KEY"), 4),
    "encoded_key": base64_of(armoured("RSA PRIVATE KEY", 3)),
}


def make(kind: str, seed: str) -> str:
    """A secret of that kind: the same for the same seed, on every machine."""
    return MAKERS[kind](random.Random(f"{kind} {seed}"))
