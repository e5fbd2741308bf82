"""Beat, the producer and the mirror: what is due is done, and told."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from driftfleet import process
from driftfleet.configuration import environment_of, load_settings, process_environment
from driftfleet.errors import ConfigurationError
from driftfleet.settings import (
    BrokerSettings,
    GitHubSettings,
    LogSettings,
    MirrorSettings,
    RepositoryRule,
    ResultSettings,
    Settings,
    WorkerSettings,
)
from driftfleet.worker_command import beat_arguments, producer_arguments
from producer.app import create
from producer.embedded import embedded_redis
from producer.headquarters import MIRROR_TASK, PRODUCER_QUEUE
from tests import providers
from tests.conftest import require_program
from tests.log_lines import events
from tests.standin import StandIn
from tests.workers import short_folder, wait_until

PACKAGE = f"{providers.PROVIDER_ADDRESS}/1.0.0/linux_amd64"


@pytest.fixture
def fleet(ghe: StandIn, tmp_path: Path) -> Iterator[Settings]:
    """A fleet of one repository that needs the demo provider, which ``origin`` has."""
    providers.require_terraform()
    origin = providers.build_mirror(tmp_path / "origin")
    # A mirror takes packages, and no more than that: what runs it lies beside the origin's.
    ghe.add_repository(
        "payments/infra", {"root/main.tf": providers.file_root(tmp_path / "one", "one")}
    )
    with short_folder("r") as redis_folder, embedded_redis(redis_folder) as redis:
        yield Settings(
            broker=BrokerSettings(url=SecretStr(redis.url)),
            github=GitHubSettings(url=ghe.url, token="env://THE_TOKEN"),
            repositories=(RepositoryRule(repo="payments/infra"),),
            results=ResultSettings(store=f"file://{tmp_path / 'results'}"),
            worker=WorkerSettings(
                mirror=tmp_path / "place" / "mirror", writable_root=tmp_path / "w"
            ),
            mirror=MirrorSettings(sync_at="* * * * *", origin=str(origin)),
            logs=LogSettings(format="json"),
        )


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[process.Process]]:
    running: list[process.Process] = []
    yield running
    for one in running:
        one.send_signal(signal.SIGTERM)
    for one in running:
        one.wait(90)


def start(
    arguments: list[str], settings: Settings, token: str, log: Path, prefix: tuple[str, ...] = ()
) -> process.Process:
    # A child of the producer needs no HOME; what it fetches it doesn't keep.
    own = {k: v for k, v in process_environment().items() if k not in ("HOME", "XDG_CACHE_HOME")}
    with log.open("ab") as file:
        return process.start(
            [*prefix, *arguments],
            {**own, **environment_of(settings), "THE_TOKEN": token},
            death_signal=signal.SIGKILL,
            stdout=file,
            stderr=file,
        )


def test_the_mirror_is_filled_when_it_is_due_and_beat_writes_nothing(
    ghe: StandIn, fleet: Settings, tmp_path: Path, started: list[process.Process]
) -> None:
    bwrap = str(require_program("bwrap", "apt-get install bubblewrap"))
    log = tmp_path / "producer.log"
    started.append(start(producer_arguments(fleet), fleet, ghe.token, log))
    nowhere = (bwrap, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev",
               "--die-with-parent", "--")  # fmt: skip
    beat = start(beat_arguments(fleet), fleet, ghe.token, tmp_path / "beat.log", nowhere)
    started.append(beat)
    assert fleet.worker.mirror is not None
    package = fleet.worker.mirror / PACKAGE
    # Beat sends its first tick after a minute.
    assert wait_until(lambda: events(log, "mirror_synced") != [], 240), (
        log.read_text()[-3000:] + (tmp_path / "beat.log").read_text()
    )
    assert package.is_dir()
    (told,) = events(log, "mirror_synced")[:1]
    assert (told["exit_code"], told["added"], told["failed"]) == (0, 1, 0)
    assert beat.poll() is None
    assert ghe.token not in log.read_text() + (tmp_path / "beat.log").read_text()


def test_the_command_knows_the_repositories_of_the_file(
    ghe: StandIn, fleet: Settings, tmp_path: Path, started: list[process.Process]
) -> None:
    """They may be more than fits into one variable, and are in none of a worker's."""
    (tmp_path / "fleet.yaml").write_text("repositories: [{repo: payments/infra}]\n")
    log = tmp_path / "producer.log"
    command = [sys.executable, "-c", "from producer.cli import main; main()"]
    command += ["--config", str(tmp_path / "fleet.yaml"), "producer"]
    unset = ("env", "-u", "DRIFTFLEET_REPOSITORIES")
    started.append(start(command, fleet, ghe.token, log, unset))
    with create(fleet) as app:
        app.send_task(MIRROR_TASK, queue=PRODUCER_QUEUE)
    assert wait_until(lambda: events(log, "mirror_synced") != [], 120), log.read_text()[-3000:]
    (told,) = events(log, "mirror_synced")
    assert (told["exit_code"], told["added"]) == (0, 1)
    assert ghe.token not in log.read_text()


def test_what_is_in_the_way_is_told_and_the_producer_goes_on(
    ghe: StandIn, fleet: Settings, tmp_path: Path, started: list[process.Process]
) -> None:
    log = tmp_path / "producer.log"
    nowhere = fleet.mirror.model_copy(update={"origin": str(tmp_path / "nothing")})
    broken = fleet.model_copy(update={"mirror": nowhere})
    started.append(start(producer_arguments(broken), broken, ghe.token, log))
    with create(fleet) as app:
        for _ in range(2):
            app.send_task(MIRROR_TASK, queue=PRODUCER_QUEUE)

    def told() -> int:
        return len(events(log, "mirror_not_synced") + events(log, "mirror_synced"))

    assert wait_until(lambda: told() == 2, 120), log.read_text()[-3000:]
    assert all(one["exit_code"] != 0 for one in events(log, "mirror_synced"))
    text = json.dumps(events(log, "mirror_not_synced") + events(log, "mirror_package"))
    assert "nothing" in text or providers.PROVIDER_ADDRESS in text
    assert "Traceback" not in log.read_text()


def test_a_time_that_is_no_crontab_is_refused_by_its_name() -> None:
    for wrong in ("2:30", "every night", "61 2 * * *", ""):
        with pytest.raises(ConfigurationError, match=r"mirror\.sync_at"):
            load_settings(environment={}, overrides={"mirror.sync_at": wrong})
    settings = load_settings(environment={}, overrides={"mirror.sync_at": "30 2 * * 1-5"})
    assert settings.mirror.sync_at == "30 2 * * 1-5"
