"""A store and a Redis as a fleet of so many roots leaves them: twenty roots a repository."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from driftfleet.jobs import Job
from driftfleet.ledger import Judged, Ledger
from driftfleet.model import Record
from driftfleet.repository_roots import roots_of
from driftfleet.repository_rule import RepositoryRule
from driftfleet.results import Result, Verdict
from driftfleet.schedule_settings import ScheduleSettings
from driftfleet.settings import BrokerSettings, GitHubSettings, ResultSettings, Settings
from driftfleet.swept import Swept
from producer.notebook import Notebook
from producer.repositories import Wanted
from tests.sites import change, closed, job, latest, result, sweep_id

PER_REPOSITORY = 20
HOUR = timedelta(hours=1)
_RULES = (RepositoryRule(org="many"),)


def settings_for(store: Path, redis_url: str) -> Settings:
    """A fleet that watches an organisation, each six hours."""
    return Settings(
        broker=BrokerSettings(url=SecretStr(redis_url)),
        results=ResultSettings(store=f"file://{store}"),
        github=GitHubSettings(url="https://github.example.com", token="env://TOKEN"),
        repositories=_RULES,
        schedule=ScheduleSettings(every=6 * HOUR),
    )


def sweeps_of(roots: int, at: datetime, kind: str = "sweep") -> Iterator[list[Job]]:
    """The jobs of a sweep of each repository."""
    for number, first in enumerate(range(0, roots, PER_REPOSITORY)):
        name = sweep_id(number, at, kind)
        repo = f"many/infrastructure-{number}"
        paths = range(min(PER_REPOSITORY, roots - first))
        yield [job(f"environments/prod/service-{n}", repo=repo, sweep=name) for n in paths]


def fill_store(folder: Path, roots: int, now: datetime) -> None:
    """What a sweep of each repository, two hours ago, has left there."""
    for jobs in sweeps_of(roots, now - 2 * HOUR):
        results = [_result(one, n, now - HOUR) for n, one in enumerate(jobs)]
        for one in results:
            _write(folder, one.history_key, one)
            _write(folder, one.latest_key, latest(one))
        looked = roots_of(jobs[0].source, jobs, now - 2 * HOUR)
        _write(folder, looked.key, looked)
        name = jobs[0].sweep_id
        _write(folder, f"sweeps/{name}.json", closed(name, results, at=now - HOUR))
        swept = _swept(jobs, now)
        _write(folder, swept.key, swept)


def note_fleet(notebook: Notebook, ledger: Ledger, roots: int, now: datetime) -> None:
    """What ticks and sweeps remember of such a fleet in Redis."""
    swept: dict[str, Swept] = {}
    wanted: list[Wanted] = []
    for jobs in sweeps_of(roots, now - 2 * HOUR):
        repo = jobs[0].source.repo
        wanted.append(Wanted(name=repo, rule=_RULES[0]))
        one = _swept(jobs, now)
        swept[one.key] = one
        judged = {Judged.name(j): Judged(Verdict.CLEAN, now.timestamp()) for j in jobs}
        ledger.note_roots(jobs[0].source.slug, judged)
    notebook.note_roster(_RULES, wanted)
    notebook.note_swept(swept)


def _swept(jobs: list[Job], now: datetime) -> Swept:
    source = jobs[0].source
    return Swept(
        repo=source.repo,
        sha=source.sha,
        sweep_id=jobs[0].sweep_id,
        swept_at=now,
        checks=len(jobs),
        first_seen=now - 24 * HOUR,
    )


def _result(of: Job, number: int, at: datetime) -> Result:
    """One of ten has drifted, in five resources."""
    if number % 10:
        return result(of, Verdict.CLEAN, at=at)
    changes = [change(f"module.network.aws_security_group.allowed[{n}]") for n in range(5)]
    return result(of, Verdict.DRIFTED, at=at, changes=changes)


def _write(folder: Path, key: str, record: Record) -> None:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(record.model_dump_json().encode() + b"\n")
