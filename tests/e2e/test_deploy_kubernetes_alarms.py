"""The alarms of deploy/kubernetes as Prometheus evaluates them: what makes which of them ring."""

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import require_program
from tests.kubernetes import DEPLOY, of_kind


def test_the_alarms_are_those_of_the_documentation() -> None:
    table = (DEPLOY.parents[1] / "docs" / "metrics.md").read_text().partition("## Alarms")[2]
    told = [e for e in re.findall(r"`([^`]+)`", table.partition("\n\n[")[0]) if "driftfleet_" in e]
    expressions = [" ".join(rule["expr"].split()) for rule in _rules()]
    assert [e for e in told if re.search("[<>]", e) and e not in expressions] == []
    assert len(expressions) == len(set(expressions)) == len(_ILL)


def test_every_alarm_parses_rings_and_is_quiet_where_all_is_well(tmp_path: Path) -> None:
    promtool = require_program(
        "promtool", "it is in Debian's package prometheus; .ci/run unpacks it"
    )
    (rule,) = of_kind("own-redis", "PrometheusRule").values()
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    (tmp_path / "tests.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [*_rings(), _quiet()]})
    )
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "tests.yaml"]):
        done = subprocess.run(
            [promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _rules() -> list[dict[str, Any]]:
    (rule,) = of_kind("own-redis", "PrometheusRule").values()
    return [one for group in rule["spec"]["groups"] for one in group["rules"]]


_WELL = {
    "driftfleet_heartbeat_age_seconds": "30+0x240",
    "driftfleet_queue_age_seconds": "60+0x240",
    'driftfleet_checks_total{verdict="clean"}': "0+20x240",
    'driftfleet_checks_total{verdict="error"}': "0+1x240",
    "driftfleet_disk_free_bytes": "20000000000+0x240",
    "driftfleet_slots": "2+0x240",
    "driftfleet_staleness_seconds": "7200+0x240",
    "driftfleet_sweeps_overdue": "0+0x240",
    'driftfleet_sweeps_closed_total{closed_by="deadline"}': "0+0x240",
    "driftfleet_checks_put_back_total": "0+0x240",
    "driftfleet_metrics_lost_total": "0+0x240",
    'up{job="driftfleet/driftfleet"}': "1+0x240",
}
# By alarm, the series that make it ring; None: there is none at all.
_ILL: dict[str, tuple[str, str | None]] = {
    "DriftfleetNoHeartbeat": ("driftfleet_heartbeat_age_seconds", None),
    "DriftfleetBacklog": ("driftfleet_queue_age_seconds", "3700+60x240"),
    "DriftfleetErrors": ('driftfleet_checks_total{verdict="error"}', "0+5x240"),
    "DriftfleetDisk": ("driftfleet_disk_free_bytes", "1000000000+0x240"),
    "DriftfleetWorkers": ("driftfleet_slots", None),
    "DriftfleetStaleness": ("driftfleet_staleness_seconds", "44000+60x240"),
    "DriftfleetSweepsOverdue": ("driftfleet_sweeps_overdue", "1+0x240"),
    "DriftfleetSweepsIncomplete": (
        'driftfleet_sweeps_closed_total{closed_by="deadline"}',
        "0+1x240",
    ),
    "DriftfleetQueueLoses": ("driftfleet_checks_put_back_total", "0+1x240"),
    "DriftfleetMetricsLost": ("driftfleet_metrics_lost_total", "0+1x240"),
    "DriftfleetTargetDown": ('up{job="driftfleet/driftfleet"}', "0+0x240"),
}


def _rings() -> list[dict[str, Any]]:
    """Each by itself: the one alarm rings, no other does."""
    assert set(_ILL) == {rule["alert"] for rule in _rules()}
    return [_case(_WELL | {series: values}, name) for name, (series, values) in _ILL.items()]


def _quiet() -> dict[str, Any]:
    return _case(dict(_WELL), None)


def _case(series: dict[str, str | None], ringing: str | None) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": v} for name, v in series.items() if v],
        "alert_rule_test": [
            {"eval_time": "3h", "alertname": rule["alert"], "exp_alerts": _expected(rule, ringing)}
            for rule in _rules()
        ],
    }


def _expected(rule: dict[str, Any], ringing: str | None) -> list[dict[str, Any]]:
    if rule["alert"] != ringing:
        return []
    labels = {"DriftfleetTargetDown": {"job": "driftfleet/driftfleet"}}.get(ringing, {})
    return [{"exp_labels": rule["labels"] | labels, "exp_annotations": rule["annotations"]}]
