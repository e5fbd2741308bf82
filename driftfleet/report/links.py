"""Where pages are in the store, and how one names another."""

import posixpath
import re
from urllib.parse import quote

SITE = "site"
INDEX_KEY = f"{SITE}/index.html"
SWEEPS_KEY = f"{SITE}/sweeps/index.html"


def root_page_key(place: str) -> str:
    """``site/roots/OWNER/REPO/ROOT/VARIANT.html``, of a place from `driftfleet.places`."""
    # A folder `x.html` could stand where the page of a variant `x` belongs.
    return f"{SITE}/roots/" + re.sub(r"\.(?=html(/|$))", "%2E", place) + ".html"


def sweep_page_key(sweep_id: str) -> str:
    """``site/sweeps/SWEEP.html``."""
    return f"{SITE}/sweeps/{sweep_id}.html"


def href(page: str, target: str) -> str:
    """The relative link from one key to another: right below any prefix, and from a disk.

    Keys hold percent signs of their own, which a browser would decode: they are encoded again.
    """
    return quote(posixpath.relpath(target, posixpath.dirname(page)), safe="/")
