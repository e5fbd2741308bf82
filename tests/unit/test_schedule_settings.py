"""What may be said of a schedule, what a rule changes of it, and what contradicts itself."""

from datetime import timedelta
from pathlib import Path

import pytest

from driftfleet.configuration import environment_of, load_settings
from driftfleet.errors import ConfigurationError
from driftfleet.repository_rule import RepositoryRule
from driftfleet.schedule_settings import ScheduleRule, ScheduleSettings, schedule_of
from driftfleet.settings import Settings


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str, **environment: str) -> Settings:
    path = Path("fleet.yaml")
    path.write_text(text)
    return load_settings(path, environment)


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    return caught.value.message


WHOLE = """
schedule:
  every: 6h
  not_between: ["08:00-10:00", "22:30-01:00"]
  timezone: Europe/Berlin
  minimum_age: 1h30m
  deadline: 43200
repositories:
  - payments/state
  - {repo: payments/infra, schedule: {every: 1h, minimum_age: 10m}}
  - {org: platform, schedule: {cron: "0 3 * * *", spread: 2h}}
  - {repo: a/b, schedule: {every: never}}
"""


def test_everything_that_can_be_said_is_read_and_reaches_another_process() -> None:
    settings = load(WHOLE)
    assert settings.schedule.every == timedelta(hours=6)
    assert settings.schedule.minimum_age == timedelta(minutes=90)
    assert settings.schedule.deadline == timedelta(hours=12)
    Path("fleet.yaml").unlink()
    assert load_settings(None, environment_of(settings)) == settings


def test_without_a_word_nothing_is_scheduled() -> None:
    settings = load("")
    assert settings.schedule.interval is None
    assert settings.schedule.deadline == timedelta(hours=12)


def test_it_can_be_said_in_variables() -> None:
    settings = load("", DRIFTFLEET_SCHEDULE__CRON="*/30 * * * *", DRIFTFLEET_SCHEDULE__SPREAD="90")
    assert settings.schedule.cron == "*/30 * * * *"
    assert settings.schedule.spread == timedelta(seconds=90)


def test_a_key_with_nothing_after_its_colon_says_nothing_or_an_empty_list() -> None:
    text = """
schedule: {every: 6h, not_between: ["08:00-10:00"]}
repositories:
  - repo: a/b
    schedule:
      every:
      not_between:
"""
    settings = load(text)
    schedule = schedule_of(settings.schedule, settings.repositories[0].schedule)
    assert schedule == ScheduleSettings(every=timedelta(hours=6))


@pytest.mark.parametrize("name", ["README.md", "docs/configuration.md", "docs/schedule.md"])
def test_what_the_documentation_shows_can_be_kept(name: str) -> None:
    text = (Path(__file__).parents[2] / name).read_text()
    shown = load(text.partition("```yaml\n")[2].partition("```")[0])
    assert shown.schedule.every == timedelta(hours=6)
    assert any(rule.schedule for rule in shown.repositories)


# What a rule changes


def merged(default: dict[str, object], rule: dict[str, object]) -> ScheduleSettings:
    return schedule_of(ScheduleSettings.model_validate(default), ScheduleRule.model_validate(rule))


def test_a_rule_changes_what_it_names_and_nothing_else() -> None:
    default = {"every": "6h", "not_between": ["08:00-10:00"], "timezone": "Asia/Tokyo"}
    got = merged(default, {"deadline": "3h", "timezone": "UTC"})
    assert got == ScheduleSettings.model_validate({**default, "deadline": "3h", "timezone": "UTC"})


def test_a_rule_with_a_crontab_replaces_every_and_the_other_way_round() -> None:
    got = merged({"every": "6h", "deadline": "2h"}, {"cron": "0 3 * * *"})
    assert (got.every, got.cron, got.deadline) == (None, "0 3 * * *", timedelta(hours=2))
    got = merged({"cron": "0 3 * * *", "spread": "2h"}, {"every": "1h"})
    assert (got.every, got.cron, got.spread) == (timedelta(hours=1), None, None)
    assert merged({"cron": "0 3 * * *"}, {"every": "never"}).interval is None


def test_a_default_without_a_time_serves_rules_that_have_one() -> None:
    got = merged({"spread": "2h", "timezone": "Asia/Tokyo"}, {"cron": "0 3 * * *"})
    assert (got.spread_over, got.timezone) == (timedelta(hours=2), "Asia/Tokyo")


def test_no_rule_is_the_default() -> None:
    default = ScheduleSettings.model_validate({"every": "6h"})
    assert schedule_of(default, None) == default
    assert schedule_of(default, RepositoryRule(repo="a/b").schedule) == default


@pytest.mark.parametrize(
    ("said", "spread", "left_out"),
    [
        ({"every": "6h"}, 6 * 60, 60),
        ({"every": "1h"}, 60, 30),
        ({"every": "1h", "minimum_age": "10m"}, 60, 10),
        ({"cron": "0 3 * * *"}, 60, 60),
        ({"cron": "0 3 * * *", "spread": "0s"}, 0, 60),
        ({"cron": "*/20 * * * *"}, 20, 10),
        ({"every": "1h", "minimum_age": 0}, 60, 0),
    ],
)
def test_defaults_follow_the_interval(
    said: dict[str, object], spread: float, left_out: float
) -> None:
    schedule = ScheduleSettings.model_validate(said)
    assert schedule.spread_over == timedelta(minutes=spread)
    assert schedule.left_out_for == timedelta(minutes=left_out)


# What is refused


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("every: 6h, cron: '0 3 * * *'", ["'schedule'", "both 'every' and 'cron'"]),
        ("every: 6h, spread: 1h", ["both 'every' and 'spread'"]),
        ("every: 4m", ["'every'", "after 4m", "at least 5m"]),
        ("every: 0", ["'every'", "at least 5m"]),
        ("cron: '* 3 * * *'", ["'cron'", "after 1m", "at least 5m"]),
        ("cron: '0 */2 * * *', spread: 3h", ["'spread' (3h)", "'cron' (2h)"]),
        ("every: 1h, minimum_age: 1h", ["'minimum_age' (1h)", "'every' (1h)", "30m at most"]),
        ("cron: '0 8,10 * * *', minimum_age: 2h", ["'minimum_age' (2h)", "'cron' (2h)"]),
        ("every: 1h, deadline: 10m", ["'deadline' (10m)", "'limits.timeout_seconds': 1800"]),
        ("not_between: ['06:00-18:00', '18:00-06:00']", ["'not_between' covers the whole day"]),
        ("every: 6 hours", ["'schedule.every'", "'6 hours' is no length of time"]),
        ("spread: x", ["'schedule.spread'", "'x' is no length of time"]),
        ("every: no", ["'schedule.every'", "or never"]),
        ("every: Never", ["'Never' is no length of time"]),
        ("cron: '0 3 * *'", ["'schedule.cron'", "'0 3 * *' is no crontab", "4 fields"]),
        ("timezone: Berlin", ["'schedule.timezone'", "did you mean 'Europe/Berlin'"]),
        ("timezone: utc", ["did you mean 'UTC'"]),
        ("timezone: New York", ["did you mean 'America/New_York'"]),
        ("timezone: Europe/Berlni", ["did you mean 'Europe/Berlin'"]),
        ("timezone: ../../etc/passwd", ["is no time zone"]),
        ("timezone: Europe", ["'Europe' is no time zone"]),
        ("not_between: 08:00-10:00", ["'schedule.not_between': must be a list"]),
        ("not_between: ['8-10']", ["schedule.not_between entry 1", "is no window"]),
        ("evry: 6h", ["'schedule.evry'; did you mean 'every'"]),
    ],
)
def test_what_cannot_be_kept_is_refused_with_all_names(said: str, words: list[str]) -> None:
    message = refusal(f"schedule: {{{said}}}")
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("cron: '0 3 * * *', every: 1h", ["repositories entry 2, schedule", "both"]),
        ("every: 1h", ["entry 2 (org big), with what 'schedule' says", "'minimum_age' (3h)"]),
        ("cron: '0 3 * * *', spread: 2d", ["entry 2 (org big)", "'spread' (2d)", "'cron' (1d)"]),
        ("spread: 1h", ["entry 2 (org big)", "both 'every' and 'spread'"]),
        ("deadline: 20m", ["entry 2 (org big)", "'limits.timeout_seconds'"]),
        ("evry: 6h", ["'evry' in repositories entry 2, schedule; did you mean 'every'"]),
    ],
)
def test_what_a_rule_says_must_fit_what_it_does_not_say(rule: str, words: list[str]) -> None:
    message = refusal(
        "schedule: {every: 6h, minimum_age: 3h}\n"
        f"repositories: [a/b, {{org: big, schedule: {{{rule}}}}}]"
    )
    assert [word for word in words if word not in message] == [], message
