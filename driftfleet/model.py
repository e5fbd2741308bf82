"""The base of every record that is stored or sent: frozen, closed, plain JSON."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from driftfleet.errors import ContractError


class Record(BaseModel):
    """A frozen record; a key that it does not know is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


RecordT = TypeVar("RecordT", bound=Record)


def decode_record(model: type[RecordT], payload: bytes | str) -> RecordT:
    """Read a stored record of the kind ``model``.

    Raises
    ------
    ContractError
        It is no such record of schema 1.
    """
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        raise ContractError(f"not a {model.__name__} of schema 1: {error}", payload) from error
