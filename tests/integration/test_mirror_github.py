"""`driftfleet mirror` with repositories on GitHub as its targets."""

import os
from pathlib import Path

from driftfleet.mirror.hashes import package_hash
from driftfleet.mirror.layout import Package, unpacked
from tests import providers
from tests.integration.test_mirror_sync import TAIL, run
from tests.standin import StandIn

ADDRESS = providers.PROVIDER_ADDRESS


def settings(ghe: StandIn) -> dict[str, str]:
    trusted = {k: v for k, v in os.environ.items() if k.startswith("SSL_CERT")}
    return {
        **trusted,
        "DRIFTFLEET_GITHUB__URL": ghe.url,
        "DRIFTFLEET_GITHUB__TOKEN": "env://DRIFTFLEET_TOKEN",
        "DRIFTFLEET_TOKEN": ghe.token,
    }


def test_lock_files_are_read_from_github_and_prune_refuses_what_it_cannot_see(
    ghe: StandIn, tmp_path: Path
) -> None:
    origin = providers.build_mirror(tmp_path / "origin", versions=("1.0.0", "1.1.0"))
    h1 = package_hash(origin / Package(ADDRESS, "1.0.0", "linux_amd64").path)
    code = providers.REQUIRES_DEMO.replace("1.0.0", ">= 1.0") + TAIL
    lock = f'provider "{ADDRESS}" {{\n  version = "1.0.0"\n  hashes = [\n    "{h1}",\n  ]\n}}\n'
    ghe.add_repository("acme/infra", {"locked/main.tf": code, "locked/.terraform.lock.hcl": lock})
    ghe.add_repository("acme/free", {"main.tf": code})
    environment = settings(ghe)
    said = run(
        tmp_path, "sync", "acme/infra", "acme/free", "--mirror", "m", "--from", origin,
        **environment,
    )  # fmt: skip
    assert "2 added" in said
    assert [package.version for package in unpacked(tmp_path / "m")] == ["1.0.0", "1.1.0"]
    said = run(
        tmp_path, "prune", "acme/infra", "acme/gone", "--mirror", "m", "--yes", expect=1,
        **environment,
    )  # fmt: skip
    assert "nothing is removed" in said
    assert len(unpacked(tmp_path / "m")) == 2
    run(tmp_path, "prune", "acme/infra", "--mirror", "m", "--yes", **environment)
    assert [package.version for package in unpacked(tmp_path / "m")] == ["1.0.0"]
