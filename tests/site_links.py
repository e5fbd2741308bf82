"""Whether every link of a site's pages leads to an object."""

import html
import re
from posixpath import dirname, join, normpath
from urllib.parse import unquote

from driftfleet.store.objects import ObjectStore

# Within tags alone: in text a quote and an angle bracket are escaped.
_LINK = re.compile(r'<[a-z][^<>]*? (?:href|src)="([^"]*)"')


def broken_links(objects: ObjectStore) -> list[tuple[str, str]]:
    """Links of pages that lead to no object; and pages that are none."""
    keys = set(objects.keys(""))
    broken = []
    for key in sorted(keys):
        if not (key.startswith("site/") and key.endswith(".html")):
            continue
        text = (objects.get(key) or b"").decode()
        if not text.rstrip().endswith("</html>"):
            broken.append((key, "half a page"))
        for link in map(html.unescape, _LINK.findall(text)):
            if link.startswith(("#", "https://", "data:")):
                continue
            target = normpath(join(dirname(key), unquote(link.partition("#")[0].partition("?")[0])))
            if target not in keys:
                broken.append((key, target))
    return broken
