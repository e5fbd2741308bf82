"""Templates -> pages. Whatever is put into one is escaped; a name that is missing is an error."""

from functools import cache, partial

from jinja2 import Environment, PackageLoader, StrictUndefined

from driftfleet.report import words
from driftfleet.report.assets import picture, script, style_sheet
from driftfleet.report.edition import Edition
from driftfleet.report.links import (
    INDEX_KEY,
    SWEEPS_KEY,
    href,
    root_page_key,
    sweep_page_key,
)
from driftfleet.report.markup import marked
from driftfleet.report.standing import STANDINGS, Standing

# Nothing but our own two files is loaded, and no attribute or block of the page is style or script.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)


def render(template: str, page: str, edition: Edition, **values: object) -> str:
    """The page that belongs under the key ``page``.

    Templates extend ``base.html``. Besides ``values`` they have ``link(KEY)``, the relative link
    to another key, and ``edition``.
    """
    return (
        environment()
        .get_template(template)
        .render(
            page=page,
            edition=edition,
            link=partial(href, page),
            **values,
        )
    )


@cache
def environment() -> Environment:
    """Where templates find the words and places of all pages."""
    made = Environment(
        loader=PackageLoader("driftfleet.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "age": words.age,
        "duration": words.duration,
        "iso": words.iso,
        "span": words.length,
        "lines": words.visible_lines,
        "marked": marked,
        "moment": words.moment,
        "number": words.number,
        "size": words.size,
        "visible": words.visible,
    }
    made.globals |= {
        "index_key": INDEX_KEY,
        "picture_key": picture().key,
        "policy": POLICY,
        "root_page_key": root_page_key,
        "script_key": script().key,
        "standing": Standing.of,
        "standings": STANDINGS,
        "style_key": style_sheet().key,
        "sweep_page_key": sweep_page_key,
        "sweeps_key": SWEEPS_KEY,
    }
    return made
