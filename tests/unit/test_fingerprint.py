"""A set of changes is known again in any order, and from any other."""

from dataclasses import dataclass
from typing import get_args

from hypothesis import assume, given
from hypothesis import strategies as st

from driftfleet.fingerprint import fingerprint
from driftfleet.results import Change

NAMES = st.text(max_size=8)
CHANGES = st.builds(
    Change,
    address=NAMES,
    module=NAMES,
    type=NAMES,
    provider=NAMES,
    kind=st.sampled_from(get_args(Change.model_fields["kind"].annotation)),
    actions=st.lists(st.sampled_from(["create", "update", "delete"]), max_size=2).map(tuple),
    attributes=st.lists(NAMES, max_size=4).map(tuple),
)


@dataclass(frozen=True)
class _Essence:
    """What tells a change from another."""

    kind: str
    address: str
    actions: frozenset[str]
    attributes: frozenset[str]


def essence(change: Change) -> _Essence:
    return _Essence(
        change.kind, change.address, frozenset(change.actions), frozenset(change.attributes)
    )


@given(st.lists(CHANGES, max_size=6).flatmap(lambda c: st.tuples(st.just(c), st.permutations(c))))
def test_any_order_gives_the_same(both: tuple[list[Change], list[Change]]) -> None:
    one, other = both
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(iter(one)) == fingerprint([*one, *other])


@given(st.lists(CHANGES, min_size=1, max_size=6), st.data())
def test_the_order_of_actions_and_attributes_is_of_no_account(
    changes: list[Change], data: st.DataObject
) -> None:
    shuffled = [
        change.model_copy(
            update={
                "actions": tuple(data.draw(st.permutations(change.actions))),
                "attributes": tuple(data.draw(st.permutations(change.attributes))),
            }
        )
        for change in changes
    ]
    assert fingerprint(changes) == fingerprint(shuffled)


@given(st.lists(CHANGES, max_size=4), st.lists(CHANGES, max_size=4))
def test_two_sets_are_one_exactly_where_all_that_counts_is_the_same(
    one: list[Change], other: list[Change]
) -> None:
    same = set(map(essence, one)) == set(map(essence, other))
    assert (fingerprint(one) == fingerprint(other)) is same


@given(CHANGES, st.sampled_from(["address", "kind", "actions", "attributes"]), st.data())
def test_another_address_kind_action_or_attribute_is_another(
    change: Change, field: str, data: st.DataObject
) -> None:
    changed = change.model_copy(update={field: getattr(data.draw(CHANGES), field)})
    assume(essence(changed) != essence(change))
    assert fingerprint([changed]) != fingerprint([change])


def test_nothing_that_changed_has_none() -> None:
    assert fingerprint([]) == ""
    assert len(fingerprint([Change(address="a", kind="drift", actions=())])) == 16


def test_it_is_the_same_in_every_process_and_version() -> None:
    """It is stored: another one for the same changes would begin each drift anew."""
    change = Change(address="aws_s3_bucket.a", kind="drift", actions=("update",), attributes=("b",))
    assert fingerprint([change]) == "6f67e73fdb7d609b"
