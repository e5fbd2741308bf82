"""How long a browser takes over the front page."""

import statistics
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

from driftfleet.report.assets import assets
from tests.browser import closing

_DRAWN = """async () => {
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const [navigation] = performance.getEntriesByType("navigation");
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  return [navigation.domContentLoadedEventEnd, paint ? paint.startTime : 0];
}"""
# From the key to the frame that shows what it leaves.
_TYPED = """async (text) => {
  const field = document.getElementById("q");
  const started = performance.now();
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - started;
}"""
_WORDS = (
    "d",
    "dn",
    "dns",
    "dns p",
    "dns prod",
    "prod",
    "e",
    "eu-west",
    "no such thing",
    "",
    "timeout",
)


@dataclass(frozen=True)
class PageSpeed:
    """``drawn_seconds`` is from the start of the navigation to the table and the first paint.

    ``filter_seconds`` are from what is typed to the frame that shows it: half of them, and all.
    """

    page_bytes: int
    asset_bytes: int
    drawn_seconds: float
    filter_seconds: float
    slowest_filter_seconds: float

    def __str__(self) -> str:
        return (
            f"page {self.page_bytes / 1e6:.2f} MB (and {self.asset_bytes / 1e3:.0f} kB beside it), "
            f"drawn after {self.drawn_seconds:.2f} s, filter {self.filter_seconds * 1000:.0f} ms "
            f"(slowest {self.slowest_filter_seconds * 1000:.0f} ms)"
        )


def page_speed(browser: Browser, page_file: Path, *, flat: bool) -> PageSpeed:
    """What a page takes in a context of its own; ``flat``: its table without groups."""
    with closing(browser.new_context(viewport={"width": 1280, "height": 900})) as context:
        page = context.new_page()
        page.goto(page_file.as_uri() + ("#flat=1" if flat else ""))
        drawn = max(page.evaluate(_DRAWN)) / 1000
        typed = [page.evaluate(_TYPED, word) / 1000 for word in _WORDS]
    return PageSpeed(
        page_bytes=page_file.stat().st_size,
        asset_bytes=sum(len(asset.body) for asset in assets()),
        drawn_seconds=drawn,
        filter_seconds=statistics.median(typed),
        slowest_filter_seconds=max(typed),
    )
