"""A key of our own that signs releases, and a copy of the real tfenv that trusts it."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import require_program
from tests.workers import short_folder

# What HashiCorp's releases are called for the key that signs them.
SUFFIX = "72D7468F.sig"


@dataclass(frozen=True)
class Signer:
    """``home`` is GnuPG's folder."""

    home: Path

    def sign(self, sums: Path) -> Path:
        """Sign a SHA256SUMS file; returns the signature, which lies beside it."""
        signature = sums.with_name(f"{sums.name}.{SUFFIX}")
        self._gpg("--yes", "--output", str(signature), "--detach-sign", str(sums))
        return signature

    def trusted_by(self, tfenv: Path, folder: Path) -> Path:
        """A copy of tfenv's folder with this key in place of HashiCorp's; returns its program."""
        shutil.copytree(tfenv.resolve().parents[1], folder, ignore=shutil.ignore_patterns(".git"))
        keys = folder / "share" / "hashicorp-keys.pgp"
        assert keys.exists(), "tfenv 3.2 has its keys there"
        keys.write_bytes(self._gpg("--export"))
        return folder / "bin" / "tfenv"

    def make(self) -> None:
        """Make the key."""
        about = ("releases@example.com", "ed25519", "sign", "never")
        self._gpg("--passphrase", "", "--quick-generate-key", *about)

    def _gpg(self, *arguments: str) -> bytes:
        done = subprocess.run(
            ["gpg", "--homedir", str(self.home), "--batch", "--quiet", *arguments],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextlib.contextmanager
def signer(name: str) -> Iterator[Signer]:
    """A signer with a new key, whose agent ends with the block."""
    require_program("gpg", "apt-get install gpg")
    with short_folder(name) as home:
        home.chmod(0o700)
        made = Signer(home)
        try:
            made.make()
            yield made
        finally:
            kill = ["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"]
            subprocess.run(kill, check=False, capture_output=True)
