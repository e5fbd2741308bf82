"""The newest result of a root and variant, and what came before it."""

from typing import Literal

from pydantic import AwareDatetime

from driftfleet.model import Record
from driftfleet.results import Result


class LatestRecord(Record):
    """The newest result of a root and variant, and since when it has been so.

    ``first_seen`` is when the present verdict was first given without another one between;
    ``streak`` is how many checks in a row gave it.
    """

    schema_version: Literal[1] = 1
    first_seen: AwareDatetime
    streak: int
    result: Result
