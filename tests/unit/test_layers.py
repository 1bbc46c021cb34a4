"""The house rules that a reviewer would check by hand."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT

CHURN = sorted((ROOT / "flows" / "churn").rglob("*.py"))
FLOWS = sorted((ROOT / "flows").glob("*_flow.py"))
HEAVY = {
    "mlflow",
    "nannyml",
    "bentoml",
    "matplotlib",
    "duckdb",
    "dvc",
    "lifetimes",
    "sqlglot",
    "pandera",
    "onnxruntime",
    "skl2onnx",
    "sklearn",
    "xgboost",
    "lightgbm",
    "optuna",
}


def _imported(tree: ast.AST) -> set[str]:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", CHURN, ids=lambda path: path.name)
def test_churn_knows_nothing_of_metaflow(path: Path) -> None:
    assert _imported(ast.parse(path.read_text())) & {"metaflow", "base", "orchestration"} == set()


def test_a_module_has_at_most_300_lines_and_a_package_12_modules() -> None:
    modules = [path for folder in ("flows", "bento", "scripts") for path in (ROOT / folder).rglob("*.py")]
    assert not [path for path in modules if len(path.read_text().splitlines()) > 300]
    sizes = Counter(path.parent.relative_to(ROOT) for path in modules if path.name != "__init__.py")
    assert {Path("flows"), Path("flows/orchestration"), Path("scripts"), Path("bento")} < sizes.keys()
    assert {folder: size for folder, size in sizes.items() if size > 12} == {}


def test_no_heavy_library_is_imported_with_the_modules() -> None:
    light = [path for path in CHURN if path.stem not in ("__init__", "pipeline", "schema")]
    modules = ", ".join(".".join(path.relative_to(ROOT / "flows").with_suffix("").parts) for path in light)
    code = f"import sys, {modules}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "flows", capture_output=True, text=True, check=True)
    assert said.stdout.split() == []


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_steps_are_thin_and_say_what_is_true_after_them(path: Path) -> None:
    (flow,) = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))
    for step in (node for node in flow.body if isinstance(node, ast.FunctionDef)):
        assert ast.get_docstring(step), step.name
        assert (step.end_lineno or 0) - step.lineno <= 16, f"{step.name} is not thin"


def test_a_bento_holds_every_module_that_its_service_imports(tmp_path: Path) -> None:
    from churn.serving import packaging

    context = packaging._context(tmp_path / "context", "churn_model:v1", {})
    code = "import bento.endpoints, bento.settings, churn; print(churn.__file__)"
    said = subprocess.run([sys.executable, "-c", code], cwd=context, capture_output=True, text=True, check=True).stdout
    assert Path(said.strip()).is_relative_to(context)
