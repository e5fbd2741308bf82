"""Names that say that a value is a secret: of variables, arguments, fields and headers."""

import os
import re
from collections.abc import Mapping
from urllib.parse import unquote

_SECRET_NAME = re.compile(
    r"SECRET|TOKEN|PASSW|PWD|PASSPHRASE|CREDENTIAL|PRIVATE|_KEY$|(?:^|_)SAS(?:_|$)|APIKEY|_PSK$"
    r"|CONNECTION_?STRING|WEBHOOK|(?:^|_)DSN$|COOKIE|_AUTH$|BEARER|(?:^|_)PAT$",
    re.I,
)
_PATH_NAME = re.compile(r"_(FILE|DIR|PATH|URI|URL)$", re.I)
_URL_PASSWORD = re.compile(r"^\"?[\w+.-]+://[^/\s@:]*:([^/\s@]+)@")

# Words of which one makes a name secret; what follows in the name may take that back.
WORDS = (
    r"passw(?:or)?d|passwort|passphrase|passwd|(?<![a-z])pwd"
    r"|(?<![a-z])pass(?![a-z])|(?<![a-z])pw(?![a-z])"
    r"|(?:store|key)pass(?![a-z])|auth[ _-]?key|secret|token|api[ _-]?key"
    r"|private[ _-]?key|access[ _-]?key|account[ _-]?key|signing[ _-]?key"
    r"|shared[ _-]?access[ _-]?(?:key|signature)"
    r"|encryption[ _-]?key|storage[ _-]?key|master[ _-]?key|license[ _-]?key|application[ _-]?key"
    r"|art[_-]api(?![a-z])|(?:recovery|integration|routing|instrumentation|activation)[ _-]?key"
    r"|(?:primary|secondary|service|server|session|function|host|ingestion|dd[_-]api|app)[ _-]key"
    r"|credential|connection[ _-]?string|pre[ _-]?shared[ _-]?key|(?<![a-z])psk(?![a-z])"
    r"|(?<![a-z])authorization|cookie|(?<![\w.-])auth(?=[\\\"' ]{0,4}[:=])|webhook[ _-]?url"
    r"|(?<![a-z])dsn(?![a-z])|unseal[ _-]?key|(?<![a-z])identified[ ]by|client-key-data"
    r"|(?<![a-z])_?authToken|(?<![a-z])pat(?=[\\\"' ]{0,4}=)|sas[_-]url|(?<![a-z])bearer(?![a-z])"
)
# `secret_name`, `token_ttl`, `password_length`: they tell of the secret, and are none.
_ABOUT = re.compile(
    r"(?:.*[_\-\s.]|)(?:arns?|names?|path|paths|file|files|dir|folder|ur[li]s?|endpoint|version"
    r"|versions|length|size|policy|policies|ttl|type|types|count|enabled|disabled|expir\w*|rotat\w*"
    r"|age|days|hours|minutes|seconds|period|interval|prefix|suffix|required|needed|min\w*|max\w*"
    r"|reset\w*|audience|issuer|algorithm|manager|source|format|method|mode|status|state|scopes?"
    r"|permissions?|recovery\w*|engine|backend|provider|store|ref|reference|last\w*|created\w*"
    r"|updated\w*|change\w*|lifetime|duration|hint|lookup|exists|service|region|account|host|user"
    r"|username|accessor|id|ids|key_?id|uses|units?|validity\w*|num\w*|wrapped|wo_version|owner|role|roles|generation|not|was|is|and)",
    re.I,
)
# Those name other things as often: a table's key, an application's.
_WEAK = re.compile(
    r"(?:primary|secondary|service|server|session|function|host|app|application|recovery|routing"
    r"|integration|instrumentation|activation)\W?",
    re.I,
)
# Those are secret all the same: the name that comes before says so.
_NOT_ABOUT = re.compile(r"webhook[ _-]?url|sas[_-]url|connection[ _-]?string", re.I)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def is_about(word: str, rest: str) -> bool:
    """Whether a name only tells of a secret: ``word`` made it one, ``rest`` follows in it."""
    tail = _CAMEL.sub("_", rest.removeprefix("s") or "").strip("_-. \t")
    if not tail or _NOT_ABOUT.fullmatch(word):
        return False
    return _ABOUT.fullmatch(tail) is not None


def is_weak(word: str) -> bool:
    """Whether a name is as often that of something else: then the value has to look like it."""
    return _WEAK.match(word) is not None


def is_secret_name(name: str) -> bool:
    """Whether a variable of that name holds a secret."""
    return _SECRET_NAME.search(name) is not None and _PATH_NAME.search(name) is None


def secrets_in(environment: Mapping[str, str]) -> list[str]:
    """The values of variables whose names say so, and the passwords in those that are URLs.

    These as they are there and as they are meant.
    """
    named = [
        value
        for name, value in environment.items()
        if is_secret_name(name) and not _is_harmless(value)
    ]
    found = (_URL_PASSWORD.search(value) for value in environment.values())
    passwords = [match[1] for match in found if match]
    return named + [form for one in passwords for form in dict.fromkeys((one, unquote(one)))]


def _is_harmless(value: str) -> bool:
    """Paths of files, places of secrets and switches: masked, they make errors unreadable."""
    place = value.startswith(("env://", "file://", "secretsmanager://"))
    return place or value.lower() in ("true", "false") or os.path.exists(value)
