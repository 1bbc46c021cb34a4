"""Everything that a user can set, watch or type is in the docs, and the docs name nothing else (as Datasette's tests have it)."""

import ast
import re
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import import_graph
import pytest
import reference
from churn.settings.core import Strict
from conftest import ROOT

from tests.unit.test_messages import _tables, _wrong_keys

PAGE = (ROOT / "docs" / "reference.md").read_text()
DOCS = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")])
CODE = sorted(path for folder in ("flows", "scripts", "bento") for path in (ROOT / folder).rglob("*.py"))
MAKEFILE = (ROOT / "Makefile").read_text()
LIST = ROOT / "flows" / "churn" / "telemetry" / "prometheus_metrics.py"
GROUPS = {"Run", "Data", "Models", "Serve", "Watch", "Cluster", "Develop", "Benchmarks"}
# Read by the tests and by MLflow's server; a column of a customer's.
ELSEWHERE = {"CHURNFLOW_TEST_S3", "MLFLOW_SERVER_ALLOWED_HOSTS", "closed_at"}


def test_the_page_and_the_picture_are_current() -> None:
    assert reference.page() == PAGE, "run make docs"
    assert import_graph.svg() == (ROOT / "docs" / "imports.svg").read_text(), "run make docs"


def test_nothing_imports_upwards_as_the_picture_says() -> None:
    order = [room.name for room in import_graph.rooms()]
    assert order[:3] == ["scripts", "flows", "bento"]
    assert len(import_graph.imports()) > 40
    assert [(one, other) for one, other in import_graph.imports() if order.index(one) > order.index(other)] == []


def _chapter(title: str) -> str:
    (found,) = re.findall(rf"(?ms)^## {re.escape(title)}$\n(.*?)(?=^## |\Z)", PAGE)
    return str(found)


def _keys(model: type[Strict]) -> Iterator[tuple[type[Strict], str]]:
    """The keys that ``model`` and the models in it take, but for those that only hold tables of other models."""
    for key, field in model.model_fields.items():
        below = list(_below(field.annotation))
        for inner in below:
            yield from _keys(inner)
        if not below and key != "kind":
            yield model, key


def _below(annotation: Any) -> Iterator[type[Strict]]:
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _below(inner)


def test_every_file_of_settings_is_in_the_page() -> None:
    files = {path.name for path in (ROOT / "config").glob("*.toml")} | {"datasets/NAME.toml"}
    assert files == set(reference.FILES)


@pytest.mark.parametrize("file", reference.FILES)
def test_every_setting_has_its_line_and_is_explained(file: str) -> None:
    text = "".join(_chapter(f"config/{name}") for name in reference.FILES)  # a table of two files is shown once
    for model, key in set(_keys(reference.FILES[file])):
        rows = [row.split(" | ") for row in re.findall(rf"^\| (`{key}` \|.*) \|$", text, re.MULTILINE)]
        assert rows, key
        assert re.search(rf"\b{key}\b", reference.prose(model)) or any(row[3:] and row[3].strip() for row in rows), key


def test_every_metric_is_in_the_page() -> None:
    calls = [node for node in ast.walk(ast.parse(LIST.read_text())) if isinstance(node, ast.Call)]
    names = [ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) == "Metric"]
    assert len(names) > 30
    patterns = [re.sub(r"\{\w+\}", lambda _: r"\w+", re.sub(r"^f?'|'$", "", name)) for name in names]
    listed = re.findall(r"^\| `(\w+)` \|", _chapter("Metrics"), re.MULTILINE)
    assert all(any(re.fullmatch(pattern, name) for name in listed) for pattern in patterns)
    assert all(any(re.fullmatch(pattern, name) for pattern in patterns) for name in listed)


def test_every_make_target_is_in_the_page_and_in_a_group_of_make_help() -> None:
    targets = re.findall(r"^([a-z0-9-]+):.*?##", MAKEFILE, re.MULTILINE)
    rows = re.findall(r"^\| (\w*) \| `make ([a-z0-9-]+)` \|", _chapter("Commands"), re.MULTILINE)
    assert [name for _, name in rows] == targets
    assert {group for group, name in rows if name != "help"} >= GROUPS
    assert [name for group, name in rows if not group] == ["help"]


def _read() -> set[str]:
    """The variables that the code asks the environment for by name or by a constant of its module, and all of its own."""
    found = set()
    for path in CODE:
        text = path.read_text()
        constants = dict(re.findall(r'^(\w+) = "([A-Z][A-Z0-9_]+)"', text, re.MULTILINE))
        asked = re.findall(r'environ(?:\.get\(|\.setdefault\(|\[)("?)(\w+)', text)
        asked += re.findall(r'("?)(\w+)"? (?:not )?in os\.environ', text)
        found |= set(re.findall(r'"(CHURNFLOW_[A-Z0-9_]*[A-Z0-9])"', text))
        found |= {name if quote else constants.get(name, "") for quote, name in asked}
    return found - {"", "USER"}


def test_every_variable_that_the_code_reads_is_in_the_page() -> None:
    assert {"CHURNFLOW_WARM", "CHURNFLOW_HOME", "CHURNFLOW_API_KEYS", "MLFLOW_TRACKING_URI"} <= _read()
    assert [name for name in sorted(_read()) if f"`{name}`" not in _chapter("Environment")] == []
    for name in ("MIN_ACCURACY", "MIN_F1_SCORE"):  # registry.gate.ENVIRONMENT
        assert f"| `{name}` |" in PAGE


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_a_document_names_only_variables_settings_and_metrics_that_are_there(path: Path) -> None:
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", path.read_text())  # links are no tables
    text = re.sub(r"(?s)```(?:python|diff).*?```", "", text)
    variables = set(re.findall(r"\b(?:CHURNFLOW|MIN|AWS|MLFLOW|METAFLOW|BENTOML)_[A-Z0-9_]+\b(?!\*)", text))
    words = variables | set(re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", text))
    assert words - _names() - ELSEWHERE == set()
    text = re.sub(r"(?m)^(\[[\w.]*\bcolumns\].*\n)(?:\w+ = .*\n)+", r"\1", text)  # whose keys are a customer's columns
    if path.name == "reference.md":
        return  # its keys are the code's, in its docstrings' words
    nested = [
        re.escape(f"[{table}.{key}]").replace("NAME", r"\w+")
        for model in reference.FILES.values()
        for table, keys in _tables(model).items()
        for key in keys
    ]
    named = re.compile(r"\[\[?[a-z_]+(?:\.\w+)*\]\]?")
    wrong = set(_wrong_keys(" ".join(named.findall(text)), []))
    assert {table for table in wrong if not any(re.fullmatch(place, table) for place in nested)} == set()
    assert set(_wrong_keys(named.sub("", text), [])) == set()  # a key may be of any table


@cache
def _names() -> set[str]:
    """The words of the code, and of what else is read by programs; the metrics, whose names may be put together."""
    others = [
        ".env.example",
        "Makefile",
        "Dockerfile",
        "compose.yaml",
        *(str(path) for path in ROOT.glob("config/**/*.toml")),
    ]
    text = "\n".join(path.read_text() for path in [*CODE, *(ROOT / name for name in others)])
    return set(re.findall(r"\w+", text)) | {metric.name for metric in reference.metrics()}
