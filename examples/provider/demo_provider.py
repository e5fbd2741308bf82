"""A small Terraform provider, ``driftfleet/demo``, that needs no cloud: its real world is files.

It exists for the example fleet and for the tests. `mirror.py` puts it into a provider mirror.

    resource "demo_file"       a file on disk; changed or deleted files are seen as drift
    data     "demo_file"       what a file holds now
    data     "demo_fault"      misbehaves while it is read, which is during the plan: see FAULTS
    data     "demo_environ"    this process's environment as JSON
"""

# ruff: noqa: ARG001, ARG002 - the signatures are the library's, and all faults share one
# ruff: noqa: PLC0415 - a provider starts three times in a plan; what only a fault needs comes later

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tf.iface import DataSource, Provider, Resource
from tf.runner import run_provider
from tf.schema import Attribute, Schema
from tf.types import Bool, Map, Number, String, Unknown

State = dict[str, Any]
# Before this module changes HOME for the library: see `private_home`.
ENVIRONMENT = dict(os.environ)


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def content_of(path: str) -> str | None:
    """A file's text, or None where there is no such file."""
    try:
        return Path(path).read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


class DemoProvider(Provider):
    """``empty_for_null``: answer "" and {} where null was set, as many real APIs do."""

    def __init__(self) -> None:
        self.empty_for_null = False

    def get_model_prefix(self) -> str:
        return "demo_"

    def full_name(self) -> str:
        return "registry.terraform.io/driftfleet/demo"

    def get_provider_schema(self, diags: Any) -> Schema:
        return Schema(version=0, attributes=[Attribute("empty_for_null", Bool(), optional=True)])

    def validate_config(self, diags: Any, config: State) -> None:
        pass

    def configure_provider(self, diags: Any, config: State) -> None:
        self.empty_for_null = config["empty_for_null"] is True

    def get_data_sources(self) -> list[type[DataSource]]:
        return [FileSource, FaultSource, EnvironSource]

    def get_resources(self) -> list[type[Resource]]:
        return [FileResource]


class FileResource(Resource):
    """A file. ``note`` and ``labels`` are kept in the state only; they exist for null and empty."""

    def __init__(self, provider: DemoProvider) -> None:
        self.provider = provider

    @classmethod
    def get_name(cls) -> str:
        return "file"

    @classmethod
    def get_schema(cls) -> Schema:
        # Optional and computed: Terraform then accepts that a null comes back as an empty value.
        return Schema(
            version=0,
            attributes=[
                Attribute("path", String(), required=True, requires_replace=True),
                Attribute("content", String(), required=True),
                Attribute("note", String(), optional=True, computed=True, default=None),
                Attribute("labels", Map(String()), optional=True, computed=True, default=None),
                Attribute("sha256", String(), computed=True),
                Attribute("id", String(), computed=True),
            ],
        )

    def validate(self, diags: Any, type_name: str, config: State) -> None:
        path = config["path"]
        if isinstance(path, str) and not os.path.isabs(path):
            diags.add_error("path must be absolute", f"It is {path!r}.", path=["path"])

    def create(self, ctx: Any, planned: State) -> State:
        return self._write(planned)

    def update(self, ctx: Any, current: State, planned: State) -> State:
        return self._write(planned)

    def _write(self, planned: State) -> State:
        path = Path(planned["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(planned["content"].encode())
        known = {key: None if value is Unknown else value for key, value in planned.items()}
        return {**known, "id": str(path), "sha256": digest(planned["content"])}

    def read(self, ctx: Any, current: State) -> State | None:
        content = content_of(current["path"])
        if content is None:
            return None
        found = {**current, "content": content, "sha256": digest(content)}
        if self.provider.empty_for_null:
            found["note"] = found["note"] or ""
            found["labels"] = found["labels"] or {}
        return found

    def plan(self, ctx: Any, current: State | None, planned: State) -> State:
        if "content" in ctx.changed_fields:
            content = planned["content"]
            planned["sha256"] = Unknown if content is Unknown else digest(content)
        if "path" in ctx.changed_fields:
            planned["id"] = Unknown
        return planned

    def delete(self, ctx: Any, current: State) -> None:
        Path(current["path"]).unlink(missing_ok=True)


class FileSource(DataSource):
    """What a file holds now; an error where it doesn't exist."""

    def __init__(self, provider: DemoProvider) -> None:
        pass

    @classmethod
    def get_name(cls) -> str:
        return "file"

    @classmethod
    def get_schema(cls) -> Schema:
        return Schema(
            version=0,
            attributes=[
                Attribute("path", String(), required=True),
                Attribute("content", String(), computed=True),
                Attribute("sha256", String(), computed=True),
            ],
        )

    def read(self, ctx: Any, config: State) -> State | None:
        content = content_of(config["path"])
        if content is None:
            ctx.diagnostics.add_error("No such file", f"{config['path']} does not exist.")
            return None
        return {**config, "content": content, "sha256": digest(content)}


class EnvironSource(DataSource):
    """The environment that the provider was started with, as a JSON object."""

    def __init__(self, provider: DemoProvider) -> None:
        pass

    @classmethod
    def get_name(cls) -> str:
        return "environ"

    @classmethod
    def get_schema(cls) -> Schema:
        return Schema(version=0, attributes=[Attribute("json", String(), computed=True)])

    def read(self, ctx: Any, config: State) -> State:
        return {"json": json.dumps(ENVIRONMENT, sort_keys=True)}


class FaultSource(DataSource):
    """Misbehaves as ``kind`` says; ``detail`` tells, as JSON, what it did where it answers."""

    def __init__(self, provider: DemoProvider) -> None:
        pass

    @classmethod
    def get_name(cls) -> str:
        return "fault"

    @classmethod
    def get_schema(cls) -> Schema:
        return Schema(
            version=0,
            attributes=[
                Attribute("kind", String(), required=True),
                Attribute("seconds", Number(), optional=True),
                Attribute("megabytes", Number(), optional=True),
                Attribute("then_hang", Bool(), optional=True),
                Attribute("marker", String(), optional=True),
                Attribute("detail", String(), computed=True),
            ],
        )

    def validate(self, diags: Any, type_name: str, config: State) -> None:
        kind = config["kind"]
        if isinstance(kind, str) and kind not in FAULTS:
            diags.add_error(f"no such fault: {kind}", "One of: " + ", ".join(FAULTS), ["kind"])

    def read(self, ctx: Any, config: State) -> State:
        detail = FAULTS[config["kind"]](config)
        if config["then_hang"]:
            hang(config)
        return {**config, "detail": json.dumps(detail)}


def hang(config: State) -> None:
    """Never answer, but end when asked to, as a provider that waits for a slow API does."""
    while True:
        time.sleep(3600)


def crash(config: State) -> None:
    """End the process in the middle of the call, after ``seconds``."""
    time.sleep(config["seconds"] or 0)
    os._exit(70)


def slow(config: State) -> None:
    """Answer after ``seconds``."""
    time.sleep(config["seconds"] or 0)


def write(config: State) -> dict[str, Any]:
    """Write ``megabytes`` below TMPDIR, 1 MB a file, evenly over ``seconds``, and leave them."""
    total = int(config["megabytes"] or 0)
    folder = Path(tempfile.mkdtemp(prefix="fault-", dir=ENVIRONMENT.get("TMPDIR")))
    chunk = os.urandom(1 << 16)
    for number in range(total):
        with (folder / f"{number}.bin").open("wb", buffering=0) as file:
            for _ in range(16):
                file.write(chunk)
        time.sleep((config["seconds"] or 0) / total)
    return {"folder": str(folder), "bytes": total << 20}


def memory(config: State) -> dict[str, Any]:
    """Take ``megabytes`` of resident memory and keep them for ``seconds``."""
    held = bytearray(os.urandom(1 << 20) * int(config["megabytes"] or 0))
    time.sleep(config["seconds"] or 0)
    return {"bytes": len(held)}


def burn(config: State) -> None:
    """Keep a processor busy until ``seconds`` of its time are used."""
    end = time.process_time() + (config["seconds"] or 0)
    while time.process_time() < end:
        pass


# Run by a fresh interpreter: forking this process would copy gRPC's locks in any state.
# "daemon" leaves its parent, session and process group, so only its id or its cgroup finds it.
_CHILD = """
import os, sys, time
if sys.argv[1] == "daemon" and os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        time.sleep(float(sys.argv[2]))
    os._exit(0)
if sys.argv[1] == "daemon":
    os.wait()
else:
    time.sleep(float(sys.argv[2]))
"""


def child(config: State) -> dict[str, Any]:
    """Leave two processes behind for ``seconds`` (600): a plain child and a daemon.

    ``marker`` is their last argument, so that a test finds its own in the process table.
    """
    import subprocess

    command = [sys.executable, "-I", "-S", "-B", "-c", _CHILD]
    tail = [str(config["seconds"] or 600), config["marker"] or "demo-fault-child"]
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    plain = subprocess.Popen([*command, "plain", *tail], stdout=subprocess.DEVNULL, **quiet)
    daemon = subprocess.run(
        [*command, "daemon", *tail], stdout=subprocess.PIPE, check=True, **quiet
    )
    return {"plain": plain.pid, "daemon": int(daemon.stdout)}


def stubborn(config: State) -> None:
    """Hang so that neither TERM nor INT nor Terraform's own stop request ends the process."""
    import ctypes
    import signal

    ignore = ctypes.c_void_p(int(signal.SIG_IGN))
    libc = ctypes.PyDLL(None)  # a PyDLL keeps the interpreter's lock: every other thread stops too
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        libc.signal(int(number), ignore)  # signal.signal works in the main thread only
    while True:
        libc.sleep(3600)


FAULTS: dict[str, Callable[[State], dict[str, Any] | None]] = {
    function.__name__: function
    for function in (hang, crash, slow, write, memory, burn, child, stubborn)
}


@contextmanager
def private_home() -> Iterator[None]:
    """Give the library a HOME of its own: it keeps a key and a certificate there, for good."""
    folder = tempfile.mkdtemp(prefix="demo-")
    os.environ["HOME"] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    with private_home():
        run_provider(DemoProvider())
    # A thread that still hangs must not keep the process: the interpreter would wait for it.
    os._exit(0)


if __name__ == "__main__":
    main()
