"""A signal ends a command, whatever becomes of it on its way."""

import signal

import pytest

from producer.options import interruptible


def disguised() -> int:
    """As pydantic does while it serialises."""
    try:
        signal.raise_signal(signal.SIGTERM)
    except BaseException as error:
        raise ValueError("Error serializing to JSON: Stopped: 15") from error
    raise AssertionError("not reached")


def test_one_that_a_library_made_another_error_of_ends_it_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        interruptible(disguised)
    assert ended.value.code == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "stopped\n"


def test_an_error_without_a_signal_stays_what_it_is() -> None:
    def work() -> int:
        raise ValueError("other")

    with pytest.raises(ValueError, match="other"):
        interruptible(work)
