"""What a repository's file holds, fit for a message."""

_LONGEST = 60


def printable(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shown(text: str) -> str:
    """The same, and short."""
    return printable(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...")
