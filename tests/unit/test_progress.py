"""What is shown while repositories are looked at: messages always, a line only on a terminal."""

import io

from producer.progress import Progress


class Ascii(io.StringIO):
    encoding = "ascii"


def test_a_pipe_gets_messages_and_nothing_else() -> None:
    stderr = io.StringIO()
    progress = Progress(stderr, animate=False)
    progress.looking(1, 2, ["acme/a"])
    progress.message("acme/b: is empty\nreally")
    progress.end()
    assert stderr.getvalue() == "acme/b: is empty\nreally\n"


def test_a_terminal_gets_one_line_that_stays_below_the_messages_and_is_gone_at_the_end() -> None:
    stderr = io.StringIO()
    progress = Progress(stderr, animate=True)
    progress.looking(3, 40, ["a/1", "a/2", "a/3", "a/4"])
    progress.message("told")
    progress.end()
    progress.end()
    line = "looked at 3 of 40 repositories; now a/1, a/2, a/3, ..."
    assert stderr.getvalue().split("\r\x1b[K") == ["", line, "told\n", line, ""]


def test_a_long_line_is_cut_to_one_row_and_one_repository_is_no_plural() -> None:
    stderr = io.StringIO()
    Progress(stderr, animate=True).looking(0, 1, ["x" * 200])
    shown = stderr.getvalue().removeprefix("\r\x1b[K")
    assert shown.startswith("looked at 0 of 1 repository; now x")
    assert len(shown) < 80


def test_names_of_others_reach_no_terminal_as_commands() -> None:
    stderr = io.StringIO()
    progress = Progress(stderr, animate=True)
    progress.looking(0, 1, ["a/\x1b[31m\n"])
    progress.message("\x1b[2J")
    assert "\x1b[31m" not in stderr.getvalue()
    assert "\x1b[2J" not in stderr.getvalue()


def test_a_stream_of_another_encoding_gets_escapes() -> None:
    stderr = Ascii()
    progress = Progress(stderr, animate=True)
    progress.doing("ü")
    progress.message("ü")
    assert "\\xfc" in stderr.getvalue()
