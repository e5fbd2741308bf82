"""Has terraform or OpenTofu download packages: from the registry, or from a network mirror.

From the registry come archives, for any platform, by `terraform providers mirror`. From a network
mirror terraform downloads in `terraform init` alone: for its own platform, and unpacked.
"""

import itertools
import json
import re
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from driftfleet import process
from driftfleet.blocks import Block, SyntaxDoubt, items
from driftfleet.mirror.layout import REGISTRIES, Package, bytes_of, is_version
from driftfleet.mirror.locked import locked_providers
from driftfleet.mirror.room import MirrorDiskFull, free_bytes
from driftfleet.mirror.sources import Fetched, ProviderUnavailable
from driftfleet.mirror.unpack import MOST_BYTES, remove
from driftfleet.tree import LOCK_FILE
from driftfleet.versions.version_file import Program

# What terraform needs to reach a registry; no secret of the fleet's own is among it.
_ENVIRONMENT = re.compile(
    r"PATH|HOME|TZ|(HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy|SSL_CERT_(FILE|DIR)"
    r"|TF_TOKEN_\w+|TF_REGISTRY_\w+"
)
# Of a person's CLI configuration: how hosts are reached, and as whom.
_KEPT_BLOCKS = frozenset({"host", "credentials", "credentials_helper"})
_LONGEST_CONFIGURATION = 1 << 20
_LONGEST_ERROR = 700
_LONGEST_LOG = 1 << 16
# What every system calls ENOSPC, as Go writes it.
_NO_SPACE = b"no space left on device"
_POLL_SECONDS = 0.05
_MEASURE_SECONDS = 1.0
_TIMEOUT_SECONDS = 3600.0


@dataclass
class TerraformSource:
    """Downloads with one of ``programs``; ``url`` is a network mirror's, or None.

    OpenTofu is asked for what its own registry has, which doesn't sign all that it serves, and
    terraform for all else; where there is only one of them, that one. ``platform`` is theirs;
    ``mirror`` holds what needs no download. What is downloaded lies in ``folder`` until the sync's
    end. ``environment`` is the caller's own.
    """

    programs: Mapping[Program, str]
    environment: Mapping[str, str]
    folder: Path
    mirror: Path
    platform: str
    url: str | None = None
    most_bytes: int = MOST_BYTES
    _runs: "itertools.count[int]" = field(default_factory=itertools.count)
    _downloaded: dict[Package, Path] = field(default_factory=dict)
    _fetched: Path | None = None

    def newest(self, address: str, constraint: str, platforms: Iterable[str]) -> str:  # noqa: ARG002
        """Have terraform choose; it takes what the mirror already has from there."""
        run = self._prepare(address, constraint)
        self._init(run, address)
        locked = locked_providers((run / LOCK_FILE).read_text(encoding="utf-8"))
        version = next((one.version for one in locked if one.address == address), None)
        if version is None or not is_version(version):
            raise ProviderUnavailable(f"terraform chose {version!a}, which is no version")
        self._note(run, Package(address, version, self.platform))
        return version

    def fetch(self, package: Package, hashes: frozenset[str]) -> Fetched:
        if self.url is None:
            return self._from_registry(package)
        if package.platform != self.platform:
            raise ProviderUnavailable(
                f"from a network mirror terraform downloads for its own platform alone "
                f"({self.platform}): sync on a machine of the other kind, or from the registry or "
                "a folder"
            )
        if package not in self._downloaded or hashes:
            run = self._prepare_alone(package)
            (run / LOCK_FILE).write_text(_lock_file(package, hashes), encoding="utf-8")
            self._init(run, package.address)
            self._note(run, package)
        if package not in self._downloaded:
            raise ProviderUnavailable("terraform said that it is installed, and did not bring it")
        return Fetched(self._downloaded[package], locked=bool(hashes))

    def _from_registry(self, package: Package) -> Fetched:
        run = self._prepare_alone(package)
        # It asks the registry whatever the CLI configuration says of installation.
        self._write_configuration(run, package.address, "")
        command = ["providers", "mirror", "-no-color", f"-platform={package.platform}", "out"]
        self._terraform(run, package.address, command)
        return Fetched(run / "out" / package.archive)

    def _prepare_alone(self, package: Package) -> Path:
        """As `_prepare`; what was fetched last is in the mirror by now, and its disk given back."""
        if self._fetched is not None:
            remove(self._fetched)
        self._fetched = self._prepare(package.address, package.version)
        return self._fetched

    def _prepare(self, address: str, constraint: str) -> Path:
        run = self.folder / f"run-{next(self._runs)}"
        run.mkdir(mode=0o700)
        required = {"source": address} | ({"version": constraint} if constraint else {})
        # As JSON: what a repository wrote is quoted by a writer that knows how.
        text = json.dumps({"terraform": {"required_providers": {"wanted": required}}})
        (run / "main.tf.json").write_text(text, encoding="utf-8")
        return run

    def _init(self, run: Path, address: str) -> None:
        source = f"  network_mirror {{ url = {_quoted(self.url)} }}\n" if self.url else ""
        self._write_configuration(
            run,
            address,
            "provider_installation {\n"
            f"  filesystem_mirror {{ path = {_quoted(str(self.mirror))} }}\n"
            f"{source or '  direct {}' + chr(10)}"
            "}\n",
        )
        command = ["init", "-no-color", "-input=false", "-backend=false"]
        self._terraform(run, address, command)

    def _note(self, run: Path, package: Package) -> None:
        folder = run / ".terraform" / "providers" / package.path
        # A link leads to the mirror, which has it.
        if folder.is_dir() and not folder.is_symlink():
            self._downloaded[package] = folder

    def _program_for(self, address: str) -> Program:
        wanted: Program = "tofu" if address.startswith(f"{REGISTRIES['tofu']}/") else "terraform"
        return wanted if wanted in self.programs else next(iter(self.programs))

    def _write_configuration(self, run: Path, address: str, installation: str) -> None:
        blocks = _person_blocks(self.environment, self._program_for(address))
        text = f"disable_checkpoint = true\n{blocks}{installation}"
        (run / "terraform.rc").write_text(text, encoding="utf-8")

    def _terraform(self, run: Path, address: str, arguments: Sequence[str]) -> None:
        """Run it to its end, within its bounds. Raises `ProviderUnavailable` with its words."""
        kept = {k: v for k, v in self.environment.items() if _ENVIRONMENT.fullmatch(k)}
        temporary = run / "tmp"
        temporary.mkdir(exist_ok=True)
        environment = {
            **kept,
            # Archives are downloaded into it: what is killed leaves them where they are cleared up.
            "TMPDIR": str(temporary),
            "TF_CLI_CONFIG_FILE": str(run / "terraform.rc"),
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
        }
        program = self._program_for(address)
        free = free_bytes(run)
        log = run / "terraform.log"
        with log.open("wb") as output:
            running = process.start(
                [self.programs[program], *arguments],
                environment,
                death_signal=signal.SIGKILL,
                folder=run,
                stdout=output,
                stderr=output,
                # A Ctrl-C on the terminal is for us, who end it in order.
                new_session=True,
            )
            try:
                exit_code = self._wait(running, run)
            finally:
                running.kill()
                running.wait()
        if exit_code != 0 and _NO_SPACE in _beginning(log):
            raise MirrorDiskFull(
                f"the disk of {self.folder.parent} is full: {free:,} bytes were free when "
                f"{program} began to download {address}, and it needs more (it doesn't say how "
                "much). Make room there, and sync again: it goes on where it ended"
            )
        if exit_code != 0:
            raise ProviderUnavailable(_words(program, log, exit_code))

    def _wait(self, running: process.Process, run: Path) -> int:
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        measured = time.monotonic()
        while (exit_code := running.poll()) is None:
            time.sleep(_POLL_SECONDS)
            now = time.monotonic()
            if now >= deadline:
                raise ProviderUnavailable(f"it took longer than {_TIMEOUT_SECONDS:.0f} s")
            if now - measured >= _MEASURE_SECONDS:
                measured = now
                # Files come and go meanwhile; one that has just gone takes nothing.
                if _measured(run) > 2 * self.most_bytes:
                    raise ProviderUnavailable(f"it has more than {self.most_bytes >> 30} GiB")
        return exit_code


def _measured(folder: Path) -> int:
    try:
        return bytes_of(folder)
    except FileNotFoundError:
        return 0


def _quoted(text: str) -> str:
    """A string of HCL. Neither a path nor a URL may begin a template."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


def _lock_file(package: Package, hashes: Iterable[str]) -> str:
    lines = "".join(f"    {_quoted(one)},\n" for one in sorted(hashes))
    listed = f"  hashes = [\n{lines}  ]\n" if lines else ""
    return f'provider "{package.address}" {{\n  version = "{package.version}"\n{listed}}}\n'


def _person_blocks(environment: Mapping[str, str], program: Program) -> str:
    """What the person's own CLI configuration says of hosts; their installation is not ours."""
    home = environment.get("HOME", "")
    # OpenTofu reads its own first, and terraform's where that isn't there.
    own = program == "tofu" and Path(home, ".tofurc").exists()
    name = ".tofurc" if own else ".terraformrc"
    path = environment.get("TF_CLI_CONFIG_FILE") or f"{home}/{name}"
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_LONGEST_CONFIGURATION)
        blocks = [item for item in items(text) if isinstance(item, Block)]
    except (OSError, UnicodeDecodeError, SyntaxDoubt):
        return ""
    kept = [block for block in blocks if block.type in _KEPT_BLOCKS]
    return "".join(
        f"{block.type} {' '.join(_quoted(label) for label in block.labels)} {{"
        f"{text[block.body : _end_of(text, block)]}\n"
        for block in kept
    )


def _end_of(text: str, block: Block) -> int:
    end = block.body
    for item in items(text, block.body):
        end = _end_of(text, item) if isinstance(item, Block) else item.end
    return text.index("}", end) + 1


def _beginning(log: Path) -> bytes:
    with log.open("rb") as file:
        return file.read(_LONGEST_LOG)


def _words(program: Program, log: Path, exit_code: int) -> str:
    """The program's own account of a failure, on one line."""
    text = _beginning(log).decode("utf-8", "replace")
    lines = [line.strip("╷│╵ ") for line in text.splitlines()]
    flat = " ".join(word for line in lines for word in line.split())
    found = flat[max(flat.find("Error:"), 0) :]
    shown = found if len(found) <= _LONGEST_ERROR else f"{found[:_LONGEST_ERROR]}..."
    return f"{program} says (exit code {exit_code}): {shown or 'nothing'}"
