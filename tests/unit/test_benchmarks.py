"""Nothing runs the benchmarks but people: what they take from ``common`` is at least there."""

import ast
import json
import subprocess
import sys

import pytest
from churn.settings import core
from churn.settings.train import TrainConfig
from conftest import ROOT

from tests.bench import common


def _path(node: ast.expr) -> list[str]:
    """The names of a dotted expression; empty if it is none."""
    if isinstance(node, ast.Name):
        return [node.id]
    before = _path(node.value) if isinstance(node, ast.Attribute) else []
    return [*before, node.attr] if before else []


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "tests" / "bench").glob("*.py")))
def test_what_a_benchmark_takes_from_common_is_there(name: str) -> None:
    tree = ast.parse((ROOT / "tests" / "bench" / f"{name}.py").read_text())
    for node in ast.walk(tree):
        first, *more = (_path(node) if isinstance(node, ast.Attribute) else []) or [""]
        found = common
        for part in more[:2] if first == "common" else ():
            assert hasattr(found, part), f"common.{'.'.join(more)}"
            found = getattr(found, part)


def test_every_family_that_ships_is_served_at_the_slow_end_of_its_search() -> None:
    shipped = core.load(TrainConfig, str(ROOT / "config" / "train.toml"))
    code = "import json; from tests.bench import serve; print(json.dumps(serve.family_settings()))"  # it sets variables
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    slow = json.loads(done.stdout)
    assert list(slow) == [family.name for family in shipped.model]
    for name, text in slow.items():
        (family,) = core.parse(TrainConfig, text, "slow.toml").model
        assert (family.name, family.iterations) == (name, 1)
        assert all(isinstance(space, tuple) for space in family.search.values())
