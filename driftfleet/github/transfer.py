"""One request and its answer: bounded, decoded, and with httpx's errors told in our words."""

import contextlib
import json
import re
import ssl
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from driftfleet.errors import GitHubRefused, GitHubUnavailable
from driftfleet.github.tally import SENT

_MESSAGE_LENGTH = 200


@dataclass(frozen=True)
class Answer:
    """What GitHub answered, decoded; header names ignore case."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    where: str = ""

    def json(self) -> Any:
        """The content, parsed.

        Raises
        ------
        GitHubRefused
            It is a page for a browser: a login, or a proxy.
        GitHubUnavailable
            It is no JSON.
        """
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            pass
        refuse_page(self, sniff=True)
        raise GitHubUnavailable(f"{self.where}: the answer ({self.status}) is no JSON")


@dataclass(frozen=True)
class Failure:
    """A request that got no answer, and what can be done about it.

    ``sent`` tells that the server may have seen it; ``passing`` that another try may go better,
    after ``retry_after_seconds`` where the server said so.
    """

    reason: str
    sent: bool = True
    passing: bool = True
    mend: str = ""
    retry_after_seconds: float | None = None


class TooLarge(Exception):
    """An answer exceeds its limit."""


def is_page(headers: Mapping[str, str]) -> bool:
    """Whether an answer calls itself a page for a browser: the API has none."""
    return headers.get("content-type", "").lower().startswith(("text/html", "application/xhtml"))


def refuse_page(answer: Answer, *, sniff: bool = False) -> None:
    """Raise `GitHubRefused` where an answer is a page for a browser, or looks like one."""
    start = answer.content[:200].lstrip()[:5].lower() if sniff else b""
    if is_page(answer.headers) or start in (b"<!doc", b"<html"):
        raise GitHubRefused(
            f"{answer.where}: a login page or a proxy answered ({answer.status}) and not GitHub's "
            "API; is github.url right, and may this machine reach it without a login?",
            answer.status,
        )


def message_of(answer: Answer) -> str:
    """What GitHub says of an error, on one printable line."""
    try:
        said = json.loads(answer.content[:65536])["message"]
    except (ValueError, RecursionError, KeyError, TypeError, IndexError):
        return ""
    return printable(said) if isinstance(said, str) else ""


def printable(text: str, length: int = _MESSAGE_LENGTH) -> str:
    """``text`` on one line, without what a terminal obeys, and not longer than ``length``."""
    line = " ".join(text[: 4 * length].split())
    line = "".join(c if c.isprintable() else "?" for c in line)
    return line if len(line) <= length else line[: length - 1] + "…"


def build(
    method: str,
    url: str,
    headers: Mapping[str, str],
    timeout_seconds: float,
    content: bytes | None = None,
) -> httpx.Request:
    """A request. Raises `GitHubUnavailable` where its URL can't be one."""
    limits = dict.fromkeys(("connect", "read", "write", "pool"), timeout_seconds)
    try:
        return httpx.Request(
            method, url, headers=headers, content=content, extensions={"timeout": limits}
        )
    except (httpx.InvalidURL, ValueError):
        pass
    raise GitHubUnavailable("GitHub was to be asked at an address that is none")


def attempt(ask: Callable[[], Answer]) -> Answer | Failure:
    """Run one exchange; what httpx raises becomes a `Failure`.

    Its errors are never chained to ours: each carries its request, and so the token.
    """
    try:
        return ask()
    except (*LIBRARY_ERRORS, zlib.error, OSError) as error:
        return translate(error)


LIBRARY_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict)
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (httpx.ConnectTimeout, "no connection in time"),
    (httpx.PoolTimeout, "no connection became free in time"),
    (httpx.WriteTimeout, "it did not take the request in time"),
    (httpx.TimeoutException, "no answer in time"),
    (httpx.ConnectError, "no connection"),
    (httpx.NetworkError, "the connection broke"),
    (httpx.ProxyError, "the proxy refused"),
    (httpx.RemoteProtocolError, "the answer broke off, or is no HTTP"),
    (httpx.DecodingError, "the answer can't be unpacked"),
    (zlib.error, "the answer can't be unpacked"),
    (OSError, "the connection broke"),
)


def translate(error: Exception) -> Failure:
    """What a library's error means, without anything of its text that could hold a secret."""
    certificate = _certificate_error(error)
    if certificate is not None:
        return Failure(
            f"its certificate can't be verified: {printable(certificate)}",
            sent=False,
            passing=False,
            mend="if its authority is your own, name its file in SSL_CERT_FILE",
        )
    if (failure := _encryption_failure(error)) is not None:
        return failure
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            detail = _proxys_answer(error) or _system_error(error)
            words = f"{reason} ({detail})" if detail else reason
            return Failure(words, sent=not isinstance(error, _UNSENT))
    return Failure(f"the request could not be made ({type(error).__name__})", passing=False)


def _certificate_error(error: BaseException) -> str | None:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
    return None


def _encryption_failure(error: BaseException) -> Failure | None:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError) and isinstance(error, httpx.ConnectError):
            reason = printable(getattr(cause, "reason", None) or "", 80).replace("_", " ").lower()
            # What OpenSSL makes of an answer in plain text; its name changed with version 3.
            plain = reason in ("wrong version number", "http request", "record layer failure")
            if plain:
                return Failure(
                    f"no TLS is spoken at its port ({reason})",
                    sent=False,
                    passing=False,
                    mend="is the port that of https, and is it https:// that it wants?",
                )
            return Failure(f"TLS could not be agreed on ({reason or 'it broke off'})", sent=False)
    return None


def _proxys_answer(error: BaseException) -> str:
    """The status with which a proxy refused, without its text."""
    told = re.match(r"[0-9]{3}\b", str(error)) if isinstance(error, httpx.ProxyError) else None
    return told[0] if told else ""


def _system_error(error: BaseException) -> str:
    """The operating system's own words: "Connection refused", "Name or service not known"."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, ssl.SSLError):
            return printable(cause.strerror, 80)
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def receive(
    transport: httpx.BaseTransport,
    request: httpx.Request,
    *,
    where: str,
    limit_bytes: int,
    expired: Callable[[], bool],
) -> Answer:
    """Send a request and read its whole answer.

    Raises
    ------
    TooLarge
        The answer, decoded, exceeds ``limit_bytes``.
    httpx.HTTPError
        As its transports; a `httpx.ReadTimeout` also where ``expired`` tells so meanwhile.
    """
    with sent(transport, request) as response:
        chunks = decoded(raw(response, expired), response.headers, limit_bytes)
        content = b"".join(chunks)
        return Answer(response.status_code, response.headers, content, where)


@contextlib.contextmanager
def sent(transport: httpx.BaseTransport, request: httpx.Request) -> Iterator[httpx.Response]:
    """Send a request; the answer's body is still to be read, and closed at the end."""
    SENT.add()
    response = transport.handle_request(request)
    try:
        yield response
    finally:
        response.close()


def raw(response: httpx.Response, expired: Callable[[], bool]) -> Iterator[bytes]:
    """The body as it came. A server that dribbles is cut off when ``expired`` says so."""
    assert isinstance(response.stream, httpx.SyncByteStream)
    for chunk in response.stream:
        yield chunk
        if expired():
            raise httpx.ReadTimeout("too slow")


def decoded(
    chunks: Iterator[bytes], headers: Mapping[str, str], limit_bytes: int
) -> Iterator[bytes]:
    """Undo ``Content-Encoding: gzip``, never holding more than the limit.

    httpx would unpack a whole chunk at once, which a bomb makes a thousand times larger, and
    takes a gzip stream that ends in the middle for a whole one.
    """
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        yield from _bounded(chunks, limit_bytes)
        return
    if encoding not in ("gzip", "x-gzip"):
        raise httpx.DecodingError("an encoding that was not asked for")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    left, begun = limit_bytes, False
    for chunk in chunks:
        # One byte more than is allowed tells that there is more.
        content = unpacker.decompress(chunk, left + 1)
        begun = begun or bool(chunk)
        left -= len(content)
        if left < 0 or unpacker.unconsumed_tail:
            raise TooLarge
        if unpacker.unused_data:
            raise httpx.DecodingError("something follows the gzip stream")
        yield content
    if begun and not unpacker.eof:
        raise httpx.RemoteProtocolError("the gzip stream ends in the middle")


def _bounded(chunks: Iterator[bytes], limit_bytes: int) -> Iterator[bytes]:
    left = limit_bytes
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise TooLarge
        yield chunk
