"""What a health check makes of a service's answer."""

import pytest

from driftfleet.health import judge, role_of


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("/usr/bin/tini -- driftfleet worker --concurrency 4", "worker"),
        ("/opt/driftfleet/bin/driftfleet beat", "beat"),
        ("python /opt/driftfleet/bin/driftfleet flower", "flower"),
        ("tini -- driftfleet --config /run/fleet.yaml producer", "producer"),
        ("tini -- driftfleet --config=/run/fleet.yaml beat --log-level debug", "beat"),
        # Without an init the service itself is first, and `driftfleet` has become Celery.
        ("python -P -m celery -A worker.app worker --hostname worker@%h", "worker"),
        ("python -P -m celery -A producer.app worker --hostname producer@%h", "producer"),
        ("python -P -m celery -A producer.app beat --loglevel info", "beat"),
        ("python -m celery -A another.app worker", None),
        ("/usr/bin/tini -- driftfleet scan worker", None),
        ("/usr/bin/tini -- driftfleet --config worker scan", None),
        ("/usr/bin/tini -- driftfleet", None),
        ("sleep 60", None),
    ],
)
def test_the_first_process_says_which_service_it_is(command: str, role: str | None) -> None:
    assert role_of(command.replace(" ", "\0").encode() + b"\0") == role


@pytest.mark.parametrize(
    ("role", "age", "code", "words"),
    [
        ("worker", 4.2, 0, "turned 4 s ago"),
        ("worker", 181.0, 1, "has not turned for 181 s"),
        ("beat", None, 1, "nobody answers"),
        (None, None, 0, "no service"),
    ],
)
def test_it_is_healthy_while_its_main_loop_turns(
    role: str | None, age: float | None, code: int, words: str
) -> None:
    told = judge(role, age)
    assert told[0] == code
    assert words in told[1]
