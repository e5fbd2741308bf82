"""The front page in a real Chromium: from a disk and over HTTP, with and without its script."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, Page, expect

from driftfleet.fleet_status import FleetStatus
from driftfleet.report.assets import assets
from driftfleet.report.edition import Edition
from driftfleet.report.links import INDEX_KEY
from driftfleet.report.table import Row, rows_of
from driftfleet.report.words import visible
from tests.browser import accessible, barriers, closing, opened, overflow, photograph, watch
from tests.fleets import AT, HOSTILE, days_of, example_fleet, fleet_of, hostile_fleet, write_site
from tests.folder_server import serving_folder
from tests.page_speed import page_speed
from tests.s3 import S3, running_s3

PHONE = {"width": 375, "height": 812}
DESKTOP = {"width": 1280, "height": 900}
FLEET = fleet_of(110, seed=5)
Opener = Callable[[str], str]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Front pages of fleets by name, each in a folder of its own."""
    fleets = {
        "empty": FleetStatus(),
        "example": example_fleet(),
        "fleet": FLEET,
        "hostile": hostile_fleet(),
        "large": fleet_of(5000),
    }
    top = tmp_path_factory.mktemp("sites")
    for name, fleet in fleets.items():
        days = days_of(fleet) if name in ("fleet", "hostile", "large") else []
        write_site(top / name, fleet, days)
    return {name: top / name for name in fleets}


@pytest.fixture(params=["disk", "http"])
def url_of(request: pytest.FixtureRequest, sites: dict[str, Path]) -> Iterator[Opener]:
    """The address of a site's front page, where it lies on a disk and where it is served."""
    if request.param == "disk":
        yield lambda name: (sites[name] / INDEX_KEY).as_uri()
        return
    with serving_folder(sites["fleet"].parent) as server:
        yield lambda name: f"http://127.0.0.1:{server.server_port}/{name}/{INDEX_KEY}"


@pytest.fixture
def disk(sites: dict[str, Path]) -> Opener:
    """The address of a site's front page on a disk."""
    return lambda name: (sites[name] / INDEX_KEY).as_uri()


STUB = '<!doctype html><meta charset=utf-8><link rel=icon href="data:,"><title>page</title>'


def roots_shown(page: Page) -> list[tuple[str, str]]:
    """Root and variant of each row that is there, in order, once all of them are drawn."""
    wait_until_drawn(page)
    names: list[list[str]] = page.eval_on_selector_all(
        "#table tbody tr:not(.head)",
        "rows => rows.map(row => [row.querySelector('.c-root')?.textContent ?? '',"
        " row.querySelector('.c-variant')?.textContent ?? ''])",
    )
    return [(root, variant) for root, variant in names]


def wait_until_drawn(page: Page) -> None:
    """All lines are there that will be without anybody asking for more."""
    page.locator("#table[aria-busy=false]").wait_for()


def names(rows: Sequence[Row]) -> list[tuple[str, str]]:
    return [(visible(row.root), visible(row.variant)) for row in rows]


def rows() -> Sequence[Row]:
    return rows_of(FLEET, Edition(AT))


def flat(page: Page) -> None:
    """Rows in one list, so that their order is seen."""
    page.get_by_label("without groups").check()


def test_the_page_is_styled_and_runs_under_its_policy(browser: Browser, url_of: Opener) -> None:
    with opened(browser, url_of("fleet")) as page:
        expect(page.locator("#matches")).to_contain_text(f"{len(rows())} roots")
        assert page.evaluate("getComputedStyle(document.body).margin") == "0px"
        assert page.locator("[style], [onclick], style").count() == 0


def test_what_would_get_into_the_page_does_not_run_and_is_told_of(
    browser: Browser, url_of: Opener
) -> None:
    with closing(browser.new_context()) as context:
        page = context.new_page()
        said = watch(page)
        page.goto(url_of("fleet"))
        page.evaluate(
            """() => {
              const script = document.createElement("script");
              script.textContent = "boom()";
              document.body.append(script);
              document.body.insertAdjacentHTML("beforeend", '<img src="x:y" onerror="boom()">');
              document.body.setAttribute("style", "margin: 9px");
            }"""
        )
        page.wait_for_function("window.refused.length >= 3")
        assert page.evaluate("window.boomed") == 0
        assert page.evaluate("getComputedStyle(document.body).margin") == "0px"
        assert any("Content Security Policy" in line for line in said)


@pytest.mark.parametrize(
    ("act", "is_wanted"),
    [
        (
            lambda page: page.get_by_label("Find").fill("PAY us-east"),
            lambda row: all(w in f"{row.repo} {row.root} {row.error}" for w in ("pay", "us-east")),
        ),
        (
            lambda page: (
                page.locator("input[value=error]").check(),
                page.locator("input[value=drifted]").check(),
            ),
            lambda row: row.standing.name in ("error", "drifted"),
        ),
        (lambda page: page.locator("#stale").check(), lambda row: row.is_stale),
        (lambda page: page.locator("#new").check(), lambda row: row.is_new),
        (
            lambda page: page.locator("#e").select_option("timeout"),
            lambda row: row.error == "timeout",
        ),
        (
            lambda page: page.get_by_label("Find").fill("no such root"),
            lambda row: False,
        ),
    ],
    ids=["text", "verdicts", "stale", "new", "error", "nothing"],
)
def test_a_filter_leaves_what_it_says_and_counts_it(
    browser: Browser,
    disk: Opener,
    act: Callable[[Page], object],
    is_wanted: Callable[[Row], bool],
) -> None:
    with opened(browser, disk("fleet")) as page:
        flat(page)
        act(page)
        wanted = names([row for row in rows() if is_wanted(row)])
        match = "matches" if len(wanted) == 1 else "match"
        expect(page.locator("#matches")).to_have_text(f"{len(wanted)} of 110 roots {match}")
        assert roots_shown(page) == (wanted or [("", "")])
        page.get_by_role("button", name="Reset").click()
        flat(page)
        assert roots_shown(page) == names(rows())


def _by(key: Callable[[Row], Any], *, turned: bool = False) -> list[tuple[str, str]]:
    """The rows by a key; those without one last, and equals in the order of need."""
    known = sorted((row for row in rows() if key(row) is not None), key=key, reverse=turned)
    return names([*known, *(row for row in rows() if key(row) is None)])


def _count(row: Row) -> int | None:
    return (
        sum((row.summary.drifted, row.summary.add, row.summary.change, row.summary.destroy)) or None
    )


def _seconds(row: Row, name: str) -> int | None:
    at = getattr(row, name)
    return int(AT.timestamp()) - int(at.timestamp()) if at else None


def _natural(text: str) -> list[object]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


# What each column sorts by, and whether it begins with the most.
KEYS: dict[str, tuple[Callable[[Row], Any], bool]] = {
    "repo": (lambda row: _natural(row.repo), False),
    "variant": (lambda row: row.variant, False),
    "age": (lambda row: _seconds(row, "since"), True),
    "changes": (_count, True),
    "checked": (lambda row: _seconds(row, "checked"), True),
    "error": (lambda row: row.error or None, False),
}


@pytest.mark.parametrize("column", KEYS)
def test_a_columns_head_sorts_by_it_and_a_second_time_the_other_way(
    browser: Browser, disk: Opener, column: str
) -> None:
    key, turned = KEYS[column]
    with opened(browser, disk("fleet"), viewport=DESKTOP) as page:
        flat(page)
        head = page.locator(f"th[data-sort={column}]")
        for way in (turned, not turned):
            head.get_by_role("button").click()
            expect(head).to_have_attribute("aria-sort", "descending" if way else "ascending")
            assert page.locator("[aria-sort]").count() == 1
            assert roots_shown(page) == _by(key, turned=way)


def test_what_needs_somebody_comes_first_and_the_longest_of_it(
    browser: Browser, disk: Opener
) -> None:
    with opened(browser, disk("fleet")) as page:
        flat(page)
        assert roots_shown(page) == names(rows())
        assert rows()[0].standing.name == "error"
        expect(page.get_by_role("columnheader", name="Verdict")).to_have_attribute(
            "aria-sort", "ascending"
        )


def test_groups_are_repositories_with_what_they_hold_and_fold_with_the_keyboard(
    browser: Browser, disk: Opener
) -> None:
    first = rows()[0].repo
    members = [row for row in rows() if row.repo == first]
    with opened(browser, disk("fleet")) as page:
        group = page.get_by_role("button", name=first, exact=True)
        wait_until_drawn(page)
        expect(group).to_have_attribute("aria-expanded", "true")
        assert page.locator("button.group").count() == len({row.repo for row in rows()})
        errors = sum(row.standing.name == "error" for row in members)
        expect(page.locator("tr.head").first).to_contain_text(f"{errors} error")
        before = len(roots_shown(page))
        group.focus()
        page.keyboard.press("Enter")
        assert len(roots_shown(page)) == before - len(members)
        assert accessible(page) == f"button {first}"
        expect(group).to_have_attribute("aria-expanded", "false")
        page.get_by_role("button", name="Fold all").click()
        assert roots_shown(page) == []
        page.get_by_role("button", name="Unfold all").click()
        assert sorted(roots_shown(page)) == sorted(names(rows())[: len(roots_shown(page))])


def test_the_address_holds_what_is_shown_and_the_back_button_goes_through_it(
    browser: Browser, url_of: Opener
) -> None:
    with opened(browser, url_of("fleet"), viewport=DESKTOP) as page:
        matches = page.locator("#matches")
        all_of_them = matches.text_content() or ""
        page.locator("input[value=clean]").check()
        clean = matches.text_content() or ""
        page.get_by_label("Find").press_sequentially("prod")
        both = matches.text_content() or ""
        assert len({all_of_them, clean, both}) == 3
        page.get_by_role("columnheader", name="Root").get_by_role("button").click()
        # The browser tells of a new address a moment after the page has it.
        expect(page).to_have_url(re.compile(r"#q=prod&v=clean&sort=root$"))
        order = roots_shown(page)

        page.go_back()
        expect(page).to_have_url(re.compile(r"#q=prod&v=clean$"))
        page.go_back()
        expect(matches).to_have_text(clean)
        assert page.get_by_label("Find").input_value() == ""
        page.go_back()
        expect(matches).to_have_text(all_of_them)
        assert not page.locator("input[value=clean]").is_checked()
        for _ in range(3):
            page.go_forward()
        assert roots_shown(page) == order
        page.reload()
        assert roots_shown(page) == order


def test_a_link_to_what_is_shown_opens_it(browser: Browser, url_of: Opener) -> None:
    with opened(browser, url_of("fleet") + "#v=error,drifted&sort=age.desc&flat=1") as page:
        expect(page.locator("#matches")).to_contain_text("of 110 roots match")
        assert page.locator("input[value=error]").is_checked()
        assert page.locator("#flat").is_checked()
        wait_until_drawn(page)
        verdicts = set(page.locator("#table tbody .badge").all_text_contents())
        assert verdicts == {"!error", "≠drifted"}
        expect(page.get_by_role("heading", name="All roots")).to_be_in_viewport()


@pytest.mark.parametrize(
    "hash_",
    ["#v=nonsense,__proto__&e=%3Cscript%3E&sort=constructor.desc&fold=x", "#%%%=%zz&q=%E0%A4%A"],
)
def test_a_broken_link_shows_what_it_can(browser: Browser, disk: Opener, hash_: str) -> None:
    with opened(browser, disk("fleet") + hash_) as page:
        expect(page.locator("#matches")).to_contain_text("roots")
        expect(page.get_by_role("columnheader", name="Verdict")).to_have_attribute(
            "aria-sort", "ascending"
        )


def test_a_number_at_the_top_leads_to_its_roots(browser: Browser, disk: Opener) -> None:
    with opened(browser, disk("fleet")) as page:
        tile = page.locator(".tiles a", has_text="unapplied").last
        count = tile.locator(".tile-count").inner_text()
        tile.click()
        expect(page.locator("#matches")).to_contain_text(f"{count} of 110 roots match")
        expect(page.get_by_role("heading", name="All roots")).to_be_in_viewport()
        assert accessible(page) == "h2 All roots"
        page.go_back()
        expect(page.locator("#matches")).to_contain_text("110 roots")


def test_hostile_names_are_text_and_their_links_lead_to_their_pages(
    browser: Browser, url_of: Opener, sites: dict[str, Path]
) -> None:
    linked = [row for row in rows_of(hostile_fleet(), Edition(AT)) if row.page]
    for row in linked:
        path = sites["hostile"] / row.page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STUB, encoding="utf-8")
    with opened(browser, url_of("hostile")) as page:
        wait_until_drawn(page)
        shown = set(page.locator("#table .c-root").all_text_contents())
        assert shown >= {visible(name) for name in HOSTILE}
        assert page.locator("#table .c-root bdi").count() == len(linked) + len(HOSTILE)
        assert page.locator("img, #table script, iframe").count() == 0
        assert "\u202e" not in page.content()
        links = page.locator("#table a").all()
        assert len(links) == len(linked)
        targets = [link.evaluate("link => link.href") for link in links]
        assert sorted(unquote(target).partition("/site/")[2] for target in targets) == sorted(
            row.page.removeprefix("site/") for row in linked
        )
        for target in targets[::3]:
            page.goto(target)
            expect(page).to_have_title("page")


def test_links_lead_to_their_pages_in_a_bucket(
    browser: Browser, sites: dict[str, Path], tmp_path: Path
) -> None:
    linked = [row for row in rows_of(hostile_fleet(), Edition(AT)) if row.page]
    pages = {row.page: STUB.encode() for row in linked}
    pages[INDEX_KEY] = (sites["hostile"] / INDEX_KEY).read_bytes()
    with running_s3(tmp_path) as s3:
        for key, body in pages.items():
            _put(s3, key, body, "text/html; charset=utf-8")
        for asset in assets():
            _put(s3, asset.key, asset.body, asset.content_type)
        front = f"{s3.endpoint}/{s3.bucket}/a%20fleet/{INDEX_KEY}"
        with opened(browser, front) as page:
            wait_until_drawn(page)
            links = page.locator("#table a").all()
            assert len(links) == len(linked)
            for target in [link.evaluate("link => link.href") for link in links]:
                page.goto(target)
                expect(page).to_have_title("page")


def _put(s3: S3, key: str, body: bytes, kind: str) -> None:
    s3.client.put_object(
        Bucket=s3.bucket, Key=f"a fleet/{key}", Body=body, ContentType=kind, ACL="public-read"
    )


def test_names_of_another_direction_do_not_move_what_is_around_them(
    browser: Browser, disk: Opener
) -> None:
    with opened(browser, disk("hostile"), viewport=DESKTOP) as page:
        wait_until_drawn(page)
        row = page.locator("#table tr", has_text="\u05d0\u05d1\u05d2").first
        boxes = [cell.bounding_box() for cell in row.locator("> :visible").all()]
        left = [box["x"] for box in boxes if box]
        assert left == sorted(left)
        for one in row.locator("bdi").all():
            assert one.evaluate("one => getComputedStyle(one).unicodeBidi") == "isolate"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_no_serious_barrier_and_nothing_is_wider_than_the_window(
    browser: Browser, disk: Opener, scheme: str, viewport: dict[str, int]
) -> None:
    for name in ("empty", "example", "large", "hostile"):
        with opened(browser, disk(name), color_scheme=scheme, viewport=viewport) as page:
            form = "phone" if viewport == PHONE else "desktop"
            photograph(page, f"front-{name}-{scheme}-{form}", whole=name != "large")
            assert overflow(page) == 0, name
            page.locator("details:not([open]) > summary:visible").first.click()
            # A large fleet's page is made of the same, and takes axe-core four times as long.
            assert name == "large" or barriers(page) == [], name


def test_axe_would_find_a_barrier(browser: Browser, disk: Opener) -> None:
    with opened(browser, disk("example")) as page:
        page.evaluate("document.getElementById('q').labels[0].remove()")
        page.evaluate("document.getElementById('q').removeAttribute('placeholder')")
        assert any(line.startswith("label (critical)") for line in barriers(page))


def test_the_keyboard_reaches_everything_and_what_has_the_focus_is_seen(
    browser: Browser, disk: Opener
) -> None:
    with opened(browser, disk("example"), viewport=DESKTOP) as page:
        page.keyboard.press("Tab")
        assert accessible(page) == "a Skip to content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        met = []
        for _ in range(80):
            page.keyboard.press("Tab")
            met.append(accessible(page))
            assert page.evaluate(_IS_SEEN), met[-1]
            if met[-1].startswith("button local/"):
                break
        words = " | ".join(met)
        for expected in (
            "Find",
            "input !error 4",
            "stale 0",
            "Sort by",
            "Fold all",
            "Verdict",
            "Error",
        ):
            assert expected in words
        page.keyboard.press("Space")
        assert roots_shown(page) == []
        page.get_by_label("Find").focus()
        page.keyboard.type("shop")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        expect(page.locator("#matches")).to_have_text("0 of 14 roots match")


# An outline of its own or, of a box in a label, the label's.
_IS_SEEN = """() => {
  const one = document.activeElement;
  const seen = (element) => {
    const style = getComputedStyle(element);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  };
  const box = one.getBoundingClientRect();
  return (seen(one) || (one.labels && one.labels.length > 0 && seen(one.labels[0])))
    && box.bottom > 0 && box.top < innerHeight && box.width > 0;
}"""


def test_without_the_script_the_numbers_the_trend_and_the_worst_roots_are_there(
    browser: Browser, disk: Opener
) -> None:
    with opened(browser, disk("fleet"), java_script_enabled=False) as page:
        expect(page.locator(".headline")).to_contain_text("of 110 roots need somebody")
        assert page.locator(".panel svg rect").count() > 60
        # Playwright's own texts leave out what is in `noscript`.
        note = page.locator("noscript p")
        assert note.is_visible()
        assert note.inner_text().startswith("The first 50 of 110 roots")
        assert page.locator("#table tbody tr").count() == 50
        expect(page.locator("#table tbody tr").first).to_contain_text(rows()[0].root)
        assert not page.locator("#controls").is_visible()


def test_an_old_page_says_so(browser: Browser, disk: Opener) -> None:
    with closing(browser.new_context()) as context:
        page = context.new_page()
        said = watch(page)
        page.clock.set_fixed_time(AT + timedelta(hours=11))
        page.goto(disk("example"))
        expect(page.locator("#made-ago")).to_have_text(", 11 h ago")
        assert not page.locator("#old").is_visible()
        page.clock.set_fixed_time(AT + timedelta(days=3))
        page.reload()
        expect(page.locator("#old")).to_have_text(
            "This page is 3 d old. The fleet may look different by now."
        )
        assert said == []


def test_of_a_large_fleet_a_part_is_drawn_and_more_where_it_is_asked_for(
    browser: Browser, disk: Opener
) -> None:
    with opened(browser, disk("large"), viewport=DESKTOP) as page:
        wait_until_drawn(page)
        assert page.locator("button.group[aria-expanded=true]").count() == 0
        flat(page)
        assert len(roots_shown(page)) == 150
        page.get_by_role("button", name="Show 150 more").click()
        assert len(roots_shown(page)) == 300
        assert page.evaluate("document.activeElement.closest('tr').rowIndex") == 151


def test_of_a_large_fleet_three_figures_are_told(
    browser: Browser, sites: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    speed = page_speed(browser, sites["large"] / INDEX_KEY, flat=True)
    with capsys.disabled():
        print(f"\n5,000 roots: {speed}")
    assert speed.page_bytes < 3_000_000
