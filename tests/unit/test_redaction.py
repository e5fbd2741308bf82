"""The redactor, measured: what comes through of planted secrets, what is altered besides."""

import base64
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftfleet.redaction.redactor import Redactor, distinct
from tests.redaction.innocents import documented, recorded_messages, templated
from tests.redaction.making import MAKERS, make
from tests.redaction.planted import Planted, boxed, leaked, line_of_json, recorded, written

REDACT = Redactor()
PLANTED = [*written(), *recorded()]
# Written after the patterns, without a look at them: see docs/redaction.md.
LATER = ("heldout", "later", "third")
HELD_OUT = [error for name in LATER for error in written(f"{name}_errors.txt")]
LEAST_SECRETS, LEAST_INNOCENT, MOST_ALTERED = 250, 600, 0.01

# What a careless pattern needs the square of its length for. Repeated, each is a hostile text.
HOSTILE = (
    "eyJ-", "eyJ-.", "token", " token ", "token=", 'token="', "token='", 'password=\\"', "a'",
    "password: ", "password=[", 'password={"', "password=['a',", 'password=["a" ', "password=[[[",
    "://a:", "://a:b@", "://@", "://", "@tcp(", "a@tcp(", "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----", "-----BEGIN ", "PRIVATE KEY ", "A", "a", "a.", "0", "=", "a=",
    "a-", "AKIA", "sk-", "hvs.", "$6$", "MIIEIBAA", "MIIEpAIBAAKCAQEA" + "A" * 40 + "\n",
    "LS0tLS1CRUdJTi", "a" * 13 + ".atlasv1.", "1Q~", "%3A%2F%2F", "%3A%2F%2Fa", "arn:aws:s3:::",
    "arn:aws:", '"', "\\", '\\"', "'", "\n", "│ ", "\x1b[", "\x1b[1m", "<<A\n", "password=<<A\n",
    "password=<<A", 'password = "a" -> ', "Authorization: ", "Cookie: a=", "Cookie: ", "Basic ",
    "Bearer a", " -u a:", "?token=a&", "?key=", "&sig=", "A1b2C3d4E5f6G7h8J9k0 ",
    "token A1b2C3d4E5f6G7h8J9k0 ", "password is ", "secret_id=", "x=A1b2C3d4E5f6G7h8J9k0L1\n",
    "api key ", 'password: was cty.A("a"), but now ', "password=a,", "password=a;b;", "password=)",
    "password=`", "<token>", "xoxb-", "PuTTY-User-Key-File-2", "_", "-_", "/", "a/", "token/",
    "token:a/", 'password="\\', 'secret"\n', "password='a'a'a'", "abcabc", "abcabc\n",
    "password got a1 ",
    "chpasswd a:b12345\n", "mysql ", "name=password,value=", "name: ", "a:12345:b:c:",
    "password={a", "AK" + "IA" + "A" * 16, "Signature=", "connection string=",
    "sqlcmd -S x ", "password ",
)  # fmt: skip


def missed(
    planted: Iterable[Planted], redact: Callable[[str], str] = REDACT
) -> tuple[int, list[str]]:
    """How many secrets were planted, and which came through, with what of them."""
    number, found = 0, []
    for error in planted:
        shown = redact(error.text)
        for kind, secret in error.secrets:
            number += 1
            if part := leaked(shown, secret, error.around):
                found.append(f"{kind} in {error.name}: {part!r}")
    return number, found


def altered(lines: Iterable[str]) -> tuple[int, list[str]]:
    """How many lines there are, and those that don't stay as they are."""
    every = list(lines)
    return len(every), [f"{line!r} -> {REDACT(line)!r}" for line in every if REDACT(line) != line]


def test_no_planted_secret_comes_through() -> None:
    number, found = missed(PLANTED)
    print(f"{number} secrets of {len({k for p in PLANTED for k, _ in p.secrets})} kinds planted")
    assert number >= LEAST_SECRETS
    assert not found, Counter(line.split(" ")[0] for line in found)


def test_no_secret_of_those_that_were_written_later_comes_through() -> None:
    number, found = missed(HELD_OUT)
    assert number >= 500
    assert not found


def test_every_kind_is_planted() -> None:
    assert {kind for error in PLANTED for kind, _ in error.secrets} == MAKERS.keys()


def test_the_corpus_would_tell_of_a_secret() -> None:
    number, found = missed(PLANTED, lambda text: text)
    assert len(found) == number


def written_later() -> Iterable[str]:
    return chain.from_iterable(templated(f"{name}_innocent.txt", 1) for name in LATER)


@pytest.mark.parametrize("source", [templated, written_later, recorded_messages, documented])
def test_innocent_lines_stay_as_they_are(source: Callable[[], Iterable[str]]) -> None:
    number, changed = altered(source())
    print(f"{len(changed)} of {number} innocent lines altered")
    assert len(changed) <= number * MOST_ALTERED, "\n".join(changed)


def test_there_are_enough_innocent_lines() -> None:
    assert len(set(templated())) >= LEAST_INNOCENT


@pytest.mark.parametrize("error", PLANTED[::7], ids=lambda e: e.name)
def test_what_is_masked_stays_as_it_is(error: Planted) -> None:
    assert REDACT(REDACT(error.text)) == REDACT(error.text)


@given(st.text(alphabet="password=:\"\\ \n│@/,;[]{}aB3'&-.<>*", max_size=120))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_masked_once(text: str) -> None:
    shown = REDACT(text)
    assert REDACT(shown) == shown


@pytest.mark.parametrize("atom", HOSTILE, ids=repr)
def test_a_hostile_text_takes_time_by_its_length(atom: str) -> None:
    redact = Redactor(["abcabc" * 5_000 + "d", "a" * 5_000 + "b"])

    def seconds(length: int) -> float:
        text = atom * (length // len(atom))
        started = time.process_time()
        redact(text)
        return time.process_time() - started

    # The square would be four times as much, and far more than the constant, each time; what else
    # the machine does is not.
    assert any(seconds(20_000) < 3 * seconds(10_000) + 0.06 for _ in range(4))


SECRETS = [make(kind, "known") for kind in ("password", "odd_password", "opaque", "aws_secret_key")]


@pytest.mark.parametrize("secret", [*SECRETS, 'a"b\\c$${d}&<é>%x', "pass with  blanks"])
def test_a_known_secret_is_found_in_every_form(secret: str) -> None:
    redact = Redactor([secret])
    hcl = json.dumps(secret, ensure_ascii=False).replace("${", "$${")
    forms = [
        secret,
        json.dumps(secret),
        json.dumps(json.dumps(secret)),
        hcl,
        quote(secret, safe=""),
        quote(secret, safe="").lower() if secret.islower() else quote(secret),
        base64.b64encode(secret.encode()).decode(),
        base64.b64encode(f"user:{secret}".encode()).decode(),
        base64.urlsafe_b64encode(f"x{secret}y".encode()).decode(),
        secret.encode().hex(),
        json.dumps(secret).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
    ]
    for form in forms:
        shown = redact(f"it was {form} there")
        assert "***" in shown
        assert not leaked(shown, secret), form


def test_a_known_secret_of_several_words_is_found_where_terraform_wraps_it() -> None:
    secret = make("passphrase", "wrapped")
    text = boxed(f"Error: {'the provider said that ' * 2}{secret} is nothing it knows")
    assert secret not in text
    assert not leaked(Redactor([secret])(text), secret)


def test_the_lines_of_a_known_secret_are_secrets_and_what_is_in_its_json() -> None:
    key = make("rsa_key", "lines").replace("RSA PRIVATE KEY", "THING")
    line = key.split("\n")[3]
    assert Redactor([key])(f"could not read {line}") == "could not read ***"
    credentials = json.dumps({"type": "service_account", "private_key_id": "abc-def-123"})
    assert Redactor([credentials])("key abc-def-123 of service_account") == (
        "key *** of service_account"
    )


def test_a_word_is_a_secret_only_where_it_stands_alone() -> None:
    redact = Redactor(["postgres"])
    assert redact('postgresql_role.x: "postgres" is no password') == (
        'postgresql_role.x: "***" is no password'
    )


def test_what_a_name_calls_a_secret_is_masked_all_over_the_text() -> None:
    shown = REDACT('password = "f8Zq-one-two" and later: f8Zq-one-two was refused')
    assert shown == 'password = "***" and later: *** was refused'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('password = "a, b; c\' d"', 'password = "***"'),
        ("Password=a;b&c!1;User Id=3", "Password=***;User Id=3"),
        ('~ password = "old one" -> "new one"', '~ password = "***" -> "***"'),
        ('{\\"password\\":\\"a\\\\\\"b c\\",\\"x\\":1}', '{\\"password\\":\\"***\\",\\"x\\":1}'),
        ("postgres://u:p@ss/w@h/db", "postgres://***@h/db"),
        ("git::ssh://git@github.com/x/y.git", "git::ssh://git@github.com/x/y.git"),
        ("https://github.com/a/b.git@v1", "https://github.com/a/b.git@v1"),
        ("password: |\n  swordfish", "password: |\n  ***"),
        ("password: swordfish\n", "password: ***\n"),
        ("bad password: swordfish is too short", "bad password: swordfish is too short"),
        ('tokens = { a = "one-1", b = "two-2" }', 'tokens = { a = "***", b = "***" }'),
    ],
)
def test_a_value_is_masked_from_its_beginning_to_its_end(text: str, shown: str) -> None:
    assert REDACT(text) == shown


def test_two_addresses_that_differ_in_a_secret_still_differ() -> None:
    key, other = make("aws_key_id", "one"), make("aws_key_id", "two")
    given = [f'aws_iam_user.u["{key}"]', f'aws_iam_user.u["{other}"]', "aws_iam_user.x"]
    shown = distinct(given, REDACT)
    assert sorted(shown.values()) == [
        'aws_iam_user.u["***1"]',
        'aws_iam_user.u["***2"]',
        "aws_iam_user.x",
    ]
    assert distinct(reversed(given), REDACT) == shown


def test_a_line_of_json_stays_one() -> None:
    for error in PLANTED:
        if error.name.endswith(line_of_json.__name__):
            json.loads(REDACT(error.text))
