"""The store under what a machine does to it: kill -9, a full disk, a read-only one."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from driftfleet.blobs import BlobStore, blob_hash
from tests.conftest import require_program

WRITE = """
import random, sys
from pathlib import Path
from driftfleet.blobs import BlobStore, blob_hash
store = BlobStore(Path(sys.argv[1]), 1 << 30)
print("begun", flush=True)
for number in range(4000):
    content = random.Random(number % 40).randbytes(200_000 + number % 40)
    store.put(blob_hash(content), content)
"""
FILL = """
import json, sys
from pathlib import Path
from driftfleet.blobs import BlobStore, blob_hash
store = BlobStore(Path(sys.argv[1]), 1 << 30)
blobs = [b"%d" % n + bytes(50_000) for n in range(200)]
kept = [store.put(blob_hash(content), content) for content in blobs]
read = [store.get(blob_hash(content)) for content in blobs]
wrong = [n for n, content in enumerate(read) if content not in (None, blobs[n])]
left = [str(path) for path in Path(sys.argv[1]).rglob(".staged*")]
print(json.dumps({"kept": sum(kept), "there": sum(c is not None for c in read),
                  "wrong": wrong, "left": left}))
"""


def content_of(number: int) -> bytes:
    return random.Random(number).randbytes(200_000 + number)


def test_a_killed_writer_leaves_no_wrong_byte(tmp_path: Path) -> None:
    chance = random.Random(7)
    store = BlobStore(tmp_path, 1 << 30)
    contents = [content_of(number) for number in range(40)]
    for _ in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"begun\n"
        time.sleep(chance.uniform(0, 0.05))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        for content in contents:
            assert store.get(blob_hash(content)) in (None, content)
        # So that the next one has something to write.
        for path in tmp_path.rglob("*"):
            if path.is_file() and not path.name.startswith(".") and chance.random() < 0.7:
                path.unlink()
    BlobStore(tmp_path, 1 << 30, clock=lambda: time.time() + 7200).trim()
    assert list(tmp_path.rglob(".staged*")) == []


@pytest.mark.parametrize("mount", ["full", "read-only"])
def test_a_disk_that_takes_no_more_is_no_error(tmp_path: Path, mount: str) -> None:
    bwrap = require_program("bwrap", "apt-get install bubblewrap")
    folder = tmp_path / "blobs"
    folder.mkdir()
    place = {
        "full": ["--size", str(4 << 20), "--tmpfs", str(folder)],
        "read-only": ["--ro-bind", str(folder), str(folder)],
    }[mount]
    answer = subprocess.run(
        [bwrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", *place,
         "--die-with-parent", "--", sys.executable, "-c", FILL, str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout  # fmt: skip
    told = json.loads(answer)
    assert (told["wrong"], told["left"]) == ([], [])
    if mount == "full":
        assert 40 < told["there"] <= told["kept"] < 200
    else:
        assert (told["kept"], told["there"]) == (0, 0)
