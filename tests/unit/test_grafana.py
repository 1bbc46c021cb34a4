"""The four dashboards: what Grafana and Prometheus accept, and what a person can read."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from tests import promql

GRAFANA = ROOT / "config" / "grafana"


def load(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text())


def test_the_four_dashboards_are_provisioned() -> None:
    assert {file.stem for file in promql.DASHBOARDS} == {"overview", "pipelines", "model", "service"}
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/churnflow.yml").read_text())["providers"]
    mounts = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["grafana"]["volumes"]
    assert f"./config/grafana/dashboards:{provider['options']['path']}:ro" in mounts
    assert len({load(file)["uid"] for file in promql.DASHBOARDS}) == 4


@pytest.mark.parametrize("file", promql.DASHBOARDS, ids=lambda file: file.stem)
def test_every_panel_explains_itself_and_asks_the_provisioned_prometheus(file: Path) -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    for panel in load(file)["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {source["uid"]}


@pytest.mark.parametrize("file", promql.DASHBOARDS, ids=lambda file: file.stem)
def test_no_panel_covers_another(file: Path) -> None:
    places = [panel["gridPos"] for panel in load(file)["panels"]]
    assert all(p["x"] + p["w"] <= 24 for p in places)
    for a, b in combinations(places, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]


def test_prometheus_can_parse_every_query(tmp_path: Path) -> None:
    asked = [{"record": f"panel_{i}", "expr": query} for i, query in enumerate(promql.panels().values())]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}))
    promql.promtool("check", "rules", tmp_path / "panels.yml")


def test_the_names_in_a_query_are_found() -> None:
    query = (
        'sum by (flow) (rate(a_total{status=~"5.."}[5m])) / on (flow) b:c:d or vector(0) unless absent(e) and 0 * f > 1'
    )
    assert promql.names(query) == {"a_total", "b:c:d", "e", "f"}
