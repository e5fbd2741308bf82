"""A message of this fleet as it lies in Redis, and ways to spoil it; for tests."""

import base64
import copy
import json
import pickle
from pathlib import Path
from typing import Any

# In whatever is refused, and in no line that tells of it.
SECRET = "geheim-0815"
QUEUE = "driftfleet.checks.29"
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
JOB = {
    "schema_version": 1,
    "sweep_id": "test-20261129T131051-63d186",
    "source": {"kind": "local", "repo": "/srv/repo", "ref": "main"},
    "root": "q",
    "variant": {"env": {"TF_VAR_word": SECRET}},
}


def encoded(content: Any) -> str:
    """A body."""
    return base64.b64encode(json.dumps(content).encode()).decode()


def message(**changes: Any) -> dict[str, Any]:
    """One as Celery 5.7 sends it; of each change the name is a place, such as ``headers__task``."""
    name = "test-20261129T131051-63d186-1-73ed38c4716386567277a915"
    whole: dict[str, Any] = {
        "body": encoded([[JOB], {}, EMBED]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py", "task": "driftfleet.check", "id": name, "shadow": None, "eta": None,
            "expires": None, "group": None, "group_index": None, "retries": 0,
            "timelimit": [None, None], "root_id": name, "parent_id": None,
            "argsrepr": "local/repo-9c2bd63a q default", "kwargsrepr": "", "origin": "gen1@host",
            "ignore_result": None, "replaced_task_nesting": 0, "stamped_headers": None,
            "stamps": {}, "sent_at": 1795957851.361,
        },
        "properties": {
            "correlation_id": name, "reply_to": "02e28b00-aa63-3a3b-aa91-5f8b8f79d8bc",
            "argsrepr": "local/repo-9c2bd63a q default", "kwargsrepr": "", "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": QUEUE}, "priority": 0,
            "body_encoding": "base64", "delivery_tag": "65dc55c5-12da-40ba-9bbb-3852b3049593",
        },
    }  # fmt: skip
    return spoiled(whole, **changes)


def spoiled(whole: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy of it with these changes."""
    made = copy.deepcopy(whole)
    for place, value in changes.items():
        *folders, name = place.replace("content_", "content-").split("__")
        part = made
        for folder in folders:
            part = part[folder]
        part[name] = value
    return made


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def pickled(path: Path) -> str:
    """A body that makes a file of whoever unpickles it."""
    return base64.b64encode(pickle.dumps(_Bomb(path))).decode()


def call(task: str) -> dict[str, Any]:
    """What Celery would call when a task has ended, or with which."""
    return {
        "task": task, "args": [], "kwargs": {}, "options": {"queue": "driftfleet.called"},
        "subtask_type": None, "immutable": True,
    }  # fmt: skip


# By what is wrong with it.
SPOILED: dict[str, dict[str, Any]] = {
    "no headers": {"headers": None},
    "no properties": {"properties": None},
    "headers of another type": {"headers": [1]},
    "empty headers": {"headers": {}},
    "no body": {"body": None},
    "a body of another type": {"body": {"a": 1}},
    "no base64": {"body": "!!!"},
    "half of base64": {"body": "a"},
    "base64 of no JSON": {"body": base64.b64encode(b"\x00\xff").decode()},
    "a body that is nested": {"body": base64.b64encode(b"[" * 100_000).decode()},
    "a body that is an object": {"body": encoded({"a": 1})},
    "a body that is a number": {"body": encoded(5)},
    "a body that is a text": {"body": encoded("abc")},
    "a body of two": {"body": encoded([[JOB], {}])},
    "args that are no list": {"body": encoded([{"a": JOB}, {}, EMBED])},
    "args that are a text": {"body": encoded(["abc", {}, EMBED])},
    "kwargs": {"body": encoded([[JOB], {"payload": JOB}, EMBED])},
    "kwargs that are no object": {"body": encoded([[JOB], 5, EMBED])},
    "embed that is no object": {"body": encoded([[JOB], {}, 5])},
    "callbacks": {"body": encoded([[JOB], {}, {**EMBED, "callbacks": [call("driftfleet.tick")]}])},
    "errbacks": {"body": encoded([[5], {}, {**EMBED, "errbacks": [call("driftfleet.tick")]}])},
    "a chain": {"body": encoded([[JOB], {}, {**EMBED, "chain": [call("driftfleet.tick")]}])},
    "a chord": {"body": encoded([[JOB], {}, {**EMBED, "chord": call("driftfleet.tick")}])},
    "callbacks in the headers": {"headers__callbacks": [call("driftfleet.tick")]},
    "a chord in the headers": {"headers__chord": call("driftfleet.tick")},
    "a group": {"headers__group": "driftfleet"},
    "arguments of another type": {
        "body": encoded([[{"__type__": "decimal", "__value__": "1e999999999"}], {}, EMBED])
    },
    "arguments that are nested": {"body": encoded([json.loads("[" * 200 + "]" * 200), {}, EMBED])},
    "pickle": {
        "content_type": "application/x-python-serialize", "content_encoding": "binary",
    },
    "yaml": {"content_type": "application/x-yaml"},
    "a content type of another type": {"content_type": {}},
    "an encoding that is none": {"content_encoding": "rot99"},
    "a body_encoding that is none": {"properties__body_encoding": "rot13"},
    "a body_encoding of another type": {"properties__body_encoding": {}},
    "compression": {"headers__compression": "application/x-gzip"},
    "an eta far away": {"headers__eta": "2100-01-01T00:00:00+00:00"},
    "an eta that is none": {"headers__eta": 5},
    "expires that is a number": {"headers__expires": 5},
    "expires that is no time": {"headers__expires": "tomorrow"},
    "expires of another type": {"headers__expires": {}},
    "a task of somebody else": {"headers__task": "os.system"},
    "a task of Celery's": {"headers__task": "celery.map"},
    "a task of another type": {"headers__task": {}},
    "no task": {"headers__task": None},
    "an id of another type": {"headers__id": [1]},
    "an id that is endless": {"headers__id": "x" * 100_000},
    "no id": {"headers__id": None},
    "a time limit that is none": {"headers__timelimit": "x"},
    "time limits that are none": {"headers__timelimit": [{}, "a"]},
    "endless time limits": {"headers__timelimit": [1e12, 1e12]},
    "retries that are no number": {"headers__retries": "a"},
    "another name": {"headers__shadow": "driftfleet.other"},
    "stamps": {"headers__stamps": 5},
    "argsrepr of another type": {"headers__argsrepr": {"a": [1]}},
    "a sent_at that is no number": {"headers__sent_at": "x"},
    "a sent_at without an end": {"headers__sent_at": float("inf")},
    "another queue": {"properties__delivery_info__routing_key": "driftfleet.producer"},
    "a delivery of another type": {"properties__delivery_info": 5},
    "delivery fields of another type": {
        "properties__delivery_info": {"exchange": 5, "routing_key": {}},
    },
    "a tag of another type": {"properties__delivery_tag": 5},
    "a priority that is none": {"properties__priority": "urgent"},
    "reply_to of another type": {"properties__reply_to": {"a": 1}},
}  # fmt: skip
