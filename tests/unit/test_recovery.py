"""When a scan starts its worker again, asks again, and gives up; in invented time."""

import itertools

from producer.recovery import (
    LOST_SECONDS,
    MOST_RESENDS,
    MOST_RESTARTS,
    Action,
    Observation,
    Recovery,
)

PATIENCE = 600.0


def seen(*, alive: bool = True, queued: bool = True, progress: object = 0) -> Observation:
    return Observation(alive=alive, queued=queued, progress=(progress,))


def decisions(observation: Observation, until: float, step: float = 0.5) -> list[Action]:
    recovery = Recovery(0.0, PATIENCE)
    times = [step * n for n in range(1, int(until / step) + 1)]
    found: list[Action] = []
    for now in times:
        found.append(recovery.decide(now, observation))
        if found[-1] is Action.GIVE_UP:
            break
    return found


def test_while_all_is_well_it_waits() -> None:
    recovery = Recovery(0.0, PATIENCE)
    for now in range(1, 5000, 10):
        assert recovery.decide(now, seen(progress=now)) is Action.WAIT


def test_a_dead_worker_is_started_again_at_once_if_it_had_lived() -> None:
    recovery = Recovery(0.0, PATIENCE)
    assert recovery.decide(100.0, seen(alive=False)) is Action.RESTART


def test_a_worker_that_dies_at_once_is_started_again_a_second_apart_and_not_for_ever() -> None:
    found = decisions(seen(alive=False), until=60)
    assert found.count(Action.RESTART) == MOST_RESTARTS
    assert found[-1] is Action.GIVE_UP
    restarts = [n for n, action in enumerate(found) if action is Action.RESTART]
    assert all(b - a >= 2 for a, b in itertools.pairwise(restarts))


def test_a_lost_message_is_asked_for_again_twice_and_then_given_up() -> None:
    found = decisions(seen(queued=False), until=60)
    assert found.count(Action.RESEND) == MOST_RESENDS
    assert found[-1] is Action.GIVE_UP
    assert Action.RESEND not in found[: int(LOST_SECONDS / 0.5) - 1]


def test_a_queue_that_is_empty_for_a_moment_has_lost_nothing() -> None:
    recovery = Recovery(0.0, PATIENCE)
    for now in range(1, 100):
        empty = now % 4 != 0
        assert recovery.decide(now, seen(queued=not empty, progress=now)) is Action.WAIT


def test_when_nothing_moves_for_longer_than_a_check_may_take_it_gives_up_and_says_so() -> None:
    recovery = Recovery(0.0, PATIENCE)
    assert recovery.decide(1.0, seen()) is Action.WAIT
    assert recovery.decide(PATIENCE, seen()) is Action.WAIT
    assert recovery.decide(PATIENCE + 2, seen()) is Action.GIVE_UP
    assert recovery.reason == "nothing moved for 600 seconds"


def test_every_movement_starts_the_patience_anew() -> None:
    recovery = Recovery(0.0, PATIENCE)
    recovery.decide(PATIENCE - 1, seen(progress=1))
    assert recovery.decide(2 * PATIENCE - 2, seen(progress=1)) is Action.WAIT
    assert recovery.decide(2 * PATIENCE, seen(progress=1)) is Action.GIVE_UP
