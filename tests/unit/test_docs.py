"""The documents name what exists."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

ROOMS = sorted(path.parent.name for path in (ROOT / "flows" / "churn").glob("*/__init__.py"))


def test_the_rooms_are_those_of_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = {name for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)}
    assert named == set(ROOMS)


@pytest.mark.parametrize(
    "path", sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]), ids=lambda path: path.name
)
def test_every_make_target_and_file_in_the_docs_exists(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", text, re.MULTILINE)) <= targets
    for name in re.findall(r"\b(?:argo|config|flows|scripts|tests)/[\w/.-]*\.(?:toml|ya?ml|py)\b", text):
        assert "NAME" in name or name == "config/datasets/bank.toml" or (ROOT / name).is_file(), name  # the example's
    for name in re.findall(rf"`((?:{'|'.join(ROOMS)})/\w+\.py)`", text):
        assert (ROOT / "flows" / "churn" / name).is_file(), name
    for name in re.findall(r"\]\(([\w./-]+\.md)\)", text):
        assert (path.parent / name).is_file(), name


def test_the_operator_gets_the_rules_that_are_tested() -> None:
    (command,) = re.findall(r"^\{ printf .*?\}(?= \| kubectl)", (ROOT / "docs/deployment.md").read_text(), re.M | re.S)
    said = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    made = yaml.safe_load(said)
    assert made["kind"] == "PrometheusRule"
    assert made["spec"] == yaml.safe_load((ROOT / "config/prometheus/rules.yml").read_text())


def test_a_commit_is_held_to_what_ci_lints() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local", "no second version of a linter"
    entries = [hook["entry"] for hook in repository["hooks"]]
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert entries == [line for line in ci if "lint" in line and not line.startswith("#")] == ["make lint"]
    assert all(hook["pass_filenames"] is False for hook in repository["hooks"]), "all files, as CI does"
    said = subprocess.run(["make", "--dry-run", "lint"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [tool for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports") if tool not in said] == []
