"""What the settings say of a root's version."""

from driftfleet.globs import folder_matches
from driftfleet.jobs import Source
from driftfleet.version_settings import TerraformSettings
from driftfleet.versions.decision import Pin


def pin_for(settings: TerraformSettings, source: Source, root: str) -> Pin | None:
    """The first pin that matches; its place is ``terraform.pins, entry N``, counted from 1."""
    # GitHub knows a repository by any case of its name.
    repo = source.repo.lower() if source.kind == "github" else source.repo.strip("/")
    for number, pin in enumerate(settings.pins, start=1):
        glob = pin.repo.lower() if source.kind == "github" else pin.repo
        if folder_matches(repo, glob) and folder_matches(root, pin.root):
            return Pin(pin.version, f"terraform.pins, entry {number}", pin.program)
    return None


def default_of(settings: TerraformSettings) -> Pin | None:
    """What counts where nothing else speaks."""
    if not settings.default and settings.program is None:
        return None
    place = "terraform.default" if settings.default else "terraform.program"
    return Pin(settings.default, place, settings.program)
