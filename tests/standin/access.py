"""Tokens: which are accepted, and what they see."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.standin.answers import Request
from tests.standin.repositories import Repository


@dataclass(frozen=True)
class App:
    """A GitHub App, one installation of it, and the public key (PEM) that signs for it."""

    id: int
    installation: int
    public_key: str


class Access:
    """The credentials that a server accepts.

    ``token`` is set by `rotate`. ``private_mode`` off: public repositories need no token. So many
    bad credentials as ``lock_out_after`` says lock everybody out.
    """

    def __init__(self, token: str, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.token = token
        self.private_mode = True
        self.app: App | None = None
        self.installation_seconds = 3600
        self.installation_tokens: dict[str, float] = {}
        self.lock_out_after: int | None = None
        self.refused_credentials = 0
        self._more_tokens: set[str] = set()
        # A renewed token sees what its first predecessor saw.
        self._origins: dict[str, str] = {}
        self._counting = threading.Lock()

    def accept(self, token: str) -> None:
        """Accept one more token."""
        self._more_tokens.add(token)

    def rotate(self, new: str) -> None:
        """Replace the token: from now on the old one is refused."""
        self._origins[new] = self._origins.get(self.token, self.token)
        self.token = new

    def knows(self, token: str | None) -> bool:
        """Whether a token is accepted now."""
        if token is None:
            return False
        alive = self.installation_tokens.get(token, 0) > self.clock()
        return alive or token == self.token or token in self._more_tokens

    def sees(self, request: Request, repository: Repository) -> bool:
        """Whether this request's token sees a repository."""
        if not repository.private:
            return True
        tokens = {request.token, self._origins.get(request.token or "")}
        allowed = repository.visible_to is None or tokens & repository.visible_to
        return request.authorised and bool(allowed)

    @property
    def locked(self) -> bool:
        """Whether bad credentials have locked the account out."""
        return self.lock_out_after is not None and self.refused_credentials >= self.lock_out_after

    def count_refusal(self) -> None:
        """One more answer to bad credentials."""
        with self._counting:
            self.refused_credentials += 1

    def issue_installation_token(self) -> tuple[str, float]:
        """A new token of the app's installation, and when it expires."""
        token = f"ghs_{secrets.token_hex(18)}"
        expires = self.clock() + self.installation_seconds
        self.installation_tokens[token] = expires
        return token, expires
