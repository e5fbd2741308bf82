"""A message is looked at before any of it is believed."""

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.envelope import NoMessage, open_envelope
from tests.envelopes import JOB, QUEUE, SECRET, SPOILED, encoded, message, spoiled

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda some: st.lists(some) | st.dictionaries(st.text(), some),
    max_leaves=10,
)


def test_a_message_of_ours_is_one() -> None:
    open_envelope(message(), QUEUE)


@pytest.mark.parametrize(
    "changes",
    [
        {"headers__redelivered": True, "properties__delivery_info__redelivered": True},
        {"headers__expires": "2001-01-01T00:00:00+00:00"},
        {"headers__timelimit": [600, 300]},
        {"headers__task": "driftfleet.unknown"},
        {"headers__traceparent": "00-4bf92f3577b34da6-00f067aa0ba902b7-01"},
        {"headers__sent_at": 0},
        {"properties__priority": 9},
        {"body": encoded([[], {}, {}])},
        {"body": encoded([[{**JOB, "variant": {"env": {"a": "__type__"}}}], {}, {}])},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_what_else_ours_may_be(changes: dict[str, Any]) -> None:
    open_envelope(message(**changes), QUEUE)


@pytest.mark.parametrize("what", SPOILED)
def test_what_is_none_is_refused_and_nothing_of_it_is_quoted(what: str) -> None:
    with pytest.raises(NoMessage) as refused:
        open_envelope(message(**SPOILED[what]), QUEUE)
    told = str(refused.value)
    assert len(told) < 100
    for words in ("rot13", "rot99", "os.system", "urgent", "tomorrow", "x" * 10, SECRET):
        assert words not in told


@pytest.mark.parametrize("text", ["null", "5", '"x"', "[]", "{}", '{"body": 1}', "[[[]]]"])
def test_other_json_is_no_message(text: str) -> None:
    with pytest.raises(NoMessage):
        open_envelope(json.loads(text), QUEUE)


@given(_JSON)
def test_whatever_json_it_is_it_is_refused(value: Any) -> None:
    with pytest.raises(NoMessage):
        open_envelope(value, QUEUE)


def _places(part: Any, place: str = "") -> list[str]:
    found = []
    for name, value in part.items():
        here = f"{place}{name}"
        found += [here, *(_places(value, f"{here}__") if isinstance(value, dict) else [])]
    return found


@given(st.sampled_from(_places(message())), _JSON)
def test_whatever_is_in_a_place_of_it_the_answer_is_yes_or_no(place: str, value: Any) -> None:
    made = spoiled(message(), **{place: value})
    before = copy.deepcopy(made)
    with contextlib.suppress(NoMessage):
        open_envelope(made, QUEUE)
    assert repr(made) == repr(before)


@given(_JSON, _JSON, _JSON)
def test_whatever_is_in_its_body_the_answer_is_yes_or_no(one: Any, two: Any, three: Any) -> None:
    for content in (one, [one, two], [one, two, three], [[one], {}, three]):
        with contextlib.suppress(NoMessage):
            open_envelope(message(body=encoded(content)), QUEUE)
