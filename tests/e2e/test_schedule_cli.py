"""`driftfleet schedule` against a GitHub server: what people see, and the exit codes."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftfleet.settings import ResultSettings
from driftfleet.store import open_store
from driftfleet.swept import Swept
from tests.e2e.command import run_command
from tests.standin import Fault, StandIn
from tests.standin.fixture import serving
from tests.workers import short_folder

FLEET = """
schedule: {every: 6h, timezone: Europe/Berlin}
repositories:
  - {org: acme, exclude: [sandbox], schedule: {every: 1h, minimum_age: 10m}}
  - repo: acme/nightly
    ref: release/7
    schedule: {cron: "0 3 * * *", spread: 0}
  - repo: acme/frozen
    schedule: {every: never}
  - other/infra
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with serving(tmp_path_factory.mktemp("ghe")) as standin:
        for name in ("acme/infra", "acme/nightly", "acme/frozen", "acme/sandbox", "other/infra"):
            standin.add_repository(name)
        standin.add_repository("acme/old", archived=True)
        yield standin


@pytest.fixture
def ghe(server: StandIn) -> StandIn:
    server.heal()
    server.clear()
    return server


@pytest.fixture
def run(ghe: StandIn, tmp_path: Path) -> Iterator[Run]:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DRIFTFLEET_")}
    with short_folder("s") as temporary:
        environment = {
            **kept,
            "TMPDIR": str(temporary),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "DRIFTFLEET_GITHUB__URL": ghe.url,
            "DRIFTFLEET_GITHUB__TOKEN": "env://DRIFTFLEET_TOKEN",
            "DRIFTFLEET_TOKEN": ghe.token,
        }

        def call(
            *arguments: str, expect: int, **variables: str
        ) -> subprocess.CompletedProcess[str]:
            present = {**environment, **variables}
            done = run_command(["schedule", *arguments], tmp_path, present, expect)
            assert list(temporary.iterdir()) == []
            assert "ghp_" not in done.stdout + done.stderr
            return done

        yield call


def keep(folder: Path, swept: Swept) -> None:
    open_store(ResultSettings(store=f"file://{folder}/drift-results")).keep(swept.key, swept)


def records(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_whole_fleet_is_shown_each_by_its_own_rule(
    run: Run, ghe: StandIn, tmp_path: Path
) -> None:
    hour_ago = datetime.now(UTC) - timedelta(hours=1, minutes=5)
    keep(
        tmp_path,
        Swept(repo="acme/infra", swept_at=hour_ago, checks=40, first_seen=hour_ago),
    )
    done = run("--all", expect=0)
    head = done.stdout.splitlines()[0]
    assert re.match(r"3 repositories on schedule: 30 starts, at most 1,000 checks", head)
    assert "(Europe/Berlin)" in head
    assert re.search(r"^now \(overdue\) +acme/infra +40 ", done.stdout, re.MULTILINE)
    assert re.search(
        r" 03:00:00  acme/nightly@release/7  unknown  never$", done.stdout, re.MULTILINE
    )
    assert done.stdout.count("  other/infra  ") == 4
    assert "  acme/frozen: 'every' is never in the rule of acme/frozen" in done.stdout
    assert "acme/sandbox" not in done.stdout
    assert "org:acme: 3 of 5 repositories are looked at; left out: 1 archived, 1 not" in done.stderr
    # An organisation's list is all that it asks for.
    assert {request.path for request in ghe.requests} == {"/api/v3/orgs/acme/repos"}


def test_named_ones_alone_are_shown_and_only_their_organisation_is_asked_for(
    run: Run, ghe: StandIn
) -> None:
    done = run("other/INFRA", "--json", "--hours", "12", expect=0)
    assert {(record["repo"], record["checks"]) for record in records(done)} == {
        ("other/infra", None)
    }
    assert len(records(done)) == 2
    assert ghe.requests == []
    done = run("org:acme", "--json", "--hours", "1", expect=0)
    assert {record["repo"] for record in records(done)} >= {"acme/infra", "acme/frozen"}
    assert "other/infra" not in done.stdout


def test_who_is_not_of_the_fleet_is_named_and_exit_2(run: Run) -> None:
    done = run("acme/sandbox", "acme/infra", expect=2)
    assert "Error: acme/sandbox: none of the fleet's repositories" in done.stderr
    assert "acme/infra" not in done.stderr


def test_an_organisation_that_cannot_be_listed_keeps_no_other_from_being_shown(
    run: Run, ghe: StandIn
) -> None:
    ghe.fault("/orgs/acme/repos", Fault.json({"message": "Not Found"}, 404), times=None)
    done = run("--json", expect=1)
    assert {record["repo"] for record in records(done)} == {
        "acme/nightly", "acme/frozen", "other/infra",
    }  # fmt: skip
    assert "org:acme: there is no such organisation" in done.stderr


def test_a_record_that_cannot_be_read_is_told_with_exit_1(run: Run, tmp_path: Path) -> None:
    keep(tmp_path, Swept(repo="other/infra", first_seen=datetime.now(UTC)))
    (tmp_path / "drift-results/swept/other/infra.json").write_text("{}")
    done = run("other/infra", expect=1)
    assert "other/infra: its last sweep is not known" in done.stderr
    assert "1 repository on schedule: 4 starts" in done.stdout


def test_nothing_scheduled_is_exit_2_with_what_to_write(run: Run, tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text("repositories: [acme/infra]")
    done = run(expect=2)
    assert "nothing is scheduled: say how often in fleet.yaml" in done.stderr
    assert "    every: 6h" in done.stderr
    run("--hours", "1", expect=0, DRIFTFLEET_SCHEDULE__EVERY="1h")
    (tmp_path / "fleet.yaml").write_text("schedule: {every: 6h}")
    assert "list them in 'repositories'" in run(expect=2).stderr
