"""The documents name what exists."""

import re
import shlex
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


COMMANDS = sorted(
    {
        (path.name, line.split("#")[0].strip())
        for path in [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), *(ROOT / "terraform").rglob("*.md")]
        for block in re.findall(r"^```(?:bash)?\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
        if re.match(r"make [a-z]", line)
    }
)


def test_make_takes_every_command_of_the_docs() -> None:
    """With the variables that its target knows; what the commands then do, the tests of their flows and scripts show."""
    for place, command in COMMANDS:
        words = shlex.split(command)
        done = subprocess.run([*words[:1], "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, (place, command, done.stderr)
        for name in re.findall(r"\b([A-Z_]+)=", " ".join(words)):
            (recipe,) = re.findall(
                rf"^{words[1]}:.*?(?=^\S|\Z)", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL
            )
            assert re.search(rf"\b{name}\b", recipe + TOP), f"{place}: {command}: make {words[1]} does not know {name}"


TOP = (ROOT / "Makefile").read_text().split("##@")[0]


def test_every_page_is_in_the_sites_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    assert set(re.findall(r": ([\w-]+\.md)$", text, re.MULTILINE)) == {
        path.name for path in (ROOT / "docs").glob("*.md")
    }


def test_a_commit_is_held_to_what_ci_lints() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local", "no second version of a linter"
    entries = [hook["entry"] for hook in repository["hooks"]]
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert (
        entries == [line for line in ci if re.search(r"\blint\b", line) and not line.startswith("#")] == ["make lint"]
    )
    assert all(hook["pass_filenames"] is False for hook in repository["hooks"]), "all files, as CI does"
    said = subprocess.run(["make", "--dry-run", "lint"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [tool for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports") if tool not in said] == []
