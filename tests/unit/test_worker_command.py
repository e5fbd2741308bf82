"""The command lines of the Celery services."""

from driftfleet.settings import Settings
from driftfleet.worker_command import beat_arguments, producer_arguments, worker_arguments


def test_a_worker_and_a_producer_of_one_host_have_names_of_their_own() -> None:
    names = [
        arguments[arguments.index("--hostname") + 1]
        for arguments in (worker_arguments(Settings()), producer_arguments(Settings()))
    ]
    assert names == ["worker@%h", "producer@%h"]


def test_no_service_shows_a_banner() -> None:
    services = (worker_arguments, producer_arguments, beat_arguments)
    for arguments in services:
        told = arguments(Settings())
        # Celery's own option: behind its command it would be the command's.
        assert told[told.index("celery") + 1] == "--quiet"
