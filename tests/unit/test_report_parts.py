"""Parts of the dashboard that are worked out: links, words, counts, bars, news, rows."""

import json
import posixpath
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.day import DayRecord, day_of, trend
from driftfleet.fleet_status import FleetStatus
from driftfleet.jobs import Job, Source, Variant
from driftfleet.places import place
from driftfleet.report import words
from driftfleet.report.assets import assets
from driftfleet.report.edition import Edition
from driftfleet.report.glance import glance
from driftfleet.report.links import INDEX_KEY, href, root_page_key, sweep_page_key
from driftfleet.report.news import kinds_of_error, longest, new_keys, news
from driftfleet.report.standing import STANDINGS
from driftfleet.report.table import data, rows_of
from driftfleet.report.trend_chart import panels
from driftfleet.results import ErrorKind, Verdict
from tests.fleets import AT, HOSTILE, days_of, fleet_of, hostile_fleet, root

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EDITION = Edition(AT)
_SEGMENT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1)


def page_of(path: str, variant: str = "default") -> str:
    job = Job(
        sweep_id="s1",
        source=Source(kind="github", repo="acme/infra"),
        root=path,
        variant=Variant(name=variant),
    )
    return root_page_key(place(job))


# -- links --------------------------------------------------------------------------------------


@given(name=_SEGMENT.filter(lambda name: name not in (".", "..")))
def test_a_link_leads_to_the_key_it_was_made_of_wherever_the_pages_are(name: str) -> None:
    page, base = page_of(f"a/{name}"), "https://example.com/a%20prefix/"
    for one, other in ((INDEX_KEY, page), (page, INDEX_KEY), (page, sweep_page_key("s-1"))):
        # What a server is asked for, decoded once, is the object's key.
        here = urljoin(base, "/".join(_encoded(one)))
        assert unquote(urljoin(here, href(one, other))).endswith(f"a prefix/{other}")
        assert not posixpath.isabs(href(one, other))
        assert "://" not in href(one, other)


def _encoded(key: str) -> list[str]:
    return [part.replace("%", "%25") for part in key.split("/")]


def test_no_page_of_a_root_stands_where_another_roots_folder_belongs() -> None:
    assert page_of("a", "b") == "site/roots/acme/infra/a/b.html"
    assert page_of("a/b.html", "c") == "site/roots/acme/infra/a/b%2Ehtml/c.html"
    assert page_of(".") == "site/roots/acme/infra/@root/default.html"


def test_the_key_of_what_pages_load_changes_with_its_content() -> None:
    for asset in assets():
        assert re.fullmatch(r"site/assets/site\.[0-9a-f]{12}\.(css|js|svg)", asset.key)
    kinds = [asset.content_type.partition(";")[0] for asset in assets()]
    assert kinds == ["text/css", "text/javascript", "image/svg+xml"]


# -- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=59), "59 min"),
        (timedelta(hours=47), "47 h"),
        (timedelta(hours=48), "2 d"),
        (timedelta(days=134), "134 d"),
    ],
)
def test_a_length_is_one_number_and_its_unit(span: timedelta, said: str) -> None:
    assert words.length(span) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.95, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (3725, "1 h 02 min"),
    ],
)
def test_a_duration_is_as_exact_as_one_wants(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (812, "812 B"), (999, "999 B"), (1200, "1.2 kB"), (999_600, "1.0 MB")],
)
def test_a_size_has_two_digits_or_three(count: int, said: str) -> None:
    assert words.size(count) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain/ä 🚀", "plain/ä 🚀"),
        ("a\u202egnp.exe", "a⟨202E⟩gnp.exe"),
        ("a\nb\u2028c", "a⟨000A⟩b⟨2028⟩c"),
        ("zero\u200bwidth\ufeff", "zero⟨200B⟩width⟨FEFF⟩"),
        ("\u2066isolate\u2069\x1b[0m", "⟨2066⟩isolate⟨2069⟩⟨001B⟩[0m"),
    ],
)
def test_nothing_hides_in_a_name(text: str, said: str) -> None:
    assert words.visible(text) == said


def test_a_block_keeps_its_lines_and_nothing_hides_in_them_either() -> None:
    assert words.visible_lines("a\r\n\tb\u202ec\n") == "a\n\tb⟨202E⟩c\n"


# -- at a glance --------------------------------------------------------------------------------


def test_tiles_count_all_standings_and_compare_with_yesterday() -> None:
    fleet = FleetStatus(
        roots=(root(path="a"), root(path="b", said=[(Verdict.DRIFTED, HOUR)])),
        never=("acme/infra/c/default",),
        unreadable={"latest/x.json": "broken"},
    )
    today = day_of(fleet, AT, DAY)
    yesterday = today.model_copy(update={"verdicts": {Verdict.DRIFTED: 3}, "never": 0})
    shown = glance(today, yesterday)
    assert {tile.standing.name: (tile.count, tile.more) for tile in shown.tiles} == {
        "error": (0, 0),
        "drifted_unapplied": (0, 0),
        "drifted": (1, -2),
        "unapplied": (0, 0),
        "never": (1, 1),
        "clean": (1, 1),
    }
    assert (shown.needing, shown.judged, shown.coverage) == (3, 2, 50)
    assert all(tile.more is None for tile in glance(today, None).tiles)


def test_coverage_is_whole_only_where_everything_was_judged() -> None:
    roots = tuple(root(path=f"r{number}") for number in range(299))
    assert glance(day_of(FleetStatus(roots=roots), AT, DAY), None).coverage == 100
    missing = FleetStatus(roots=roots, never=("acme/infra/c/default",))
    assert glance(day_of(missing, AT, DAY), None).coverage == 99
    assert glance(day_of(FleetStatus(), AT, DAY), None).coverage == 0


def test_the_parts_of_the_bar_fill_it_and_the_smallest_is_seen() -> None:
    roots = [root(path=f"r{number}") for number in range(3000)]
    roots.append(root(path="x", said=[(Verdict.ERROR, HOUR)]))
    tiles = glance(day_of(FleetStatus(roots=tuple(roots)), AT, DAY), None).tiles
    assert sum(tile.width for tile in tiles) == pytest.approx(1000, abs=0.1)
    assert tiles[0].width > 3
    assert tiles[-1].x + tiles[-1].width == pytest.approx(1000, abs=0.1)


# -- the trend ----------------------------------------------------------------------------------


def test_bars_stand_on_each_other_and_gaps_have_none() -> None:
    fleet = fleet_of(300)
    days = trend([*days_of(fleet), day_of(fleet, AT, DAY)], AT.date())
    for panel in panels(days):
        assert len(panel.bars) == 30
        for bar in panel.bars:
            total = sum(bar.day.count(one.name) for one in panel.standings) if bar.day else 0
            assert total <= panel.top
            heights = sum(block.height for block in bar.blocks)
            assert heights == pytest.approx(100 * total / panel.top, abs=0.01)
            if bar.blocks:
                assert bar.blocks[0].y + bar.blocks[0].height == pytest.approx(100, abs=0.01)
        assert [bar.date for bar in panel.bars if bar.day is None] == [
            AT.date() - timedelta(days=12),
            AT.date() - timedelta(days=11),
        ]


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 2), (1, 2), (3, 4), (7, 8), (11, 20), (353, 400), (4639, 5000)]
)
def test_a_scale_ends_at_a_round_number_of_which_half_is_whole(highest: int, top: int) -> None:
    day = DayRecord(
        date=AT.date(),
        at=AT,
        roots=highest,
        verdicts={Verdict.ERROR: highest},
        stale_after_seconds=1,
    )
    assert panels([(AT.date(), day)])[0].top == top


# -- news ---------------------------------------------------------------------------------------


def test_news_is_what_began_within_a_day() -> None:
    drift, clean, error = Verdict.DRIFTED, Verdict.CLEAN, Verdict.ERROR
    fleet = FleetStatus(
        roots=(
            root(path="drifts", said=[(clean, 30 * HOUR), (drift, 5 * HOUR), (drift, HOUR)]),
            root(path="drifted-before", said=[(drift, 30 * HOUR), (drift, HOUR)]),
            root(path="drifted-before-an-error", said=[(drift, 30 * HOUR), (error, HOUR)]),
            root(
                path="also-unapplied",
                said=[(drift, 30 * HOUR), (Verdict.DRIFTED_UNAPPLIED, 2 * HOUR)],
            ),
            root(path="clean-again", said=[(drift, 30 * HOUR), (clean, HOUR)]),
            root(path="always-clean", said=[(clean, HOUR)]),
            root(path="clean-for-long", said=[(drift, 90 * HOUR), (clean, 30 * HOUR)]),
        )
    )
    told = {name: [i.root.root for i in items] for name, items in vars(news(fleet, AT)).items()}
    assert told == {
        "error": ["drifted-before-an-error"],
        "drifted": ["drifts"],
        "unapplied": ["also-unapplied"],
        "clean": ["clean-again"],
    }
    new = {one.root for one in fleet.roots if one.key in new_keys(fleet, AT)}
    assert new == {name for names in told.values() for name in names}


def test_an_error_in_between_does_not_make_drift_younger() -> None:
    said = [(Verdict.DRIFTED, 9 * DAY), (Verdict.ERROR, 5 * DAY), (Verdict.DRIFTED, HOUR)]
    fleet = FleetStatus(
        roots=(
            root(path="young", said=[(Verdict.DRIFTED, 7 * DAY), (Verdict.DRIFTED, HOUR)]),
            root(path="old", said=said),
            root(path="unknown", said=[(Verdict.DRIFTED, 99 * DAY), (Verdict.ERROR, HOUR)]),
        )
    )
    assert [one.root for one in longest(fleet, 10)] == ["old", "young"]
    assert [one.root for one in longest(fleet, 1)] == ["old"]


def test_kinds_of_error_have_the_newest_as_their_example() -> None:
    def failing(path: str, kind: ErrorKind, ago: timedelta) -> object:
        return root(path=path, said=[(Verdict.ERROR, ago)], kind=kind)

    fleet = FleetStatus(
        roots=(
            failing("a", ErrorKind.HCL, HOUR),
            failing("b", ErrorKind.TIMEOUT, 5 * HOUR),
            failing("c", ErrorKind.TIMEOUT, 2 * HOUR),
        )  # type: ignore[arg-type]
    )
    told = [(one.kind, one.count, one.example.root) for one in kinds_of_error(fleet)]
    assert told == [("timeout", 2, "c"), ("hcl", 1, "a")]


# -- the table ----------------------------------------------------------------------------------


def test_rows_begin_with_what_needs_somebody_for_longest_and_end_with_what_is_clean() -> None:
    rows = rows_of(fleet_of(400), EDITION)
    ranks = [[one.name for one in STANDINGS].index(row.standing.name) for row in rows]
    assert ranks == sorted(ranks)
    errors = [row.since for row in rows if row.standing.name == "error" and row.since]
    assert errors == sorted(errors)


@pytest.mark.parametrize("path", [*HOSTILE, ".", "a/b", "@root", "x.html"])
def test_a_root_that_was_never_answered_has_its_name_from_its_place(path: str) -> None:
    job = Job(sweep_id="s1", source=Source(kind="github", repo="acme/infra"), root=path)
    [row] = rows_of(FleetStatus(never=(place(job),)), EDITION)
    assert (row.repo, row.variant, row.page) == ("acme/infra", "default", "")
    assert row.root == path or (len(path) > 200 and row.root.startswith(path[:150]))


def test_no_name_ends_the_block_that_holds_the_rows() -> None:
    text = str(data(rows_of(hostile_fleet(), EDITION), EDITION))
    assert text.isascii()
    assert not set("<>&") & set(text)
    roots = [row[1] for row in json.loads(text)["rows"]]
    assert set(roots) >= {words.visible(name) for name in HOSTILE}


def test_a_rows_link_is_that_of_its_page() -> None:
    rows = rows_of(hostile_fleet(), EDITION)
    told = json.loads(str(data(rows, EDITION)))
    for row, packed in zip(rows, told["rows"], strict=True):
        link = told["repos"][packed[0]][1] + packed[9]
        assert link == href(INDEX_KEY, row.page) if row.page else packed[9] == ""


def test_times_of_rows_are_in_whole_seconds_since_the_epoch() -> None:
    told = json.loads(str(data(rows_of(FleetStatus(roots=(root(),)), EDITION), EDITION)))
    assert told["at"] == int(AT.timestamp())
    assert told["rows"][0][4:6] == [told["at"] - 3600] * 2
    assert datetime.fromtimestamp(told["at"], UTC) == AT
