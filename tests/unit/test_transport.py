"""What our messages don't say, because a hundred thousand of them may wait."""

from kombu.transport.virtual import Channel as Kombu

from driftfleet.transport import Channel


def test_what_is_said_twice_or_not_at_all_is_not_sent() -> None:
    channel = object.__new__(Channel)
    channel.default_priority = 0
    headers = {"task": "t", "id": "i", "argsrepr": "a", "eta": None, "retries": 0, "lang": "py"}
    properties = {"argsrepr": "a", "kwargsrepr": "", "reply_to": "r", "correlation_id": "c"}
    sent = channel.prepare_message("body", headers=headers, properties=dict(properties))
    kept = Kombu.prepare_message(channel, "body", headers=headers, properties=dict(properties))
    assert sent["headers"] == {"task": "t", "id": "i", "argsrepr": "a"}
    assert sent["properties"].keys() == kept["properties"].keys() - {
        "argsrepr", "kwargsrepr", "reply_to",
    }  # fmt: skip
    assert sent["body"] == "body"
