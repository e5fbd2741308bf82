"""A releases mirror on loopback, in the layout that tfenv and tenv expect of HashiCorp's."""

import base64
import contextlib
import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

from driftfleet.installs.remote import Remote, parse_remote
from tests.folder_server import serving_folder


@dataclass
class Releases:
    """``credentials`` (``user:password``) are wanted where they are set."""

    folder: Path
    port: int = 0
    credentials: str = ""
    asked: list[str] = field(default_factory=list)

    def add(self, version: str, binary: Path, name: str = "terraform") -> None:
        """Publish a binary as a version of terraform."""
        place = self.folder / "terraform" / version
        place.mkdir(parents=True)
        archive = place / f"terraform_{version}_linux_amd64.zip"
        # Stored: packing 90 MB takes seconds, and it's the unpacking that matters.
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
            packed.write(binary, name)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        (place / f"terraform_{version}_SHA256SUMS").write_text(f"{digest}  {archive.name}\n")
        with (self.folder / "terraform" / "index.html").open("a") as index:
            index.write(f'<a href="/terraform/{version}/">terraform_{version}</a>\n')

    def remote(self, userinfo: str = "") -> Remote:
        """Where it is, as a setting names it."""
        return parse_remote(f"http://{userinfo}127.0.0.1:{self.port}/", "installs.remote")

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(self.credentials.encode()).decode()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Releases]:
    """Serve a mirror that has no version yet."""
    with serving_folder(folder) as server:
        releases = Releases(folder, server.server_address[1], asked=server.asked)

        def refuses(headers: Message) -> bool:
            return bool(releases.credentials) and headers["Authorization"] != releases.authorization

        server.refuses = refuses
        yield releases
