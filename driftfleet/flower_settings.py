"""How `driftfleet flower` listens, and who may look: a section of the settings."""

from pydantic import Field, field_validator

from driftfleet.model import Record
from driftfleet.secrets import require_place


class FlowerSettings(Record):
    """Where Flower listens. ``password`` is the URL of a secret (`driftfleet.secrets`).

    Without one it listens on loopback only.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=5555, ge=0, le=65535)
    user: str = Field(default="driftfleet", min_length=1)
    password: str | None = None

    @field_validator("user")
    @classmethod
    def _fits_into_a_header(cls, user: str) -> str:
        # RFC 7617: the first colon ends the name, and what else than ASCII means is left open.
        if ":" in user or not (user.isascii() and user.isprintable()):
            raise ValueError("must be printable ASCII without ':'")
        return user

    @field_validator("password")
    @classmethod
    def _is_a_place(cls, password: str | None) -> str | None:
        return None if password is None else require_place(password, "password")
