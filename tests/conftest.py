"""What every test gets: no network in unit tests, and no silent gap where a tool is missing."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest
from pytest_socket import disable_socket, enable_socket

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile(
    "driftfleet",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("driftfleet")

_UNIT = Path(__file__).parent / "unit"


def lacking(reason: str) -> NoReturn:
    """Skip a test for what this machine lacks; where CI runs it, that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to have what this test needs: {reason}")
    pytest.skip(reason)


def require_program(name: str, remedy: str) -> Path:
    """The path of a program; without it see `lacking`."""
    found = shutil.which(name)
    return Path(found) if found else lacking(f"no {name}: {remedy}")


def require_faketime() -> str:
    """The library that shifts a program's clock; without it see `lacking`."""
    found = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return str(found[0]) if found else lacking("no libfaketime: apt-get install libfaketime")


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A shell ignores SIGINT for what it starts in the background, nohup SIGHUP; and so would what
    tests start.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Say that all tests came to their end: a test that ends pytest itself would look as if so."""
    if place := os.environ.get("TESTS_FINISHED"):
        Path(place).parent.mkdir(exist_ok=True)
        Path(place).touch()


@pytest.fixture(autouse=True)
def _no_network_in_unit_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.path.is_relative_to(_UNIT):
        # Unix socket pairs are how processes of one program talk: they leave no machine.
        disable_socket(allow_unix_socket=True)
    yield
    enable_socket()


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A provider mirror that holds the demo provider."""
    from tests import providers  # noqa: PLC0415 - it needs what unit tests don't

    providers.require_terraform()
    folder = tmp_path_factory.mktemp("mirror")
    providers.build_mirror(folder)
    return folder
