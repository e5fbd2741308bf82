"""How a verdict looks: a word and a sign before any colour."""

from dataclasses import dataclass

from driftfleet.results import Verdict


@dataclass(frozen=True)
class Standing:
    """``name`` is a verdict or ``never``, and the class in the style sheet; ``sign`` one letter."""

    name: str
    word: str
    sign: str
    meaning: str

    @staticmethod
    def of(name: str) -> "Standing":
        """That of a verdict, or of ``never``."""
        return _BY_NAME[str(name)]


# What needs somebody first comes first.
STANDINGS = (
    Standing(Verdict.ERROR, "error", "!", "could not be judged"),
    Standing(Verdict.DRIFTED_UNAPPLIED, "drifted + unapplied", "±", "both drifted and unapplied"),
    Standing(Verdict.DRIFTED, "drifted", "≠", "changed outside Terraform"),
    Standing(Verdict.UNAPPLIED, "unapplied", "+", "in the code, never applied"),
    Standing("never", "never checked", "?", "in the code, never answered"),
    Standing(Verdict.CLEAN, "clean", "✓", "code, state and world agree"),
)
_BY_NAME = {str(one.name): one for one in STANDINGS}
