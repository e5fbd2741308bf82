"""Paths that we ask for, and URLs that a server sends us on to."""

import re
from urllib.parse import quote, unquote

from driftfleet.errors import ConfigurationError
from driftfleet.github.host import Host, is_loopback
from driftfleet.names import is_organisation, is_ref, is_repository

# Printable, without what some parser reads as the end of a path or as something else in it.
_TARGET = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]|]*")
_URL = re.compile(r"(?P<scheme>https?)://(?P<netloc>[^/?#]+)(?P<target>[^#]*)(?:#.*)?", re.I)
_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_RELATION = re.compile(r";\s*+rel\s*+=\s*+(?:\"([^\"]*)\"|([^\s\";,]+))", re.I)
_LONGEST = 8192


def repository_path(repo: str) -> str:
    """``/repos/OWNER/NAME`` of a repository.

    Raises
    ------
    ConfigurationError
        It is no repository's name.
    """
    if not is_repository(repo):
        raise ConfigurationError(f"{_shown(repo)} is no repository's name: it is owner/name")
    return f"/repos/{repo}"


def organisation_path(org: str) -> str:
    """``/orgs/NAME`` of an organisation. Raises `ConfigurationError` where it is no name."""
    if not is_organisation(org):
        raise ConfigurationError(f"{_shown(org)} is no organisation's name")
    return f"/orgs/{org}"


def quote_ref(ref: str) -> str:
    """A branch, tag or commit as part of a path: its slashes stay, all else is quoted.

    GitHub reads ``commits/{ref}`` over several segments (``x-multi-segment`` in its OpenAPI
    description), and proxies in front of a server are known to refuse ``%2F``.

    Raises
    ------
    ConfigurationError
        No ref is called that (git-check-ref-format), or it could lead to another path.
    """
    if not is_ref(ref):
        raise ConfigurationError(f"{_shown(ref)} is no branch, tag or commit")
    return "/".join(quote(segment, safe="") for segment in ref.split("/"))


def api_target(host: Host, location: str) -> str | None:
    """Where a link or a redirect leads inside the API: path and query, to send to its host.

    None for any other host, scheme or port, for what is not under the API's path, and for what
    parsers may read in two ways.
    """
    found = _split(location, host.api_origin)
    if found is None:
        return None
    origin, target = found
    path = target.partition("?")[0]
    if origin != host.api_origin or not path.startswith(f"{host.api_path}/"):
        return None
    return target


def archive_url(host: Host, location: str) -> str | None:
    """The URL of an archive, where a redirect names one that we may fetch; else None."""
    found = _split(location, host.web_url)
    if found is None:
        return None
    scheme, _, netloc = found[0].partition("://")
    plain = scheme == "http" and host.web_url.startswith("http://")
    if netloc not in host.archive_hosts or not (scheme == "https" or plain):
        return None
    if plain and not is_loopback(_bare(netloc)):
        return None
    # Put together again from what was compared: no parser can read another host in it.
    return f"{scheme}://{netloc}{found[1]}"


def named_host(location: str) -> str:
    """The host that a redirect names, fit to be shown."""
    match = _URL.match(location[:_LONGEST])
    if match is None:
        return "a place that is no URL"
    netloc = match["netloc"].rpartition("@")[2][:100]
    return "".join(c if c.isprintable() else "?" for c in netloc)


def next_link(header: str) -> str | None:
    """The URL of the next page in a ``Link`` header (RFC 8288), None on the last page."""
    if len(header) > _LONGEST:
        return None
    for link in _LINK.finditer(header):
        relation = _RELATION.search(link[2])
        if relation and "next" in (relation[1] or relation[2] or "").lower().split():
            return link[1].strip()
    return None


def _split(location: str, origin: str) -> tuple[str, str] | None:
    """``(origin, path and query)`` of a URL, or of a path at ``origin``; None where in doubt."""
    if len(location) > _LONGEST or _CONTROL.search(location):
        return None
    if location.startswith("/") and not location.startswith("//"):
        location = origin + location
    match = _URL.fullmatch(location)
    if match is None or not _TARGET.fullmatch(match["target"] or "/"):
        return None
    target = match["target"] or "/"
    path = unquote(target.partition("?")[0])
    if any(segment in (".", "..") for segment in re.split(r"[/\\]", path)) or "//" in path:
        return None
    scheme = match["scheme"].lower()
    usual = ":443" if scheme == "https" else ":80"
    return f"{scheme}://{match['netloc'].lower().removesuffix(usual)}", target


def _bare(netloc: str) -> str:
    return re.sub(r":[0-9]+$", "", netloc)


def _shown(name: str) -> str:
    return ascii(name[:100])
