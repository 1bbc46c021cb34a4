"""What the rules of config/prometheus and the panels of config/grafana ask."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

RULES_FILE = ROOT / "config" / "prometheus" / "rules.yml"
DASHBOARDS = sorted((ROOT / "config" / "grafana" / "dashboards").glob("*.json"))
_WORDS = {"and", "or", "unless", "bool", "offset", "by", "on", "without", "ignoring"}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES_FILE.read_text())["groups"] for rule in group["rules"]]


def recorded() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


def panels() -> dict[str, str]:
    """The query of each target and annotation, by dashboard and title."""
    found = {}
    for file in DASHBOARDS:
        dashboard = json.loads(file.read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                found[f"{file.stem}: {panel['title']} {target['refId']}"] = target["expr"]
        for annotation in dashboard["annotations"]["list"]:
            found[f"{file.stem}: {annotation['name']}"] = annotation["expr"]
    return found


def names(query: str) -> set[str]:
    """The metrics that a PromQL query reads."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|on|without|ignoring)\s*\([^)]*\)", " ", query)
    return set(re.findall(r"[a-zA-Z_:][\w:]*\b(?!\s*\()", bare)) - _WORDS


def promtool(*words: str | Path) -> None:
    """The command, which is to succeed; the test is skipped where it is not installed."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
