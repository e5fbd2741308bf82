"""The base of every record that is stored or sent: frozen, closed, plain JSON."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from driftfleet.errors import ContractError

_MOST_TOLD = 20
_TOLD_CHARACTERS = 200


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
        wrong = wrong_with(error)
        raise ContractError(f"not a {model.__name__} of schema 1: {wrong}", payload) from error


def wrong_with(error: ValidationError) -> str:
    """Which fields are wrong, and how, on one line; none of their values."""
    told = [
        ": ".join(filter(None, (".".join(map(str, one["loc"]))[:_TOLD_CHARACTERS], one["msg"])))
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = [f"and {len(told) - _MOST_TOLD:,} more"] if len(told) > _MOST_TOLD else []
    return "; ".join([*told[:_MOST_TOLD], *more])
