"""What looks as if a machine had drawn it by lot: a token, and no name, path, hash or id."""

import re
from collections.abc import Iterator
from itertools import pairwise

from driftfleet.redaction.spans import Span

_SHORTEST_RUN = 16
_LONGEST_JUDGED = 512
_CLASSES = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "a" * 26 + "A" * 26 + "0" * 10,
)
_HEX = re.compile(r"(?:[A-Z]{2})?[0-9a-f]+|[0-9A-F]+")

# `name = value` with any name. Each run of characters is looked at once, from its beginning.
_ASSIGNMENT = re.compile(
    r"(?<![\w.-])(?P<name>[\w.-]++)[\"'\]\\]{0,3}[ \t]{0,8}(?:=>|:=|[=:])[ \t]{0,8}[\"'\\]{0,3}"
    r"(?P<value>[A-Za-z0-9+/_=~.-]{20,}+)"
)
# Those are told to people: hashes, ids, versions, places, and what is public of a key.
_OPEN_NAME = re.compile(
    r"(?:\w{0,20}sha[0-9]{0,3}|\w{0,20}md5|x-amz-(?:id-2|cf-id)|hash|digest|checksum|integrity|etag|commit|revision|rev|ref|image|ami"
    r"|fingerprint|thumbprint|serial\w*|lineage|h1|zh|version\w*|source\w*|src|arns?|ur[li]s?|path"
    r"|paths|file|filename|dir|folder|name|names|cidr\w*|time\w*|zone|domain|host|hostname"
    r"|endpoint|dns\w*|cert|certs|certificate\w*|chain|ca|ca_data|pub|pubkey|public\w*|ids?"
    r"|identifier|identity|uid|uuid|guid|address|module|provider|resource|type|constraint\w*"
    r"|bucket|key_?name|nonce|marker|cursor|page|next\w*|trace\w*|span\w*|request\w*|account\w*"
    r"|arch|package|release|tag|branch|user|role|policy|subnet|vpc|instance|cluster|group|label"
    r"|sha256sum|algorithm|user_data\w*|build|platform|requestid"
    r"|accessor|continuation\w*|challenge|lock\w*)",
    re.I,
)
# `sha256-...`, and what says itself that it is a hash.
_HASH_BEFORE = re.compile(r"(?:sha[0-9]{1,3}|md5|h1|zh)[-:=]$", re.I)
# A token in a sentence: only such words before it tell it from the id of a request.
_CANDIDATE = re.compile(r"(?<![A-Za-z0-9+/_=~.-])[A-Za-z0-9+/_~.-]{16,}+={0,2}")
_TELLING = re.compile(
    r"(?<!/)(?:secret|passw|pwd|passphrase|token|credential|bearer|unseal|psk\b"
    r"|(?:api|access|auth)[ _-]?key"
    r"|(?:private|account|signing|encryption|shared|license|storage|master|unseal)[ _-]?key|cookie"
    r"|authorization)(?!\w*[/.-]\w)",
    re.I,
)
# What stands between, and says that the candidate is something else.
_OTHERWISE = re.compile(
    r"(?:request|host|correlation|trace|operation|client|tenant|object|account|principal|accessor"
    r"|application|key|version|subscription|policy|role|user|session)[ _-]?(?:id|name)s?\b"
    r"|\barn:|://|fingerprint|thumbprint|sha[0-9]{1,3}|digest|checksum|commit|image|public|etag"
    r"|serial|x-amz-id|region|hash|version|branch|refs/",
    re.I,
)
_PREFIX = re.compile(r"^[a-z]{2,8}[_-]")
_LONG = 32
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-")
# What stands right before it says what it is, or it is a part of a place or of an id.
_PUBLIC = re.compile(
    r"(?:[/:@]|arn:\S*|(?:ssh-(?:rsa|dss|ed25519)|ecdsa-[\w-]{1,40}|sk-[\w@.-]{1,40}"
    r"|x-amz-(?:id-2|cf-id)|(?:\b|_|[a-z0-9])id|\w*(?:hash|digest|checksum|sum|md5|sha[0-9]{1,3})"
    r"|etag|fingerprint|serial|commit|nonce|marker|cursor|certificate[\w -]{0,20}|cert|ca"
    r"|public[ _-]?key\w*|host|name|source|integrity|client|entity|lease|resource|object|instance"
    r"|user|group|account|project|version|image|layer|key ring)"
    r"[\"'\\]{0,3}\s{0,4}[=:]?>?\s{0,4}[\"'\\({\[]{0,3}"
    r"|(?:hash|digest|sum|etag|_id)\W{1,12}[\w+/=-]{16,100}\W{0,4}->[\s\"'\\]{1,6})$",
    re.I,
)
# Certificates and public keys, by what DER makes of their beginning.
_PUBLIC_DER = re.compile(
    r"MII[A-Z][A-Za-z0-9+/]{2}(?:CC|AN|gK)|LS0tLS1CRUdJTiB(?:DRVJ|QVUJM)|AAAA[BCE]"
    r"|(?:sha[0-9]{1,3}|md5|h1|zh)[-:=]"
)
_CERTIFICATE, _CERTIFICATE_REACH = "BEGIN CERTIFICATE", 8_000
_REACH = 60


def looks_random(value: str) -> bool:
    """Whether characters follow each other without rule. Hashes and UUIDs do not count."""
    core = value[:_LONGEST_JUDGED].strip("=")
    run = max(re.split(r"[-._/~=]", core), key=len)
    if len(run) < _SHORTEST_RUN and len(core) >= _LONG and not _UUID.search(core):
        # Drawn from letters, digits and signs, and torn by the signs.
        run = re.sub(r"[-_]", "", core)
        return _is_mixed(run) and _changes(run) >= 0.5
    if len(run) < _SHORTEST_RUN or _HEX.fullmatch(run):
        return False
    kinds = run.translate(_CLASSES)
    changes = _changes(run)
    upper, lower, digits = (kinds.count(kind) for kind in "Aa0")
    if len(set(run)) < _SHORTEST_RUN * 5 // 8:
        return False
    if upper and lower:
        # Words in CamelCase change twice a word, which is below.
        return changes >= (0.36 if digits else 0.42)
    return len(run) >= 24 and digits >= len(run) * 0.12 and changes >= 0.27


def _changes(run: str) -> float:
    """How often letters, capitals and digits take turns, of how often they could."""
    kinds = run.translate(_CLASSES)
    return sum(a != b for a, b in pairwise(kinds)) / (len(kinds) - 1) if len(run) > 1 else 0.0


def _is_mixed(run: str) -> bool:
    return all(kind in run.translate(_CLASSES) for kind in "Aa0")


def random_spans(text: str) -> Iterator[Span]:
    """Random values that something is set to, and those in sentences that speak of a secret."""
    for match in _ASSIGNMENT.finditer(text):
        if not _is_open(match["name"]) and looks_random(match["value"]):
            yield match.span("value")
    for match in _CANDIDATE.finditer(text):
        value, start = match.group(), match.start()
        told = _is_told(value) and _is_telling(text, start)
        if told or (_is_long_and_mixed(value) and not _is_known_public(text, start)):
            yield match.span()


def _is_open(name: str) -> bool:
    last = re.split(r"[._-]|(?<=[a-z0-9])(?=[A-Z])", name[-64:])[-1]
    return _OPEN_NAME.fullmatch(last) is not None or _OPEN_NAME.fullmatch(name[-64:]) is not None


def _is_told(value: str) -> bool:
    bare = _PREFIX.sub("", value.strip("=."))
    return looks_random(value) or (len(bare) >= 32 and _HEX.fullmatch(bare) is not None)


def _is_long_and_mixed(value: str) -> bool:
    """Whether it is a secret even where nothing tells of one: ids have one case, or a prefix."""
    core = value.strip("=")
    if len(core) < _LONG or "." in core or not _is_mixed(core):
        return False
    return looks_random(value) and not _PUBLIC_DER.match(core)


def _is_known_public(text: str, start: int) -> bool:
    before = text[max(0, start - 2 * _REACH) : start]
    if _PUBLIC.search(before) or _HASH_BEFORE.search(before):
        return True
    return text.rfind(_CERTIFICATE, max(0, start - _CERTIFICATE_REACH), start) >= 0


def _is_telling(text: str, start: int) -> bool:
    before = text[max(0, start - _REACH) : start]
    if _HASH_BEFORE.search(before):
        return False
    told = [match.end() for match in _TELLING.finditer(before)]
    return bool(told) and not _OTHERWISE.search(before, told[-1])
