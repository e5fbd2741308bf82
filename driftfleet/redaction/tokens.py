"""Tokens that say by their form what they are, wherever they stand.

The forms are those that gitleaks knows of the services that people run terraform against, with
less said about lengths: those change, and what is cut off is a secret too.
"""

import re
from collections.abc import Iterator

from driftfleet.redaction.randomness import looks_random
from driftfleet.redaction.spans import Span, without_stop

_APART = r"(?<![A-Za-z0-9])"
_ALONE = r"(?<![A-Za-z0-9-])"
_JWT_PART = r"[A-Za-z0-9_-]"

# Every one is linear: it begins with letters of its own, and its loops take one character each.
_FORMS = (
    # AWS: keys, what session tokens begin with, Bedrock.
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16,}+",
    r"(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz|FQoDYXdz)[A-Za-z0-9+/=%_-]{20,}+",
    r"ABSK[A-Za-z0-9+/]{60,}+={0,2}|bedrock-api-key-[A-Za-z0-9+/=]{20,}+",
    # Google
    r"AIza[\w-]{30,}+|ya29\.[\w./-]{20,}+|GOCSPX-[\w-]{20,}+|GOOG1?E?[A-Z0-9]{20,}+",
    rf"{_APART}1//0[\w-]{{20,}}+",
    # Azure: a client secret, what storage and Cosmos keys end with.
    r"(?<![\w~.-])[\w~.-]{3}[0-9]Q~[\w~.-]{20,}+|(?<=[^\w~.-])[0-9]Q~[\w~.-]{20,}+",
    r"(?<![A-Za-z0-9+/])(?<!sha512-)[A-Za-z0-9+/]{86}==",
    # GitHub, GitLab, Bitbucket, Atlassian
    r"gh[pousr]_[A-Za-z0-9_.-]{20,}+|github_pat_[A-Za-z0-9_]{20,}+",
    rf"{_APART}gl(?:pat|rt|dt|ptt|ft|cbt|soat|oas|agent|imt|ffct)-[\w.-]{{16,}}+",
    r"GR1348941[\w-]{16,}+|AT(?:ATT|CTT)3[\w=-]{20,}+|ATBB[A-Za-z0-9]{20,}+",
    # HashiCorp: Vault's three kinds, Terraform Cloud
    rf"{_APART}hv[sbr]\.[\w-]{{20,}}+",
    r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{20,}+|(?<![A-Za-z0-9])[A-Za-z0-9]{1,13}\.atlasv1\.[\w=-]{20,}+",
    # Slack, Discord, Teams: who knows such a URL may write there
    r"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{8,}+|xapp-[0-9]-[A-Za-z0-9-]{10,}+",
    r"(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/-]{8,}+",
    r"(?<=/api/webhooks/)[0-9]{5,}/[\w-]{16,}+",
    r"(?<=\.webhook\.office\.com/)[\w/@-]{30,}+",
    # Payment, mail, telephone, chat
    r"(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{10,}+|whsec_[A-Za-z0-9+/=]{16,}+",
    rf"{_APART}SG\.[\w-]{{10,}}+\.[\w-]{{10,}}+|xkeysib-[a-f0-9-]{{20,}}+",
    rf"{_ALONE}key-[0-9a-f]{{32}}|{_APART}[0-9a-f]{{32}}-us[0-9]{{1,2}}\b",
    rf"{_APART}SK[0-9a-f]{{32}}(?![A-Za-z0-9])|{_APART}[0-9]{{8,10}}:AA[\w-]{{30,}}+",
    # Registries of packages and images
    r"npm_[A-Za-z0-9]{30,}+|pypi-[\w-]{40,}+|rubygems_[a-f0-9]{40,}+|dckr_(?:pat|oat)_[\w-]{20,}+",
    r"AKCp[A-Za-z0-9]{50,}+|cmVmd[A-Za-z0-9]{50,}+|CLOJARS_[A-Za-z0-9]{40,}+",
    # Platforms
    rf"{_APART}dapi[a-f0-9]{{32}}(?:-[0-9])?|do[opr]_v1_[a-f0-9]{{40,}}+|hf_[A-Za-z]{{30,}}+",
    rf"{_ALONE}sk-(?:ant-|proj-|svcacct-|admin-)?[\w-]{{32,}}+|{_APART}pplx-[A-Za-z0-9]{{40,}}+",
    r"gl(?:sa|c)_[A-Za-z0-9+/_=]{20,}+|eyJrIjoi[A-Za-z0-9+/=]{40,}+",
    r"NR(?:AK|II|RA|JS)-[A-Za-z0-9-]{16,}+|dt0c01\.[A-Za-z0-9.]{40,}+|sntry[su]_[\w+/=]{30,}+",
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|shippo_live_[a-f0-9]{30,}+|lin_api_[A-Za-z0-9]{30,}+",
    r"(?:ntn|pnu)_[A-Za-z0-9]{30,}+|(?:figd|tfp)_[\w.=-]{30,}+|pscale_(?:tkn|pw|oauth)_[\w.=-]{20,}+",
    r"sgp_(?:[a-f0-9]{16}_|local_)?[a-f0-9]{40}|rdme_[a-z0-9]{50,}+|lsv2_(?:pt|sk)_[a-f0-9_]{30,}+",
    r"sq[pua]_[a-f0-9]{40}",
    r"tskey-[\w-]{16,}+|PMAK-[A-Za-z0-9-]{40,}+|ops_eyJ[\w+/=-]{40,}+|dp\.(?:pt|st|ct)\.[\w.]{30,}+",
    rf"{_APART}pul-[a-f0-9]{{40}}|{_APART}A3-[A-Z0-9]{{6}}-[A-Z0-9-]{{20,}}+|HRKU-AA[\w-]{{40,}}+",
    rf"{_APART}LTAI[A-Za-z0-9]{{16,}}+|AQVN[\w-]{{30,}}+|{_APART}v1\.0-[a-f0-9]{{24}}-[a-f0-9]{{40,}}+",
    r"fm[12][ar]?_[\w+/=-]{60,}+|fo1_[\w-]{40,}+|sha256~[\w-]{40,}+|dnkey-[\w=-]{60,}+",
    # Hashes of passwords can be guessed at leisure.
    r"\$2[abxy]?\$[0-9]{2}\$[./A-Za-z0-9]{22,}+",
    r"\$(?:[156y7]|apr1|argon2\w{0,2}|scrypt|pbkdf2[\w-]{0,10}|gy)\$[\w./+=,$*-]{20,}+",
    r"\{S?SHA[0-9]{0,3}\}[A-Za-z0-9+/=]{20,}+|SCRAM-SHA-(?:1|256)\$[\w:+/=$]{20,}+",
)
_TOKENS = re.compile("|".join(_FORMS))
# From each "eyJ" the time would be the length squared: a JWT is looked for once in what could be
# one, from its first character. The signature may be missing or cut off.
_JWT = re.compile(
    rf"(?<!{_JWT_PART})(?={_JWT_PART}++\.{_JWT_PART}{{8,}}+)"
    rf"{_JWT_PART}*?(?<![a-z])(?:eyJ|eyA|ewog){_JWT_PART}{{14,}}+(?:\.{_JWT_PART}*+){{1,4}}"
)
_AWS_KEY = re.compile(r"A[KS]IA[A-Z0-9]{16}")
_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])")
_BESIDE = 120
_OLD_VAULT = re.compile(r"(?<![\w.-])[sbr]\.[A-Za-z0-9]{24}(?![A-Za-z0-9])")


def token_spans(text: str) -> Iterator[Span]:
    """Where tokens of known forms stand."""
    for pattern in (_TOKENS, _JWT):
        for match in pattern.finditer(text):
            yield without_stop(text, *match.span())
    for match in _AWS_KEY.finditer(text):
        # What stands beside a key's id is the key.
        end = match.end() + _BESIDE
        yield from (secret.span() for secret in _AWS_SECRET.finditer(text, match.end(), end))
    for match in _OLD_VAULT.finditer(text):
        if looks_random(match.group()[2:]):
            yield match.span()
