"""Alerts and recording rules: valid, proved on test series, explained in the runbook."""

import re

import pytest
import yaml
from churn.settings.core import load
from churn.settings.deploy import Deploy
from conftest import ROOT

from tests import promql

FOLDER = ROOT / "config" / "prometheus"
SERIES = ROOT / "tests" / "prometheus.yml"
ALERTS = {rule["alert"]: rule for rule in promql.rules() if "alert" in rule}


def test_config_and_rules_are_valid() -> None:
    promql.promtool("check", "config", FOLDER / "prometheus.yml")


def test_every_alert_fires_and_clears_on_its_test_series() -> None:
    fired, quiet = set(), set()
    for series in yaml.safe_load(SERIES.read_text())["tests"]:
        for case in series["alert_rule_test"]:
            (fired if case["exp_alerts"] else quiet).add(case["alertname"])
    assert fired == quiet == set(ALERTS)
    promql.promtool("test", "rules", SERIES)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_leads_to_its_section_of_the_runbook(name: str) -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert name in sections
    assert ALERTS[name]["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"
    assert ALERTS[name]["labels"]["severity"] in ("warning", "critical")


def test_the_runbook_has_no_section_without_alert() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(ALERTS)


def test_the_flows_that_may_be_late_are_those_that_something_starts() -> None:
    started = load(Deploy, ROOT / "config" / "deploy.toml").start
    late = ALERTS["PipelineLate"]["expr"]
    assert set(re.findall(r"\w+Flow", late)) == set(started)
    assert set(re.findall(r'absent\(.*?flow="(\w+)"', late)) == set(started) - {"DeployFlow", "ProbeFlow", "PruneFlow"}
