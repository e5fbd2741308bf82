"""The pages for the one at 3 a.m. have what they promise, and their links lead somewhere."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGES = sorted(
    {*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("deploy/**/*.md")}
    | {TOP / "benchmarks" / "README.md", TOP / "vendor" / "README.md"}
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _alarms(page: str, heading: str) -> list[str]:
    """The first column of the table below a heading, in its order."""
    text = (TOP / "docs" / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    return rows[1:]


def test_each_alarm_has_a_row_that_says_what_to_do() -> None:
    alarms = _alarms("metrics.md", "Alarms")
    assert {"no heartbeat", "backlog", "errors", "disk", "workers"} <= set(alarms)
    assert _alarms("operations.md", "When an alarm rings") == alarms


def test_each_alarm_that_is_made_is_called_what_the_page_says() -> None:
    page = (TOP / "docs" / "operations.md").read_text().partition("## When an alarm rings")[2]
    rows = [line.split("|")[2] for line in page.partition("\n## ")[0].splitlines() if "|" in line]
    called = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    rules = (TOP / "deploy/kubernetes/components/prometheus/rules.yaml").read_text()
    made = set(re.findall(r"alert: Driftfleet(\w+)", rules))
    alarms = (TOP / "deploy/terraform/alarms.tf").read_text()
    made |= set(re.findall(r"^    (\w+) = \{", alarms, re.M))
    made |= set(re.findall(r'alarm_name\s*= "\$\{var\.name\}-(\w+)"', alarms))
    assert made == called


@pytest.mark.parametrize(
    "heading",
    [
        "The services", "Sizing", "What breaks first", "Upgrades", "Rotating secrets",
        "When an alarm rings", "What to do when",
    ],
)  # fmt: skip
def test_an_operator_finds_it_by_its_heading(heading: str) -> None:
    assert f"\n## {heading}\n" in (TOP / "docs" / "operations.md").read_text()


def _anchors(page: Path) -> set[str]:
    """The names of a page's headings as GitHub makes them."""
    names = _HEADING.findall(page.read_text())
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in names}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), link
        if anchor and there.suffix == ".md":
            assert anchor in _anchors(there), link
