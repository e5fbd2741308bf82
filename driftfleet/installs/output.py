"""What an installer printed, short and harmless enough for an error, and what to do about it."""

import re
from collections.abc import Iterable

from driftfleet.redaction.redactor import Redactor

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")
# curl draws its progress as bars of # and O, or as a table of numbers.
_PROGRESS = re.compile(
    r"[#=O\-\s]*(?:[0-9]{1,3}[.,][0-9]%)?\s*|[\s0-9:kMG.-]+|\s*% Total .*|\s*Dload .*"
)
_LINES = 12
_LINE_CHARACTERS = 300

# The first that fits. tfenv says "no versions matching" as well where it could not ask.
_REMEDIES = (
    (
        r"no space left|disk quota exceeded",
        "the disk is full: give installs.folder more room, or lower installs.limit_bytes",
    ),
    (
        r"could not resolve|failed to connect|couldn't connect|connection (?:refused|reset|timed)|"
        r"timed? ?out|no such host|no route to host|network is unreachable",
        "the releases could not be reached: set HTTPS_PROXY, or name an internal releases mirror "
        "with installs.remote",
    ),
    (
        r"certificate|\bssl\b|\btls\b",
        "name the certificates of your network with SSL_CERT_FILE or CURL_CA_BUNDLE",
    ),
    (
        r"error: 40[137]\b|unauthorized|forbidden|proxy authentication",
        "the releases mirror or a proxy wants credentials: installs.remote takes them as "
        "https://USER:PASSWORD@HOST, best in DRIFTFLEET_INSTALLS__REMOTE",
    ),
    (
        r"rate-limited by github",
        "GitHub lets nobody ask that often without a token: name a mirror with "
        "installs.tofu_remote, or try later",
    ),
    (
        r"failed to download remote versions",
        "installs.remote must name the folder that holds terraform/, with an index of versions",
    ),
    (
        r"no versions matching|searched asset not found|\b404\b",
        "the releases have no such version for this platform: see whether it exists",
    ),
    (
        r"hash does not match|checksum",
        "the archive is not what its SHA256SUMS says: something between here and the releases "
        "changes or truncates it",
    ),
    (
        # Not the mere word: without gpgv tfenv says that it checks no signature.
        r"signature (?:rejected|does not match)|invalid pgp|no valid pgp|cosign check failed",
        "nothing was installed, for the signature is not its publisher's: the releases mirror has "
        "signed it anew, or something between here and the releases changes them; find out which",
    ),
    (
        r"signature download failed",
        "nothing was installed, for nobody vouches for it; where the releases mirror is trusted "
        "and has no signatures: installs.verify_signatures: false",
    ),
    (
        r"command not found|: not found|no such file or directory",
        "the installer may need a program that is missing here: tfenv needs bash, curl, unzip, "
        "grep, sed and sha256sum",
    ),
)
# What trying again would not change.
_NO = re.compile(
    r"no versions matching|searched asset not found|pgp signature rejected|invalid pgp signature|"
    r"cosign check failed|hash does not match|invalid sha256 checksum",
    re.I,
)
_UNREACHED = re.compile(r"failed to download remote versions", re.I)


def readable(output: bytes, secrets: Iterable[str] = ()) -> str:
    """The last lines of an output, without colours, progress, repetitions and secrets."""
    # Before anything is cut or changed, or half a secret might stay.
    text = _mask(output.decode("utf-8", "replace"), secrets)
    lines: list[str] = []
    for line in re.split(r"[\r\n]+", _ESCAPES.sub("", text)):
        kept = "".join(c if c.isprintable() else " " for c in line).strip()[:_LINE_CHARACTERS]
        if kept and not _PROGRESS.fullmatch(kept) and kept not in lines[-1:]:
            lines.append(kept)
    shown = lines[-_LINES:]
    return "\n".join(f"  {line}" for line in shown) or "  (it printed nothing)"


def remedy(output: bytes) -> str:
    """What a person should do, by what the installer said."""
    text = output.decode("utf-8", "replace").lower()
    for pattern, words in _REMEDIES:
        if re.search(pattern, text):
            return words
    return "run it by hand with the same version to see more"


def says_no(output: bytes) -> bool:
    """Whether trying again would give the same answer: no such version, or nobody vouches."""
    text = output.decode("utf-8", "replace")
    return bool(_NO.search(text)) and not _UNREACHED.search(text)


def _mask(text: str, secrets: Iterable[str]) -> str:
    secrets = tuple(secrets)
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return Redactor(secrets)(text)
