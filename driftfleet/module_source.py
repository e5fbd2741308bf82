"""What a module's ``source`` names, by the rules of Terraform 1.x and of go-getter 1.7.

Terraform takes what is neither local nor a registry's address for a go-getter URL: its shorthands
are completed first (``git@host:o/r`` becomes ``git::ssh://git@host/o/r``), then whatever stands
before ``::``, or else the URL's scheme, says who fetches it. So ``https://host/o/r.git`` is an
archive for Terraform, and only ``git::https://host/o/r.git`` a repository.
"""

import posixpath
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

Kind = Literal[
    "local", "registry", "git-https", "git-http", "git-ssh", "git-other",
    "http", "s3", "gcs", "hg", "file", "unknown",
]  # fmt: skip

# No person wrote what is longer.
_LONGEST = 4096
_LOCAL = ("./", "../", ".\\", "..\\")
_FORCED = re.compile(r"([A-Za-z0-9]+)::(.+)")
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<login>[^/?#]*)@)?"
    r"(?P<host>[A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{0,5}))?"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?P<fragment>#.*)?"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SCP = re.compile(r"git@([A-Za-z0-9._-]+):/?([^?]+)(?:\?(.*))?")
_GIT_KINDS: dict[str, Kind] = {
    "https": "git-https", "http": "git-http",
    "ssh": "git-ssh", "git+ssh": "git-ssh", "ssh+git": "git-ssh",
}  # fmt: skip
_GETTERS: dict[str, Kind] = {
    "http": "http", "https": "http", "s3": "s3", "gcs": "gcs", "hg": "hg", "file": "file",
}  # fmt: skip
_REPO = re.compile(r"/?([A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+?)(?:\.git)?/?")
# [HOST/]NAMESPACE/NAME/SYSTEM; a host has a dot and may have a port.
_NAME = r"[0-9A-Za-z](?:[0-9A-Za-z_-]{0,62}[0-9A-Za-z])?"
_REGISTRY = re.compile(
    rf"(?:(?P<host>[\w-]+(?:\.[\w-]+)+(?::[0-9]+)?)/)?{_NAME}/{_NAME}/[0-9a-z]{{1,64}}(?://(?P<sub>.*))?"
)
_NO_REGISTRIES = ("github.com", "bitbucket.org")
_PASSWORD = re.compile(r"(://[^/?#:@]*):[^/?#]*@")
_PARAMETER = re.compile(r"([?&](?!(?:ref|depth|archive|version)=)[^=&#]*=)[^&#]*")


@dataclass(frozen=True)
class ModuleSource:
    """A module source and what it names.

    ``host`` is in lower case and without the ``port``. ``repo`` is ``owner/name`` without
    ``.git``, and empty where the path is something else. ``ref`` is empty for the default branch,
    ``folder`` for the package's top. ``clone_url`` is what git is told to clone, and ``prefix`` its
    start with the slash after the host, both as written. ``plain`` says that git gets that URL and
    nothing of the query.
    """

    written: str
    kind: Kind
    scheme: str = ""
    host: str = ""
    port: int | None = None
    user: str = ""
    has_password: bool = False
    path: str = ""
    repo: str = ""
    ref: str = ""
    folder: str = ""
    clone_url: str = ""
    prefix: str = ""
    plain: bool = True

    @property
    def is_git(self) -> bool:
        """Whether git fetches it."""
        return self.kind.startswith("git-")

    @property
    def printable(self) -> str:
        """As written, less what may be a secret: a password, and parameters such as `sshkey`."""
        shown = _PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1:***@", self.written))
        return shown if len(shown) <= 300 else f"{shown[:297]}..."


def parse(written: str) -> ModuleSource:
    """Read a source. What Terraform wouldn't understand either is of the kind ``unknown``."""
    if not written or len(written) > _LONGEST or not written.isprintable():
        return ModuleSource(written, "unknown")
    if written.startswith(_LOCAL):
        return ModuleSource(written, "local")
    if source := _registry(written):
        return source
    package, folder = _split_folder(written)
    forced, address = _split_forced(package)
    if not _SCHEME.match(address) or (forced and not _URL.fullmatch(address)):
        completed = _complete(address)
        if completed is None:
            return ModuleSource(written, "unknown")
        detected, address = _split_forced(completed)
        forced = forced or detected
        address, detected_folder = _split_folder(address)
        folder = _clean(posixpath.join(detected_folder, folder))
    if folder.startswith("../") or folder == "..":
        return ModuleSource(written, "unknown")
    return _remote(written, forced, address, folder)


def _registry(written: str) -> ModuleSource | None:
    match = _REGISTRY.fullmatch(written)
    if match is None or match["host"] in _NO_REGISTRIES:
        return None
    host = (match["host"] or "registry.terraform.io").lower()
    return ModuleSource(written, "registry", host=host, folder=_clean(match["sub"] or ""))


def _remote(written: str, forced: str, address: str, folder: str) -> ModuleSource:
    match = _URL.fullmatch(address)
    if match is None:
        # Not every getter wants a URL with a host: what we don't follow ourselves we don't judge.
        scheme = forced or address.partition(":")[0].lower()
        return ModuleSource(written, _GETTERS.get(scheme, "unknown"), folder=folder)
    scheme, port = match["scheme"].lower(), match["port"]
    if port and int(port) > 65535:
        return ModuleSource(written, "unknown")
    user, colon, _ = (match["login"] or "").partition(":")
    login = "" if match["login"] is None else f"{match['login']}@"
    prefix = f"{scheme}://{login}{match['host']}{'' if port is None else f':{port}'}"
    path = match["path"] or ""
    query = parse_qsl(match["query"] or "", keep_blank_values=True)
    others = [name for name, _ in query if name not in ("ref", "depth", "sshkey")]
    repo = _REPO.fullmatch(path)
    named = repo is not None and not {".", ".."} & {*repo[1].split("/")}
    return ModuleSource(
        written,
        _kind(forced, scheme),
        scheme=scheme,
        host=match["host"].lower(),
        port=int(port) if port else None,
        user=user,
        has_password=bool(colon),
        path=path,
        repo=repo[1] if repo and named else "",
        ref=next((value for name, value in query if name == "ref"), ""),
        folder=folder,
        clone_url=prefix + path,
        prefix=f"{prefix}/",
        plain=not others and match["fragment"] is None,
    )


def _kind(forced: str, scheme: str) -> Kind:
    if forced == "git":
        return _GIT_KINDS.get(scheme, "git-other")
    return _GETTERS.get(forced or scheme, "unknown")


def _complete(address: str) -> str | None:
    """What Terraform makes of a shorthand."""
    if match := _SCP.fullmatch(address):
        query = f"?{match[3]}" if match[3] is not None else ""
        return f"git::ssh://git@{match[1]}/{match[2]}{query}"
    if address.startswith(_NO_REGISTRIES):
        path, question, query = address.partition("?")
        host, _, rest = path.partition("/")
        owner, _, rest = rest.partition("/")
        name, slash, folder = rest.partition("/")
        if host not in _NO_REGISTRIES or not owner or not name:
            return None
        name = name if name.endswith(".git") else f"{name}.git"
        below = f"//{folder}" if slash and folder else ""
        return f"git::https://{host}/{owner}/{name}{below}{question}{query}"
    if ".googleapis.com/" in address:
        return f"gcs::https://{address}"
    if ".amazonaws.com/" in address:
        return f"s3::https://{address}"
    return f"file://{address}" if address.startswith("/") else None


def _split_forced(address: str) -> tuple[str, str]:
    match = _FORCED.fullmatch(address)
    return (match[1], match[2]) if match else ("", address)


def _split_folder(address: str) -> tuple[str, str]:
    """The package's address, with its query, and what follows its ``//``."""
    path, question, query = address.partition("?")
    start = path.find("://") + 3 if "://" in path else 0
    package, slashes, folder = path[start:].partition("//")
    if not slashes:
        return address, ""
    return f"{path[:start]}{package}{question}{query}", _clean(folder)


def _clean(folder: str) -> str:
    cleaned = posixpath.normpath(folder).lstrip("/") if folder else ""
    return "" if cleaned == "." else cleaned
