"""Signed releases, with the real tfenv: a key of our own stands for HashiCorp's."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from driftfleet.configuration import process_environment
from driftfleet.errors import DriftfleetError, InstallRefused, InstallUnavailable
from driftfleet.installs.folder import Installs
from driftfleet.installs.tfenv import Tfenv
from tests.conftest import require_program
from tests.installers import open_folder, own_terraform, soon
from tests.releases import Releases
from tests.signing import Signer, signer


@pytest.fixture(scope="module")
def ours() -> Iterator[Signer]:
    with signer("k") as made:
        yield made


@pytest.fixture(scope="module")
def foreign() -> Iterator[Signer]:
    with signer("f") as made:
        yield made


@pytest.fixture
def installs(tfenv: Path, ours: Signer, releases: Releases, tmp_path: Path) -> Installs:
    """Installs over a tfenv that trusts our key."""
    require_program("gpgv", "apt-get install gpgv")
    program = ours.trusted_by(tfenv, tmp_path / "tfenv")
    installer = Tfenv(
        program, process_environment(), remote=releases.remote(), verify_signatures=True
    )
    return open_folder(tmp_path / "installs", installer)


def publish(releases: Releases) -> tuple[str, Path, Path]:
    """A version of terraform, its SHA256SUMS and its archive."""
    terraform, version = own_terraform()
    releases.add(version, terraform)
    place = releases.folder / "terraform" / version
    (archive,) = place.glob("*.zip")
    return version, place / f"terraform_{version}_SHA256SUMS", archive


def test_a_signed_release_is_installed(
    installs: Installs, ours: Signer, releases: Releases
) -> None:
    version, sums, _ = publish(releases)
    signature = ours.sign(sums)
    binary = installs.ensure("terraform", version, soon())
    assert binary == installs.folder / "terraform" / version / "terraform"
    assert f"/terraform/{version}/{signature.name}" in releases.asked


def foreign_signature(sums: Path, archive: Path, ours: Signer, foreign: Signer) -> None:
    foreign.sign(sums)


def of_another_text(sums: Path, archive: Path, ours: Signer, foreign: Signer) -> None:
    ours.sign(sums)
    sums.write_text(sums.read_text().replace("_linux_", "_linux_x_") + sums.read_text())


def no_signature(sums: Path, archive: Path, ours: Signer, foreign: Signer) -> None:
    pass


def tampered(sums: Path, archive: Path, ours: Signer, foreign: Signer) -> None:
    ours.sign(sums)
    with archive.open("r+b") as file:
        file.seek(1000)
        file.write(b"tampered")


Damage = Callable[[Path, Path, Signer, Signer], None]


@pytest.mark.parametrize(
    ("damage", "kind", "message"),
    [
        (foreign_signature, InstallRefused, "not its publisher's"),
        (of_another_text, InstallRefused, "not its publisher's"),
        (no_signature, InstallUnavailable, "nobody vouches for it"),
        (tampered, InstallRefused, "not what its SHA256SUMS says"),
    ],
)
def test_whatever_is_not_signed_as_it_is_gets_no_place(
    installs: Installs,
    ours: Signer,
    foreign: Signer,
    releases: Releases,
    damage: Damage,
    kind: type[DriftfleetError],
    message: str,
) -> None:
    version, sums, archive = publish(releases)
    damage(sums, archive, ours, foreign)
    with pytest.raises(kind, match=message):
        installs.ensure("terraform", version, soon())
    assert installs.installed() == []
    assert list((installs.folder / ".staging").iterdir()) == []
