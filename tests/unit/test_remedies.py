"""What the dashboard says to do about an error is what docs/errors.md says."""

import re
from pathlib import Path

from driftfleet.remedies import REMEDIES
from driftfleet.report.markup import marked
from driftfleet.results import ErrorKind

DOCS = Path(__file__).parents[2] / "docs" / "errors.md"
_SECTION = re.compile(
    r"^## `(\w+)`\n.*?\*\*What to do:\*\* (.*?)\n- \*\*", re.MULTILINE | re.DOTALL
)


def test_page_and_docs_say_the_same() -> None:
    written = {kind: " ".join(text.split()) for kind, text in _SECTION.findall(DOCS.read_text())}
    assert written == {kind.value: text for kind, text in REMEDIES.items()}


def test_every_kind_has_one() -> None:
    assert REMEDIES.keys() == set(ErrorKind)


def test_code_and_links_of_the_docs_are_marked_and_all_else_is_text() -> None:
    assert marked("Set `a<b>` & see [x.md](x.md#y).") == (
        "Set <code>a&lt;b&gt;</code> &amp; see <code>docs/x.md</code>."
    )
