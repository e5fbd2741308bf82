"""The ways to plan a root that the settings name."""

from collections.abc import Sequence

from driftfleet.globs import folder_matches
from driftfleet.jobs import Variant
from driftfleet.settings import VariantRule

DEFAULT_VARIANTS = (Variant(),)


def variants_of(root: str, rules: Sequence[VariantRule]) -> tuple[Variant, ...]:
    """The variants of the first rule that matches, else the one default variant."""
    return next(
        (rule.variants for rule in rules if folder_matches(root, rule.root)), DEFAULT_VARIANTS
    )
