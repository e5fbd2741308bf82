"""Which token may be sent, and whether any may: bad credentials are not sent twice."""

import math
import threading
from collections.abc import Callable
from typing import NoReturn

from pydantic import SecretStr

from driftfleet.errors import CredentialsRefused
from driftfleet.github.auth import Credentials
from driftfleet.github.lockout import Lockout

# Its origin is asked for another token this often while the one we have may not be used.
_ASKED_AGAIN_SECONDS = 60.0
_CLOSED = "; nothing more is sent with these credentials, so that their account isn't locked"


class Admission:
    """Keeps one client, and through `Lockout` one host, from hammering with a refused token.

    A token is *proven* once GitHub took it. After a 401 its origin is asked for another, once for
    each proven token; where there is none, or where that is refused as well, the client is shut
    for good.
    """

    def __init__(
        self,
        credentials: Credentials,
        lockout: Lockout | None,
        host: str,
        clock: Callable[[], float],
    ) -> None:
        self._credentials = credentials
        self._lockout = lockout
        self._host = host
        self._clock = clock
        self._lock = threading.Lock()
        self._shut: str | None = None
        self._current: SecretStr | None = None
        self._refused: SecretStr | None = None
        self._proven: tuple[SecretStr | None] | None = None
        self._replaced = False
        self._asked_at: float | None = None

    def token(self) -> SecretStr | None:
        """The token to send now.

        Raises
        ------
        CredentialsRefused
            None may be sent.
        ConfigurationError, SecretUnavailable, GitHubUnavailable
            As `Credentials.token`.
        """
        with self._lock:
            if self._shut is not None:
                raise CredentialsRefused(self._shut)
            self._await_release()
            try:
                self._current = self._credentials.token()
            except CredentialsRefused as error:
                # An App's claim was refused: it must not be sent again either.
                reason = error.message
            else:
                if self._current is not None and self._current == self._refused:
                    self._replace(f"{self._host} refused the token")
                return self._current
            return self._close(reason)

    @property
    def is_shut(self) -> bool:
        """Whether no token is sent any more."""
        return self._shut is not None

    def is_proven(self, token: SecretStr | None) -> bool:
        """Whether GitHub took this token before; if not, it is to be tried alone."""
        proven = self._proven
        return proven is not None and proven[0] == token

    def accepted(self, token: SecretStr | None) -> None:
        """GitHub took ``token``."""
        if self.is_proven(token):
            return
        with self._lock:
            if token == self._current:
                self._proven = (token,)
                self._replaced = False

    def refused(self, token: SecretStr | None, reason: str) -> None:
        """GitHub answered 401 to ``token``; returns where there is another to try.

        Raises
        ------
        CredentialsRefused
            There is none.
        """
        with self._lock:
            if self._shut is not None:
                raise CredentialsRefused(self._shut)
            if token is not None:
                self._mark(token)
            if token != self._current:
                return
            self._refused = token
            self._replace(reason)

    def locked(self, token: SecretStr | None, reason: str) -> NoReturn:
        """GitHub says that the account is locked: no other token of it helps."""
        with self._lock:
            if token is not None:
                self._mark(token)
            self._close(reason)

    def _replace(self, reason: str) -> None:
        if self._replaced or not self._credentials.renew():
            self._close(reason)
        self._replaced = True
        self._current = self._credentials.token()

    def _close(self, reason: str) -> NoReturn:
        identity = self._credentials.identity()
        if identity is not None:
            self._mark(identity)
        # Without credentials there is no account that could be locked.
        told = identity is None and self._current is None and self._refused is None
        self._shut = reason if told or reason.endswith(_CLOSED) else f"{reason}{_CLOSED}"
        raise CredentialsRefused(self._shut)

    def _mark(self, token: SecretStr) -> None:
        if self._lockout is not None:
            self._lockout.mark(token)

    def _held_seconds(self) -> float:
        if self._lockout is None:
            return 0.0
        identity = self._credentials.identity()
        return 0.0 if identity is None else self._lockout.holds(identity)

    def _await_release(self) -> None:
        """Was another process refused with what we have? Is there something else by now?"""
        if (held := self._held_seconds()) == 0:
            return
        if self._asked_at is None or self._clock() - self._asked_at > _ASKED_AGAIN_SECONDS:
            self._asked_at = self._clock()
            if self._credentials.reread() and self._held_seconds() == 0:
                return
        assert self._lockout is not None
        mark = self._lockout.path(self._credentials.identity() or SecretStr(""))
        raise CredentialsRefused(
            f"{self._host} refused these credentials a while ago; nothing is sent with them for "
            f"{math.ceil(held / 60)} more minutes, so that their account isn't locked (if that is "
            f"mended, remove {mark} to go on at once)"
        )
