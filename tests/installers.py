"""Outside programs for tests of installs: what stands in for tfenv, tenv, and a terraform.

They do what the real ones do where it matters: unzip slowly into the final path of their folder.
"""

import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

from driftfleet.installs.folder import Installs
from driftfleet.installs.installer import Installer
from driftfleet.installs.tfenv import Tfenv
from driftfleet.locks import acquire
from tests.conftest import require_program
from tests.log_lines import whole_lines

SOON = 60.0

# Ten callers of one process, 0.18 s after each other, those of five others between them.
CALLERS = """\
import json, os, subprocess, sys, threading, time
from pathlib import Path
from driftfleet.installs.remote import parse_remote
from driftfleet.installs.tfenv import Tfenv
from tests.installers import open_folder, soon
folder, program, version, url, first, start = sys.argv[1:]
remote = parse_remote(url, "installs.remote") if url else None
tfenv = Tfenv(Path(program), dict(os.environ), remote=remote, verify_signatures=False)
installs = open_folder(Path(folder), tfenv)
answers = []
def call(number):
    time.sleep(max(0, float(start) + number * 0.03 - time.time()))
    try:
        with installs.use("terraform", version, soon()) as binary:
            environment = {"CHECKPOINT_DISABLE": "1", "HOME": "/nonexistent"}
            command = [binary, "version", "-json"]
            said = subprocess.run(command, capture_output=True, env=environment)
            answers.append(json.loads(said.stdout)["terraform_version"])
    except Exception as error:
        answers.append(repr(error))
threads = [threading.Thread(target=call, args=(int(first) + 6 * n,)) for n in range(10)]
[t.start() for t in threads]
[t.join() for t in threads]
print(json.dumps(answers))
"""
ONE_CALLER = """\
import os, sys
from pathlib import Path
from driftfleet.installs.remote import parse_remote
from driftfleet.installs.tfenv import Tfenv
from tests.installers import open_folder, soon
folder, program, version, url = sys.argv[1:]
remote = parse_remote(url, "installs.remote") if url else None
tfenv = Tfenv(Path(program), dict(os.environ), remote=remote, verify_signatures=False)
print(open_folder(Path(folder), tfenv).ensure("terraform", version, soon()))
"""
REPOSITORY = Path(__file__).parents[1]

# A shell script that says nothing until its last line is there: half of it is no binary.
BINARY = """\
#!/bin/sh
: <<'END'
{padding}
END
if [ "$2" = -json ]; then echo '{{"terraform_version": "{version}"}}'; exit; fi
echo 'NAME v{version}'
"""

PROGRAM = """\
#!{python} -IS
import json, os, signal, subprocess, sys, time
words = sys.argv[1:]
version = words[-1]
listing = version == "list-remote"
if words[0] in ("install", "list-remote"):
    place = os.path.join(os.environ["TFENV_CONFIG_DIR"], "versions", version, "terraform")
else:
    tool, name = {{"tf": ("Terraform", "terraform"), "tofu": ("OpenTofu", "tofu")}}[words[0]]
    place = os.path.join(os.environ["TENV_ROOT"], tool, version, name)
log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
told = {{"words": words, "pid": os.getpid(), "here": os.listdir("."), "cwd": os.getcwd(),
        "environment": dict(os.environ)}}
os.write(log, (json.dumps(told) + "\\n").encode())
if listing:
    {listing}
    sys.exit()
os.makedirs(os.path.dirname(place))
name = "OpenTofu" if place.endswith("tofu") else "Terraform"
content = {binary!r}.replace("VERSION", version).replace("NAME", name).encode()

def unzip(pauses):
    with open(place, "wb", buffering=0) as file:
        os.chmod(place, 0o755)
        for number in range(20):
            size = len(content) // 20 + 1
            file.write(content[number * size : (number + 1) * size])
            time.sleep(pauses)

{code}
"""


class Program:
    """An installer's program; ``code`` is what it does once it has told its log of its start.

    ``listing`` is what it does instead where it is asked for what there is.
    """

    def __init__(
        self,
        folder: Path,
        name: str = "tfenv",
        code: str = "unzip(0)",
        listing: str = "print('1.5.7')",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / name
        self._log = folder / f"{name}.log"
        binary = BINARY.format(padding="x" * 40_000, version="VERSION")
        self.path.write_text(
            PROGRAM.format(
                python=sys.executable,
                log=str(self._log),
                binary=binary,
                code=code,
                listing=listing.replace("\n", "\n    "),
            )
        )
        self.path.chmod(0o755)

    @property
    def starts(self) -> list[dict[str, object]]:
        """What it told at each start: words, pid, here, cwd, environment."""
        return [json.loads(line) for line in whole_lines(self._log)]

    def tfenv(self, **environment: str) -> Tfenv:
        """The installer that runs it as tfenv."""
        return Tfenv(self.path, {"PATH": os.environ["PATH"], **environment})

    def asked(self, word: str) -> int:
        """How often it was started with a word: install, list-remote."""
        return sum(word in str(start["words"]) for start in self.starts)

    def installs(self, folder: Path, **more: float) -> Installs:
        """A folder that it installs into."""
        return open_folder(folder, self.tfenv(), **more)


class Clock:
    """A time of day that only tests move."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def open_folder(
    folder: Path, installer: Installer, timeout_seconds: float = SOON, list_seconds: float = 3600
) -> Installs:
    """A folder of installed versions."""
    return Installs(folder, installer, timeout_seconds=timeout_seconds, list_seconds=list_seconds)


def soon() -> float:
    """A deadline that no test reaches."""
    return time.monotonic() + SOON


def waiting_threads() -> int:
    """How many threads of this process wait for a lock that somebody else has."""
    found = 0
    for frame in sys._current_frames().values():
        calls = [one.f_code for one, _ in traceback.walk_stack(frame)]
        found += acquire.__code__ in calls
    return found


def staged(folder: Path) -> list[str]:
    """What is left of installs that are over."""
    return sorted(os.listdir(folder / ".staging"))


def start(code: str, *arguments: object, prefix: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    """Start Python with our packages; its outputs are text."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def own_terraform() -> tuple[Path, str]:
    """The terraform on the PATH, and its version."""
    terraform = require_program("terraform", "it is what the tests plan with").resolve()
    return terraform, says(terraform)


def renamed_terraform(folder: Path) -> tuple[Path, str]:
    """The terraform on the PATH, made to take itself for another version, which it is told."""
    terraform, version = own_terraform()
    other = version[:-1] + ("0" if version[-1] != "0" else "1")
    content = terraform.read_bytes()
    assert content.count(version.encode()) == 1, "it stands once in the file: VERSION, embedded"
    binary = folder / f"terraform-{other}"
    binary.write_bytes(content.replace(version.encode(), other.encode()))
    binary.chmod(0o755)
    return binary, other


def says(binary: Path) -> str:
    """The version that a binary says it is."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "CHECKPOINT_DISABLE": "1"}
    command = [binary, "version", "-json"]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    version: str = json.loads(answer.stdout)["terraform_version"]
    return version
