"""What `make binaries` fetches: other versions of terraform, OpenTofu, axe-core."""

from pathlib import Path

from tests.conftest import lacking

_FOLDER = Path(__file__).parents[1] / ".binaries"


def opentofu() -> Path:
    """OpenTofu 1.6.2."""
    return _binary("package/tofu")


def old_terraform() -> Path:
    """Terraform 0.11.11."""
    return _binary("*/data/lib/terraform")


def axe() -> str:
    """axe-core, which looks for what keeps people out of a page, as the text of a script."""
    return _binary("axe/axe.min.js").read_text(encoding="utf-8")


def _binary(pattern: str) -> Path:
    found = sorted(_FOLDER.glob(pattern))
    return found[0] if found else lacking("no .binaries: make binaries")
