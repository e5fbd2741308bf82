"""The entry of the `driftfleet` command: quick to import, so that a Ctrl-C has no traceback."""

from __future__ import annotations

import os
import signal
import sys

# As typing's own, which takes longer to import than all of the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from typing import NoReturn

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. Until it takes signals itself, Ctrl-C ends the process at once."""
    # What a shell set to be ignored stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    from producer.output import OutputFailed, open_streams  # noqa: PLC0415 - after the signal

    open_streams()
    from producer.commands import main as run  # noqa: PLC0415 - takes its time

    try:
        run(arguments)
    except OutputFailed as error:
        # `--help` and `--version` print without the commands' own care.
        sys.stderr.write(f"Error: {error.message}\n")
        _leave(1)
    except SystemExit as ended:
        told = ended.code
        _leave(told if isinstance(told, int) else int(told is not None))


def _leave(exit_code: int) -> NoReturn:
    """End this process. Only here, where it is a command's own and nobody's who runs one in his.

    At its end Python waits for executors' threads, and one of ours may wait for a server: after a
    Ctrl-C or an error, when everything else has been put in order, nobody wants its answer.
    """
    import threading  # noqa: PLC0415 - takes its time

    if threading.active_count() > 1:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                # Whoever read it has gone, which is told already where that is a failure.
                continue
        os._exit(exit_code)
    sys.exit(exit_code)


def _end(_signum: int, _frame: FrameType | None) -> NoReturn:
    # An exception could come up anywhere in a half-done import, and be taken for something else.
    # Nothing was begun that has to be ended.
    try:
        os.write(2, b"stopped\n")
    finally:
        os._exit(_INTERRUPTED)
