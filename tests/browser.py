"""A real Chromium, and pages that tell of everything that went wrong in them."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from tests.binaries import axe
from tests.conftest import require_program

# Screenshots of a run; git ignores the folder.
ARTIFACTS = Path(__file__).parents[1] / ".artifacts" / "dashboard"
_TIMEOUT_MILLISECONDS = 60_000
# It has one of its own, of five seconds.
expect.set_options(timeout=_TIMEOUT_MILLISECONDS)
# What hostile names try to call, and what the browser says it refused.
_WATCH = """
window.boomed = 0;
window.boom = () => { window.boomed += 1; };
window.refused = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.refused.push(event.violatedDirective + " " + event.blockedURI);
});
"""
_SERIOUS = ("serious", "critical")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium: Playwright's is in no package registry."""
    program = require_program("chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Browser, url: str, **context: Any) -> Iterator[Page]:
    """A page in a context of its own; at the end of the block nothing may have been wrong in it.

    ``context`` is Playwright's: ``color_scheme``, ``viewport``, ``java_script_enabled``, ...
    """
    with closing(browser.new_context(**context)) as one:
        page = one.new_page()
        said = watch(page)
        page.goto(url)
        yield page
        page.wait_for_timeout(0)
        assert not said, said
        if context.get("java_script_enabled", True):
            assert page.evaluate("[window.boomed, window.refused]") == [0, []]


@contextlib.contextmanager
def closing(context: BrowserContext) -> Iterator[BrowserContext]:
    """Close the context after the block."""
    context.set_default_timeout(_TIMEOUT_MILLISECONDS)
    try:
        yield context
    finally:
        context.close()


def watch(page: Page) -> list[str]:
    """What goes wrong in the page from now on: what it logs, throws, and can't load."""
    said: list[str] = []
    page.add_init_script(_WATCH)
    page.on("console", lambda message: said.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("requestfailed", lambda request: said.extend(_failed(request)))
    page.on(
        "response",
        lambda answer: (
            said.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None
        ),
    )
    page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    return said


def _failed(request: Request) -> list[str]:
    # Another page was opened before this one was complete.
    is_cut_short = request.failure == "net::ERR_ABORTED"
    return [] if is_cut_short else [f"failed: {request.url}: {request.failure}"]


def barriers(page: Page) -> list[str]:
    """What axe-core finds serious or critical, with its rule and its elements."""
    # Not as a script of the page, which its policy would refuse.
    page.evaluate(axe() + "; 0")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
    return [
        f"{one['id']} ({one['impact']}): {[node['target'] for node in one['nodes'][:5]]}"
        f" {one['nodes'][0]['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in _SERIOUS
    ]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return max(width, 0)


def photograph(page: Page, name: str, *, whole: bool = True) -> Path:
    """Keep a picture of the page among the artefacts of the run."""
    path = ARTIFACTS / f"{re.sub(r'[^a-z0-9-]', '-', name)}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, full_page=whole, animations="disabled")
    return path


def accessible(page: Page) -> str:
    """What a screen reader is told of the focused element: its role and name."""
    told: str = page.evaluate(
        """() => {
          const one = document.activeElement;
          return (one.getAttribute("role") || one.tagName.toLowerCase()) + " "
            + (one.labels?.[0]?.textContent || one.textContent).trim().replace(/\\s+/g, " ");
        }"""
    )
    return told
