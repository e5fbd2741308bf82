"""What is a message of a task, and what would end a worker that takes it for one."""

import base64
import json
from typing import Any

import pytest
from kombu.transport.virtual import Channel as Kombu

from driftfleet.transport import Channel, _is_message, _is_task

BODY = json.dumps([[{"sweep_id": "s1"}], {}, {"callbacks": None}])
GOOD: dict[str, Any] = {
    "body": BODY,
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {"task": "driftfleet.check", "id": "s1-1-abc"},
    "properties": {
        "body_encoding": "utf-8",
        "delivery_tag": "t",
        "delivery_info": {"exchange": "", "routing_key": "driftfleet.checks.01"},
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(json.dumps(GOOD))
    place = message
    *folders, name = path.split(".")
    for folder in folders:
        place = place[folder]
    if value is ...:
        del place[name]
    else:
        place[name] = value
    return message


def test_a_task_is_one_however_its_body_is_written() -> None:
    assert _is_message(GOOD)
    assert _is_task(GOOD)
    encoded = changed("body", base64.b64encode(BODY.encode()).decode())
    encoded["properties"]["body_encoding"] = "base64"
    assert _is_task(encoded)


@pytest.mark.parametrize(
    "message", [None, 5, "x", [], {}, {"body": "x"}, {**GOOD, "body": None}, {**GOOD, "body": 5}]
)
def test_json_that_is_no_message_is_none(message: Any) -> None:
    assert not _is_message(message)


@pytest.mark.parametrize("value", [..., None, 5, "x", []])
@pytest.mark.parametrize(
    "path",
    ["headers", "properties", "properties.delivery_info", "properties.delivery_info.exchange",
     "properties.delivery_info.routing_key", "properties.delivery_tag"],
)  # fmt: skip
def test_without_what_kombu_takes_for_granted_it_is_no_message(path: str, value: Any) -> None:
    if (path.rpartition(".")[2], value) in (
        ("delivery_tag", "x"), ("exchange", "x"), ("routing_key", "x"),
    ):  # fmt: skip
        assert _is_message(changed(path, value))
    else:
        assert not _is_message(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("headers.task", ...),
        ("headers.task", ["x"]),
        ("headers.task", None),
        ("headers.id", ...),
        ("headers.id", {"x": 1}),
        ("headers.id", 5),
        ("headers.eta", 5),
        ("headers.eta", True),
        ("headers.expires", True),
        ("headers.expires", []),
        ("headers.shadow", {"x": 1}),
        ("headers.timelimit", 5),
        ("headers.timelimit", [1]),
        ("headers.timelimit", ["soft", "hard"]),
        ("headers.compression", "application/x-gzip"),
        ("body", ""),
        ("body", "{"),
        ("body", "5"),
        ("body", "{}"),
        ("body", "[]"),
        ("body", "[[], {}]"),
        ("body", "[{}, [], {}]"),
        ("body", "[[], {}, {}, {}]"),
        ("body", "[" * 100_000),
        ("content-encoding", "zlib"),
        ("content-encoding", None),
        ("properties.body_encoding", "rot13"),
        ("properties.body_encoding", ["utf-8"]),
        ("properties.body_encoding", "base64"),  # and its body isn't
    ],
)
def test_a_message_that_would_end_the_main_process_is_no_task(path: str, value: Any) -> None:
    assert not _is_task(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("headers.eta", "2030-01-01T00:00:00"),
        ("headers.expires", "no time"),
        ("headers.timelimit", [None, 20]),
        ("headers.stamps", {}),
        ("content-type", "application/x-python-serialize"),
    ],
)
def test_what_celery_itself_takes_or_refuses_is_left_to_it(path: str, value: Any) -> None:
    assert _is_task(changed(path, value))


def test_what_is_said_twice_or_not_at_all_is_not_sent() -> None:
    channel = object.__new__(Channel)
    channel.default_priority = 0
    headers = {"task": "t", "id": "i", "argsrepr": "a", "eta": None, "retries": 0}
    properties = {"argsrepr": "a", "kwargsrepr": "", "reply_to": "r", "correlation_id": "c"}
    sent = channel.prepare_message("body", headers=headers, properties=dict(properties))
    kept = Kombu.prepare_message(channel, "body", headers=headers, properties=dict(properties))
    assert sent["headers"] == {"task": "t", "id": "i", "argsrepr": "a", "retries": 0}
    assert sent["properties"].keys() == kept["properties"].keys() - {
        "argsrepr", "kwargsrepr", "reply_to",
    }  # fmt: skip
    assert sent["body"] == "body"
