"""What a worker that starts finds and tidies up."""

from pathlib import Path

from pydantic import SecretStr

from driftfleet.settings import BrokerSettings, ResultSettings, Settings, WorkerSettings
from driftfleet.version_settings import InstallSettings
from producer.embedded import embedded_redis
from tests.installers import Program, says, soon
from tests.workers import Fleet, short_folder, wait_until


def test_old_versions_go_but_none_that_a_check_uses(tmp_path: Path) -> None:
    installs = Program(tmp_path / "bin").installs(tmp_path / "installs")
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        installs.ensure("terraform", version, soon())
    settings = InstallSettings(
        folder=installs.folder, installer="none", limit_bytes=0, unused_seconds=0
    )
    with short_folder("r") as redis_folder, embedded_redis(redis_folder) as redis:
        fleet = Fleet(
            Settings(
                broker=BrokerSettings(url=SecretStr(redis.url)),
                results=ResultSettings(store=f"file://{tmp_path / 'results'}"),
                worker=WorkerSettings(writable_root=tmp_path / "w", concurrency=1),
                installs=settings,
            ),
            tmp_path,
            tmp_path / "worker.log",
            redis_folder,
        )
        try:
            with installs.use("terraform", "1.2.0", soon()) as binary:
                fleet.start_worker()
                # Said after it is done; what isn't yet, a worker that ends leaves unsaid.
                assert wait_until(lambda: removed(fleet) == 2, 60), fleet.log.read_text()
                assert says(binary) == "1.2.0"
        finally:
            fleet.stop()
    assert removed(fleet) == 2
    assert [one.version for one in installs.installed()] == ["1.2.0"]


def removed(fleet: Fleet) -> int:
    return fleet.log.read_text().count("version_removed")
