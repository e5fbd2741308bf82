"""The page of a root: what is on it, and what names from outside can't do there."""

import re
import shlex
import subprocess
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from driftfleet.globs import folder_matches
from driftfleet.jobs import Job
from driftfleet.latest import LatestRecord
from driftfleet.report.changes import grouped
from driftfleet.report.commands import check_again, shell_word
from driftfleet.report.edition import Edition
from driftfleet.report.links import href, root_page_key
from driftfleet.report.root import Surroundings, folder_url, page_of, root_page
from driftfleet.report.timeline import WIDTH, strip
from driftfleet.results import ErrorKind, Verdict
from tests.fleets import HOSTILE
from tests.sites import AT, HOUR, SHA, change, failed, job, latest, result

GITHUB = "https://github.example.com"
DAY = timedelta(days=1)


class _Read(HTMLParser):
    """The text of a page, its links, and its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.links: dict[str, str] = {}
        self.elements: list[str] = []
        self._link: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        given = dict(attrs)
        assert not {name for name in given if name.startswith("on") or name == "style"}
        if tag == "a":
            self._link = given["href"] or ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._link is not None:
            self.links[data] = self._link
            self._link = None


def page(record: LatestRecord, around: Surroundings | None = None) -> str:
    return root_page(
        record.result.latest_key, record, around or Surroundings(GITHUB, True), Edition(at=AT)
    )


def read(record: LatestRecord, around: Surroundings | None = None) -> _Read:
    return _Read(page(record, around))


# What is on it.


def test_changes_are_told_with_kind_action_and_attributes() -> None:
    changes = [
        change("aws_instance.web", actions=("delete", "create"), attributes=("ami", "user_data")),
        change("aws_s3_bucket.logs", "unapplied", attributes=("versioning",)),
        change("endpoint", "output", attributes=()),
    ]
    text = read(latest(result(job(), Verdict.DRIFTED_UNAPPLIED, changes=changes))).text
    for told in (
        "Changed outside Terraform", "delete + create 1", "aws_instance.web", "user_data",
        "In the code, never applied", "versioning", "Outputs", "endpoint",
    ):  # fmt: skip
        assert told in text


def test_what_was_cut_is_told() -> None:
    record = latest(result(job(), Verdict.DRIFTED, changes=[change("a.b")], cut=1234))
    assert "1,234 more are not shown" in read(record).text


def test_an_error_is_told_with_its_phase_and_what_to_do() -> None:
    message = "Error: no\n\n  on main.tf line 3"
    text = read(latest(result(job(), error=failed(ErrorKind.CREDENTIALS, message)))).text
    assert message in text
    assert "credentials" in text
    assert "Phaseplan" in text.replace("\n", "")
    assert "put a valid token where the worker's github.token says" in text


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_of_error_has_a_page(kind: ErrorKind) -> None:
    assert "What to do" in read(latest(result(job(), error=failed(kind)))).text


def test_its_history_is_told() -> None:
    record = latest(
        result(job(), at=AT - 9 * DAY),
        result(job(), at=AT - 8 * DAY),
        result(job(), at=AT - 7 * DAY, error=failed()),
        result(job(), Verdict.DRIFTED, at=AT - 6 * DAY, changes=[change("a.b")]),
        result(job(), Verdict.DRIFTED, at=AT, changes=[change("a.b")]),
    )
    text = read(record).text
    assert "2026-11-23 12:00 UTC" in text  # drifted since
    assert "2026-11-21 12:00 UTC" in text  # last clean
    assert "2026-11-22 12:00 UTC" in text  # last error
    assert text.count("timeout") == 2


def test_what_it_took_is_told_with_versions() -> None:
    text = read(latest(result(job()))).text
    for told in ("851 MB", "3.2 s", "1.11.4", "hashicorp/aws", "5.91.0", "worker-7", "4.5 s"):
        assert told in text


def test_links_lead_to_the_folder_the_records_and_the_sweep() -> None:
    record = latest(result(job("envs/prod", ref="main")))
    links = read(record).links
    assert links["Folder at this commit"] == f"{GITHUB}/acme/infra/tree/{SHA}/envs/prod"
    assert links["Raw record"] == "../../../../../../latest/acme/infra/envs/prod/default.json"
    assert links["Raw result"].startswith(
        "../../../../../../results/acme/infra/envs/prod/default/2026"
    )
    assert links["Its sweep"] == "../../../../../sweeps/sweep-20261129T110000-000001.html"
    assert "Its sweep" not in read(record, Surroundings(GITHUB, has_sweep=False)).links


def test_the_folder_has_no_link_where_nobody_knows_it() -> None:
    local = result(job("a", repo="/srv/infra", kind="local"))
    assert folder_url(local, GITHUB) == ""
    assert folder_url(result(job()), "") == ""
    for repo in ("acme/..", "a/b/c", "javascript:alert(1)", "acme/x?y"):
        assert folder_url(result(job(repo=repo)), GITHUB) == ""
    assert folder_url(result(job(".")), GITHUB) == f"{GITHUB}/acme/infra/tree/{SHA}"
    assert folder_url(result(job("a b/c#d?e/100%")), GITHUB).endswith("/a%20b/c%23d%3Fe/100%25")


def test_the_page_of_a_lasting_state_says_nothing_that_gets_old() -> None:
    """It is made anew when the state changes, and may be opened a year later."""
    text = page(latest(result(job())))
    assert "data-made" not in text
    assert "Ages count" not in text


# Hundreds of changes.


def test_changes_that_differ_in_their_instance_alone_are_one_row() -> None:
    changes = [
        change(f'module.vpc["{zone}"].aws_subnet.this[{n}]', module=f'module.vpc["{zone}"]')
        for zone in ('a\\"]', "b")
        for n in range(250)
    ]
    (kind,) = grouped(changes)
    assert kind.count == 500
    ((module,),) = [kind.modules]
    (row,) = module.rows
    assert (row.address, row.count) == ("module.vpc[*].aws_subnet.this[*]", 500)
    text = read(latest(result(job(), Verdict.DRIFTED, changes=changes))).text
    assert "500 alike" in text
    assert "aws_subnet.this[249]" in text


def test_rows_are_by_module_and_in_the_order_of_their_numbers() -> None:
    changes = [change(f"a.r{n}") for n in (10, 9, 1)] + [change("module.m.a.b", module="module.m")]
    (kind,) = grouped(changes)
    assert [one.address for one in kind.modules] == ["", "module.m"]
    assert [row.address for row in kind.modules[0].rows] == ["a.r1", "a.r9", "a.r10"]


def test_what_differs_in_action_or_attributes_is_another_row() -> None:
    changes = [change("a.b[0]"), change("a.b[1]", actions=("delete",)),
               change("a.b[2]", attributes=("x",))]  # fmt: skip
    (kind,) = grouped(changes)
    assert sorted(row.address for row in kind.modules[0].rows) == ["a.b[0]", "a.b[1]", "a.b[2]"]
    assert kind.actions == (("update", 2), ("delete", 1))


def test_a_page_of_five_thousand_alike_names_no_more_than_somebody_reads() -> None:
    changes = [change(f"a.b[{n}]") for n in range(5000)]
    text = page(latest(result(job(), Verdict.DRIFTED, changes=changes)))
    assert len(text) < 100_000
    assert "and 4,500 more" in text


# The strip.


def test_the_strip_fills_its_width_by_time_and_leaves_nothing_out() -> None:
    said = [Verdict.CLEAN, Verdict.DRIFTED, Verdict.CLEAN, Verdict.UNAPPLIED]
    record = latest(
        *(
            result(job(), one, at=AT - ago, changes=[change("a")] if one != Verdict.CLEAN else ())
            for one, ago in zip(said, (100 * DAY, 50 * DAY, HOUR, 0 * HOUR), strict=True)
        )
    )
    found = strip(record.runs)
    assert [one.verdict for one in found] == said
    assert found[0].x == 0
    assert found[-1].x + found[-1].width == pytest.approx(WIDTH, abs=0.1)
    assert min(one.width for one in found) >= 5
    assert found[0].width == pytest.approx(found[1].width, rel=0.05)


def test_a_single_moment_is_the_whole_strip() -> None:
    (only,) = strip(latest(result(job())).runs)
    assert (only.x, only.width) == (0, WIDTH)
    assert strip(()) == ()


# Names from outside.


def hostile_record(name: str) -> LatestRecord:
    folder = name.replace("/", "|")
    of = job(folder, repo=f"/srv/{name}", kind="local")
    note = result(
        of, Verdict.DRIFTED,
        changes=[change(name, actions=(name,), attributes=(name,), module=name)],
    ).model_copy(update={"notes": (name,), "worker": name})  # fmt: skip
    return latest(result(of, at=AT - HOUR, error=failed(message=f"{name}\n{name}")), note)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_comes_from_a_repository_is_text(name: str) -> None:
    record = hostile_record(name)
    failing = latest(result(record.result.job, error=failed(message=name)))
    for one in (record, failing):
        text = page(one)
        elements = _Read(text).elements
        # Ours, and no other: it is deferred, and a file of the site.
        assert re.findall(r"<script[^>]*>", text) == [text[(at := text.index("<script")) :
                                                           text.index(">", at) + 1]]  # fmt: skip
        assert "img" not in elements
        assert "{{" not in text or name.startswith("{{")
        assert not re.search("[\u202e\u2028\u200b]", text)


def test_plain_names_make_the_same_elements_as_hostile_ones() -> None:
    plain = _Read(page(hostile_record("plain"))).elements
    for name in HOSTILE:
        assert _Read(page(hostile_record(name))).elements == plain


def test_a_message_keeps_its_lines_and_hides_nothing() -> None:
    text = page(
        latest(result(job(), error=failed(message="one\n\ttwo\r\nthree\u202egnp.\x1b[31m")))
    )
    assert "one\n\ttwo\nthree⟨202E⟩gnp.⟨001B⟩[31m" in text


# Keys and links.


def test_a_folder_and_a_variant_of_one_name_have_pages_beside_each_other() -> None:
    keys = {
        page_of(result(job("a/x.html")).latest_key),
        page_of(result(job("a", variant="x")).latest_key),
        page_of(result(job("a/x%2Ehtml")).latest_key),
    }
    assert len(keys) == 3
    files = {key for key in keys if any(other.startswith(f"{key}/") for other in keys)}
    assert files == set()


def test_a_percent_sign_in_a_key_is_encoded_once_more_in_a_link() -> None:
    key = root_page_key("local/a%20b/100%25/default")
    assert href("site/index.html", key) == "roots/local/a%2520b/100%2525/default.html"
    assert href(key, "latest/x%2Fy.json") == "../../../../../latest/x%252Fy.json"


# The command.


@pytest.mark.parametrize("root", ["a", "envs/*/x[1]?", "-rf", "it's", "$(boom)", "a b", "`x`", "~"])
def test_the_command_asks_for_this_root_and_no_other(root: str) -> None:
    words = shlex.split(check_again(job(root, ref="release/7")))
    assert words[:4] == ["driftfleet", "enqueue", "acme/infra@release/7", "--root"]
    assert not words[4].startswith("-")
    assert folder_matches(root, words[4])
    assert not folder_matches("envs/a/x1y", words[4])


def test_a_folder_is_scanned() -> None:
    assert (
        check_again(job("a", repo="/srv/in fra", kind="local")) == "driftfleet scan '/srv/in fra'"
    )


@pytest.mark.parametrize("name", [*HOSTILE, "a\nb", "it's \\ \x07\x1b[31m\u202e", "\U000e0041'"])
def test_a_word_is_one_for_a_shell_and_hides_nothing(name: str) -> None:
    word = shell_word(name)
    assert word.isprintable()
    done = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], check=True, capture_output=True,
        env={"LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.stdout.decode() == name


def test_a_job_is_no_template() -> None:
    of: Job = job("{{ 7 * 7 }}")
    assert "{{ 7 * 7 }}" in read(latest(result(of))).text
