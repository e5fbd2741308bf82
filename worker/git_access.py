"""The environment in which git reaches private modules: for `terraform get`, without a secret.

Git is told by ``GIT_CONFIG_COUNT``, so that nothing is written. The system's gitconfig
stays in force: a company's proxy and certificates are often there. What in it could hurt is
overruled, since these lines are read last.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from driftfleet import process
from driftfleet.github.host import Host
from driftfleet.module_source import ModuleSource

_HELPER = Path(__file__).with_name("credential_helper.py")
_DEFAULT_PORTS = {"https": 443, "http": 80, "git": 9418}
# github.com's ssh behind firewalls ("Using SSH over the HTTPS port").
_ALIASES = {"github.com": ("ssh.github.com",)}
# What would print or write requests, ask a person, or overrule what is set here.
_DROPPED = (
    "GIT_TRACE", "GIT_CURL_VERBOSE", "GIT_SSH", "GIT_ASKPASS", "SSH_ASKPASS", "GIT_ALLOW_PROTOCOL",
    "GIT_PROTOCOL_FROM_USER", "GIT_TERMINAL_PROMPT", "GIT_CONFIG_PARAMETERS", "GIT_DIR",
    "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_TEMPLATE_DIR", "GIT_EXEC_PATH",
)  # fmt: skip
# Git runs in the root's folder, which may hold what looks like a bare repository: its config could
# name programs, and git would obey it. A hook that the machine's configuration names would be the
# fetched repository's own where that is a relative path.
_SAFE = (
    ("safe.bareRepository", "explicit"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
)


def is_ours(host: Host, source: ModuleSource) -> bool:
    """Whether git would fetch a source from ``host``, in whatever spelling."""
    name, port = _address(host)
    if source.kind == "git-ssh":
        known = source.host in _ALIASES.get(name, ())
        return known or (source.host, source.port or 22) == (name, 22)
    usual = _DEFAULT_PORTS.get(source.scheme)
    if not source.is_git or source.host != name or usual is None:
        return False
    if source.scheme == "git" or port is None:
        return source.port in (None, usual)
    return (source.port or usual) == port


def prefixes(host: Host) -> list[str]:
    """Every usual beginning of a URL on ``host``, less its own; insteadOf matches no other."""
    name, port = _address(host)
    aliases = _ALIASES.get(name, ())
    found = [f"ssh://git@{alias}:443/" for alias in aliases]
    for place in (name, *aliases):
        found += [
            f"ssh://git@{place}/",
            f"ssh://git@{place}:22/",
            f"git@{place}:",
            f"git@{place}:/",
        ]
    found.append(f"git://{name}/")
    for scheme in ("https", "http"):
        places = (f"{name}:{port}",) if port else (name, f"{name}:{_DEFAULT_PORTS[scheme]}")
        found += [f"{scheme}://{login}{place}/" for place in places for login in ("", "git@")]
    return [prefix for prefix in found if prefix != f"{host.web_url}/"]


def spellings(host: Host, source: ModuleSource) -> Iterator[str]:
    """The URLs of a source's repository: as written, and as others may write it.

    Git compares beginnings: one without ``.git`` would also take ``NAME-other`` for NAME. So only
    a source that is written that way has it, and `get` is tried without mirrors where it fails.
    """
    written = source.clone_url.rstrip("/")
    yield written
    yield f"{written.removesuffix('.git')}.git"
    for prefix in (f"{host.web_url}/", *prefixes(host)):
        yield f"{prefix}{source.repo}.git"


def access_environment(
    base: Mapping[str, str],
    host: Host,
    sources: Iterable[ModuleSource],
    *,
    helper: Path | None,
    mirrors: Mapping[str, Path] | None = None,
) -> dict[str, str]:
    """``base`` with what git needs for ``sources`` and for what they in turn may name on the host.

    ``helper`` is the socket of a `worker.module_token.TokenService`, None where there is no token.
    ``mirrors`` maps the URL of a repository to one on this host that is to be used instead.
    """
    lines = [*_SAFE, *_credential_lines(host, helper), *_rewriting_lines(host, sources)]
    lines += [(f"url.{own.as_uri()}.insteadOf", url) for url, own in (mirrors or {}).items()]
    return _with_lines(base, lines) | {
        "GIT_TERMINAL_PROMPT": "0",
        # Set and empty: git asks neither a configured program nor SSH_ASKPASS.
        "GIT_ASKPASS": "",
        "GIT_SSH_COMMAND": _command("--no-ssh", host.name),
        # Else git tries first which ssh it is.
        "GIT_SSH_VARIANT": "ssh",
        # In a submodule, too: one that lies in a mirrored repository is rewritten to file://.
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    }


def why_impossible(host: Host, source: ModuleSource) -> str | None:
    """Why a source can't be fetched by a check, whatever the network does; None where it may be."""
    if source.kind == "git-ssh" and not is_ours(host, source):
        at = source.host if source.port is None else f"{source.host}:{source.port}"
        return (
            f"names {at} over ssh, and checks have no ssh key: modules come over https, and with "
            f"a token only from {host.name}; name it as git::https://..."
        )
    if source.kind == "hg":
        # It would obey the `.hg/hgrc` of whatever folder it runs in.
        return "is a Mercurial repository, and checks fetch modules with git only"
    if source.is_git and _climbs(source.path):
        return "has '..' in its path"
    if source.kind == "unknown" and source.scheme in ("ssh", "git+ssh", "ssh+git"):
        return f"is no source for Terraform without 'git::' before it: git::{source.scheme}://..."
    # As a repository it would need git, and as an archive it is none: GitHub serves no such file.
    ours = source.kind == "http" and is_ours(host, replace(source, kind="git-https"))
    if ours and source.repo and source.path.rstrip("/").endswith(".git"):
        return (
            "is an archive for Terraform, which takes a repository for one only with 'git::' "
            f"before it: git::{source.scheme}://..."
        )
    return None


def _climbs(path: str) -> bool:
    return ".." in unquote(path).replace("\\", "/").split("/")


def _credential_lines(host: Host, helper: Path | None) -> Iterator[tuple[str, str]]:
    # A redirect, as of a renamed repository, is followed where nothing was authenticated yet.
    yield f"http.{host.web_url}.followRedirects", "initial"
    if helper is not None:
        # Empties the list of helpers for this host: one that stores would write the token to disk.
        yield f"credential.{host.web_url}.helper", ""
        yield f"credential.{host.web_url}.helper", f"!{_command(str(helper))}"
        # So that the helper learns for which repository it is asked.
        yield f"credential.{host.web_url}.useHttpPath", "true"


def _rewriting_lines(host: Host, sources: Iterable[ModuleSource]) -> Iterator[tuple[str, str]]:
    own = f"{host.web_url}/"
    # Users, ports and cases that people have written; a password that is written goes its own way.
    seen = [s.prefix for s in sources if is_ours(host, s) and not s.has_password]
    for prefix in dict.fromkeys((*prefixes(host), *seen)):
        if prefix != own:
            yield f"url.{own}.insteadOf", prefix


def _with_lines(base: Mapping[str, str], lines: list[tuple[str, str]]) -> dict[str, str]:
    """Add lines of configuration after those that ``base`` may hold already."""
    environment = {name: value for name, value in base.items() if not name.startswith(_DROPPED)}
    given = base.get("GIT_CONFIG_COUNT", "")
    first = int(given) if given.isascii() and given.isdigit() else 0
    for number, (key, value) in enumerate(lines, first):
        environment[f"GIT_CONFIG_KEY_{number}"] = key
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    environment["GIT_CONFIG_COUNT"] = str(first + len(lines))
    return environment


def _command(*arguments: str) -> str:
    return shlex.join([process.PYTHON, "-I", "-S", "-B", str(_HELPER), *arguments])


def _address(host: Host) -> tuple[str, int | None]:
    """A host's bare name, and its port where that isn't the usual one."""
    parts = urlsplit(host.web_url)
    name = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
    return name.lower(), parts.port
