"""What somebody who looks at a page would type into a shell."""

import re
import shlex

from driftfleet.jobs import Job

_GLOB = re.compile(r"([*?\[])")


def check_again(job: Job) -> str:
    """The command that checks this root once more; of a folder, all that is in it."""
    source = job.source
    if source.kind == "local":
        return f"driftfleet scan {shell_word(source.repo)}"
    repo = f"{source.repo}@{source.ref}" if source.ref else source.repo
    # `--root` is a glob, and a folder may be called like one.
    root = _GLOB.sub(r"[\1]", job.root)
    return f"driftfleet enqueue {shell_word(repo)} --root {shell_word(root)}"


def shell_word(text: str) -> str:
    """``text`` as one word for bash or zsh, in which nothing hides.

    What can't be seen, or turns the direction of the text around it, is there as its escape.
    """
    # What begins with a dash would be an option.
    safe = text if not text.startswith("-") else f"./{text}"
    if safe.isprintable():
        return shlex.quote(safe)
    told = (_escape(character) for character in safe)
    return f"$'{''.join(told)}'"


def _escape(character: str) -> str:
    if character in ("'", "\\"):
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
