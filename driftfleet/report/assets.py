"""The one style sheet, the one script and the one picture of all pages."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from driftfleet.content_types import content_type_of
from driftfleet.report.links import SITE


@dataclass(frozen=True)
class Asset:
    """A file beside the pages. Its key changes with its content, so it may be kept for ever."""

    key: str
    body: bytes

    @property
    def content_type(self) -> str:
        """What a server says that it is."""
        return content_type_of(self.key)


@cache
def style_sheet() -> Asset:
    """``site/assets/site.HASH.css``."""
    return _joined("css")


@cache
def script() -> Asset:
    """``site/assets/site.HASH.js``."""
    return _joined("js")


@cache
def picture() -> Asset:
    """``site/assets/site.HASH.svg``, which a browser's tab shows."""
    return _joined("svg")


def assets() -> tuple[Asset, ...]:
    """All that pages load, to be written before them."""
    return style_sheet(), script(), picture()


def _joined(kind: str) -> Asset:
    """The files of a kind in the order of their names, ``base`` first."""
    folder = files("driftfleet.report") / "assets"
    parts = [part for part in folder.iterdir() if part.name.endswith(f".{kind}")]
    parts.sort(key=lambda part: (part.name != f"base.{kind}", part.name))
    body = b"\n".join(part.read_bytes() for part in parts)
    digest = hashlib.sha256(body).hexdigest()[:12]
    return Asset(f"{SITE}/assets/site.{digest}.{kind}", body)
