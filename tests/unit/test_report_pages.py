"""Pages as text: what is escaped, what is never there, and what belongs into the wheel."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from jinja2 import UndefinedError

from driftfleet.fleet_status import FleetStatus
from driftfleet.report.edition import Edition
from driftfleet.report.front import front_page
from driftfleet.report.pages import POLICY, environment
from driftfleet.report_settings import ReportSettings
from driftfleet.results import Verdict
from tests.fleets import AT, days_of, example_fleet, fleet_of, hostile_fleet, root

REPOSITORY = Path(__file__).parents[2]


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def front(fleet: FleetStatus, settings: ReportSettings | None = None) -> Page:
    edition = Edition(AT, settings or ReportSettings())
    return Page(front_page(fleet, days_of(fleet) if fleet.roots else [], edition))


@pytest.mark.parametrize(
    "fleet", [FleetStatus(), example_fleet(), hostile_fleet()], ids=["empty", "example", "hostile"]
)
def test_nothing_of_a_page_needs_more_than_its_policy_allows(fleet: FleetStatus) -> None:
    page = front(fleet)
    [policy] = [one for one in page.all("meta") if one.get("http-equiv")]
    assert policy["content"] == POLICY
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'")
    for tag, attributes in page.elements:
        assert tag not in ("style", "img", "iframe", "object", "form", "base")
        assert not any(name == "style" or name.startswith("on") for name in attributes)
        for name in ("href", "src"):
            assert not (attributes.get(name) or "").startswith(("/", "http", "javascript", "data"))
    runs = [one for one in page.all("script") if one.get("type") != "application/json"]
    assert len(runs) == 1
    assert runs[0]["src"]


def test_a_page_has_no_id_twice_and_every_reference_leads_somewhere() -> None:
    page = front(fleet_of(2000))
    ids = [one["id"] for _, one in page.elements if one.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert set((attributes.get(name) or "").split()) <= set(ids)
        target = attributes.get("href") or ""
        assert not target.startswith("#") or "=" in target or target[1:] in ids


def test_a_template_that_names_what_is_not_there_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment().from_string("{{ verdcit }}").render()


def test_whatever_is_put_into_a_template_is_escaped() -> None:
    assert environment().from_string("{{ x }}").render(x="<b>") == "&lt;b&gt;"


def test_the_same_fleet_gives_the_same_page() -> None:
    fleet = fleet_of(50)
    pages = {front_page(fleet, days_of(fleet), Edition(AT)) for _ in range(2)}
    assert len(pages) == 1


def test_an_empty_fleet_says_that_nothing_was_checked_yet() -> None:
    assert "No roots yet" in front(FleetStatus()).text


def test_a_fleet_that_is_clean_says_so() -> None:
    text = " ".join(front(FleetStatus(roots=(root(path="a"), root(path="b")))).text.split())
    assert "All 2 roots are clean" in text


def test_what_counts_as_stale_and_as_old_is_set() -> None:
    settings = ReportSettings(stale_after=timedelta(hours=2), old_after=timedelta(hours=3))
    roots = (root(path="a", said=[(Verdict.CLEAN, timedelta(hours=3))]), root(path="b"))
    page = front(FleetStatus(roots=roots), settings)
    assert "1 of 2" in page.text
    assert "judged within 2 h" in page.text
    assert page.all("body")[0]["data-old-after"] == "10800"


def test_the_wheel_has_templates_style_sheets_and_scripts() -> None:
    included = {
        one.distribution_path for one in WheelBuilder(str(REPOSITORY)).recurse_included_files()
    }
    folder = REPOSITORY / "driftfleet" / "report"
    parts = [path for kind in ("templates", "assets") for path in (folder / kind).iterdir()]
    assert len(parts) > 10
    assert {str(path.relative_to(REPOSITORY)) for path in parts} <= included


def test_a_message_of_several_lines_is_one_line_in_which_nothing_hides() -> None:
    failed = root(said=[(Verdict.ERROR, timedelta(hours=1))], message="init failed:\n- a\u202eb")
    text = " ".join(front(FleetStatus(roots=(failed,))).text.split())
    assert "init failed: - a⟨202E⟩b" in text


@pytest.mark.parametrize("name", ["front.css", "root.css"])
def test_only_the_base_styles_elements_of_all_pages(name: str) -> None:
    sheet = (REPOSITORY / "driftfleet" / "report" / "assets" / name).read_text()
    rules = re.sub(r"/\*.*?\*/|@media[^{]*\{", "", sheet, flags=re.DOTALL)
    selectors = [
        one.strip() for part in re.findall(r"([^{}]+)\{", rules) for one in part.split(",")
    ]
    assert len(selectors) > 20
    assert [one for one in selectors if not re.search(r"[.#\[]", one)] == []
