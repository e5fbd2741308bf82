"""Pages of roots and sweeps in a real Chromium, as a publisher made them: on a disk and served."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from driftfleet.publishing import publish
from driftfleet.report.links import INDEX_KEY, SWEEPS_KEY, href, sweep_page_key
from driftfleet.report.root import page_of
from driftfleet.results import Change, ErrorKind, Result, Verdict
from driftfleet.settings import GitHubSettings, Settings
from driftfleet.store import ResultStore
from driftfleet.store.files import FileObjects
from producer.report_server import ReportServer
from tests.browser import barriers, opened, overflow, photograph
from tests.fleets import HOSTILE
from tests.site_links import broken_links
from tests.sites import HOUR, change, closed, failed, job, result, sweep_id

PHONE = {"width": 375, "height": 812}
DESKTOP = {"width": 1280, "height": 900}
NOW = datetime.now(UTC)
SWEEP = sweep_id(1, NOW - HOUR)
Opener = Callable[[str], str]
LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light", "viewport": DESKTOP},
    {"color_scheme": "dark", "viewport": DESKTOP},
    {"color_scheme": "light", "viewport": PHONE},
]


def many_changes() -> list[Change]:
    subnets = [
        change(f'module.vpc["{zone}"].aws_subnet.private[{n}]', module=f'module.vpc["{zone}"]')
        for zone in ("eu", "us")
        for n in range(240)
    ]
    web = change("aws_instance.web", actions=("delete", "create"), attributes=("ami", "user_data"))
    rules = [
        change(f"aws_security_group_rule.rule_{n}", "unapplied", actions=("create",), attributes=())
        for n in range(18)
    ]
    return [*subnets, web, *rules, change("endpoint", "output", attributes=())]


def history(root: str) -> list[Result]:
    """Of a root that was clean, could not be judged, and drifts."""
    of = job(root, sweep=SWEEP)
    days = [NOW - timedelta(days=n) for n in range(30, -1, -1)]
    said = [result(of, at=at) for at in days[:14]]
    said += [result(of, at=at, error=failed()) for at in days[14:16]]
    drifting = [change("aws_instance.web")]
    said += [result(of, Verdict.DRIFTED, at=at, changes=drifting) for at in days[16:30]]
    return [*said, result(of, Verdict.DRIFTED_UNAPPLIED, at=NOW, changes=many_changes(), cut=37)]


def hostile(name: str) -> list[Result]:
    folder = name.replace("/", "|")
    of = job(folder, sweep=SWEEP, repo=f"/srv/{folder}", kind="local")
    differs = [change(name, actions=(name,), attributes=(name,), module=name)]
    twin = job(folder, sweep=SWEEP, repo=f"/srv/{folder}", kind="local", variant="broken")
    return [
        result(of, Verdict.DRIFTED, at=NOW, changes=differs),
        result(twin, at=NOW, error=failed(message=f"{name}\n{name}")),
    ]


DRIFTED, BROKEN, CLEAN = "envs/prod/network", "envs/prod/dns", "envs/old"
NEVER = "envs/never"
MESSAGE = (
    'Error: No valid credential sources found\n\n  on main.tf line 3, in provider "aws":\n'
    '   3: provider "aws" {\n\nPlease see https://registry.terraform.io/providers/hashicorp/aws'
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FileObjects:
    """A fleet with its pages."""
    objects = FileObjects(tmp_path_factory.mktemp("fleet"))
    store = ResultStore(objects)
    broken = failed(ErrorKind.CREDENTIALS, MESSAGE)
    newest = [
        *history(DRIFTED),
        result(job(BROKEN, sweep=SWEEP), at=NOW, error=broken),
        *(one for name in HOSTILE for one in hostile(name)),
    ]
    days_ago = NOW - timedelta(days=4)
    store.add(result(job(NEVER, sweep=SWEEP), at=days_ago, error=broken))
    for one in [*newest, result(job(CLEAN, sweep=SWEEP), at=NOW - timedelta(days=9))]:
        store.add(one)
    by_title = {one.job.title: one for one in newest}
    store.put_sweep(
        closed(SWEEP, list(by_title.values()), missing=["acme/infra gone default", HOSTILE[0]],
               problems=["acme/other: there is no such repository", *HOSTILE], at=NOW, deadline=NOW)
    )  # fmt: skip
    publish(objects, Settings(github=GitHubSettings(url="https://github.example.com")), NOW)
    return objects


@pytest.fixture(params=["disk", "served"], scope="module")
def url_of(request: pytest.FixtureRequest, store: FileObjects) -> Iterator[Opener]:
    """The address of a page by its key."""
    if request.param == "disk":
        yield lambda key: Path(store.describe(key)).as_uri()
        return
    with ReportServer(store, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield lambda key: server.url.replace(INDEX_KEY, href("x", key))
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def disk(store: FileObjects) -> Opener:
    """The address of a page on a disk."""
    return lambda key: Path(store.describe(key)).as_uri()


def page_of_root(root: str) -> str:
    return page_of(result(job(root)).latest_key)


PAGES = {
    "root-drifted": page_of_root(DRIFTED),
    "root-error": page_of_root(BROKEN),
    "sweep": sweep_page_key(SWEEP),
    "sweeps": SWEEPS_KEY,
}
HOSTILE_PAGES = [page_of(one.latest_key) for name in HOSTILE for one in hostile(name)]


def test_every_link_leads_somewhere(store: FileObjects) -> None:
    assert broken_links(store) == []


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "phone"])
@pytest.mark.parametrize("name", PAGES)
def test_pages_are_usable_by_all_and_fit(
    browser: Browser, disk: Opener, name: str, look: dict[str, Any]
) -> None:
    with opened(browser, disk(PAGES[name]), **look) as page:
        assert barriers(page) == []
        assert overflow(page) == 0
        narrow = "-phone" if look["viewport"] == PHONE else ""
        photograph(page, f"{name}-{look['color_scheme']}{narrow}")


def test_a_way_through_the_site_by_its_links(browser: Browser, url_of: Opener) -> None:
    with opened(browser, url_of(INDEX_KEY), viewport=DESKTOP) as page:
        page.get_by_role("link", name="envs/prod/network").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(DRIFTED)
        page.get_by_role("link", name="Its sweep").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Sweep of acme/infra")
        page.get_by_role("link", name=f"acme/infra {BROKEN} default").first.click()
        expect(page.get_by_text("No valid credential sources found")).to_be_visible()
        expect(page.get_by_text("put a valid token where the worker's")).to_be_visible()
        page.get_by_role("link", name="Fleet", exact=True).click()
        expect(page).to_have_url(url_of(INDEX_KEY))
        expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_records_are_led_to(browser: Browser, url_of: Opener) -> None:
    for link in ("Raw record", "Raw result"):
        with opened(browser, url_of(page_of_root(DRIFTED))) as page:
            target = page.get_by_role("link", name=link).get_attribute("href")
            assert target is not None
            body = page.context.new_page()
            answer = body.goto(page.evaluate("link => new URL(link, location.href).href", target))
            assert answer is not None
            assert answer.json()["schema_version"] == 1


def test_names_from_outside_do_nothing(browser: Browser, url_of: Opener) -> None:
    is_served = url_of(INDEX_KEY).startswith("http")
    for key in HOSTILE_PAGES[::4] if is_served else HOSTILE_PAGES:
        with opened(browser, url_of(key), viewport=PHONE) as page:
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            assert overflow(page) == 0, key
            assert page.locator("script").count() == 1
            assert page.locator("img").count() == 0


def test_a_page_of_hostile_names_is_usable_by_all(browser: Browser, disk: Opener) -> None:
    with opened(browser, disk(HOSTILE_PAGES[8]), viewport=PHONE) as page:
        assert barriers(page) == []
        photograph(page, "root-hostile-phone")


def test_hundreds_of_changes_are_a_few_rows_and_open_by_keyboard(
    browser: Browser, disk: Opener
) -> None:
    with opened(browser, disk(page_of_root(DRIFTED)), viewport=DESKTOP) as page:
        rows = page.locator(".k-drift tbody tr:not(.module)")
        expect(rows).to_have_count(2)
        one = page.get_by_text('module.vpc["us"].aws_subnet.private[239]', exact=True)
        expect(one).to_be_hidden()
        page.locator(".k-drift summary").focus()
        page.keyboard.press("Enter")
        expect(one).to_be_attached()
        one.scroll_into_view_if_needed()
        expect(one).to_be_visible()


def test_ages_are_of_the_moment_at_which_it_is_opened(browser: Browser, disk: Opener) -> None:
    """The page was made days ago, and nothing changed since."""
    with opened(browser, disk(page_of_root(CLEAN))) as page:
        expect(page.locator(".verdict .ago")).to_have_text(" (9 d ago)")
        expect(page.locator("#stale")).to_have_text("Stale: nothing has judged this root for 9 d.")
        expect(page.locator("#old")).to_be_hidden()
    for fresh in (DRIFTED, BROKEN):
        with opened(browser, disk(page_of_root(fresh))) as page:
            expect(page.locator("#stale")).to_be_hidden()
    with opened(browser, disk(page_of_root(NEVER))) as page:
        expect(page.locator("#stale")).to_have_text(
            "Stale: nothing has ever judged this root, which was met 4 d ago."
        )


def test_without_its_script_a_page_says_the_same(browser: Browser, disk: Opener) -> None:
    with opened(browser, disk(page_of_root(DRIFTED)), java_script_enabled=False) as page:
        expect(page.get_by_text("480 alike")).to_be_visible()
        expect(page.locator("#stale")).to_be_hidden()
