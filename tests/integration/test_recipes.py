"""CONTRIBUTING.md's recipes, followed line by line in a copy of the code: what they promise is there afterwards."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
import unpacked
from clone import Clone, clone
from conftest import ROOT, alone

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = dict(re.findall(r"(?ms)^## (.*?)$\n(.*?)(?=^## |\Z)", TEXT))
MOST = 10  # lines to write or to type


def blocks(recipe: str) -> list[tuple[str, str, str]]:
    """The kind, the file and the text of each block, in order."""
    return re.findall(r"(?ms)^```(\w+) ?(\S*)$\n(.*?)^```$", RECIPES[recipe])


def change(text: str, lines: str) -> str:
    """``text`` after a block of changes, whose place in it is the only one. Raises AssertionError where there is none, or two."""
    old, new = ("\n".join(line[1:] for line in lines.splitlines() if line[:1] != out) for out in "+-")
    assert text.count(old) == 1, f"{text.count(old)} places for:\n{old}"
    return text.replace(old, new)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_short(recipe: str) -> None:
    written = [
        line
        for kind, _, text in blocks(recipe)
        for line in text.splitlines()
        if (line[:1] == "+" and line != "+") or kind == "bash"
    ]
    assert len(written) < MOST


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which every change of every recipe has been made."""
    made = clone(tmp_path_factory.mktemp("recipes"))
    for name in (".ci", ".github", "argo", "docs", "tests", ".env.example", "mkdocs.yml"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, made.root / name)
    for recipe in RECIPES:
        for kind, file, text in blocks(recipe):
            if kind == "diff":
                (made.root / file).write_text(change((made.root / file).read_text(), text))
    return made


TRIED = """
import pathlib, sys, tempfile
sys.path[:0] = ["flows", "scripts", "scripts/docs"]
import numpy as np, pandas as pd
import reference
from churn.data import sources, synthetic, tables
from churn.registry import gate
from churn.settings import core
from churn.settings.data import DataConfig
from churn.settings.dataset import Dataset
from churn.settings.train import TrainConfig
from churn.training import estimators, metrics
from churn.validation import validation
from sklearn.metrics import recall_score

trained = core.load(TrainConfig, "config/train.toml")
assert trained.note == "Spring campaign"
assert "a line on the training's card |" in reference.page()

estimators.check(trained, "config/train.toml")
assert "extra_trees" in [family.name for family in trained.model]

outcome, score = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.9, 0.8, 0.7])
expected = recall_score(outcome, score >= 0.5, pos_label=0)
assert metrics.scores_at(outcome, score, 0.5)["specificity"] == expected
assert gate.bounds({"specificity": 0.5}) == {"specificity": 0.5}
assert "`model_specificity`" in reference.page()

telco = core.load(Dataset, "config/datasets/telco.toml")
exports = pathlib.Path(tempfile.mkdtemp())
for night, tenure in (("1", "3"), ("2", "4")):
    (exports / f"2026-11-0{night}.csv").write_text(f"customerID,tenure\\n1,{tenure}\\n")
text = f'[[source]]\\nkind = "newest"\\nfolder = "{exports}"\\nname = "nightly"'
read = tables.from_bytes(sources.read(core.parse(DataConfig, text, "data.toml").source[0], telco)[0])
assert read.to_dict("records") == [{"customerID": "1", "tenure": "4"}], read
((part, _),) = sources.in_parts(core.parse(DataConfig, text, "data.toml").source[0])
assert part.to_dict("records") == read.to_dict("records"), part
assert 'of kind `"newest"`' in reference.page()

limits = core.load(DataConfig, "config/data.toml").quality
assert limits.max_rows == 20000
customers = synthetic.generate(telco, 300, seed=1)
report = validation.validate(customers, telco, limits.model_copy(update={"max_rows": 200}), "x").report
(failed,) = report.errors
assert str(failed).endswith("Give fewer rows, or raise max_rows in config/data.toml [quality]."), failed
"""


def test_what_the_recipes_promise_is_there(copy: Clone) -> None:
    done = subprocess.run([sys.executable, "-c", TRIED], cwd=copy.root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _typed() -> Iterator[str]:
    for recipe in RECIPES:
        for kind, _, text in blocks(recipe):
            if kind == "bash":
                yield from text.splitlines()


def test_what_is_typed_is_there() -> None:
    for line in set(_typed()):
        if line.startswith("make "):
            subprocess.run([*line.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)
        else:
            assert all((ROOT / word).exists() for word in line.split() if "/" in word), line


@pytest.mark.slow
@pytest.mark.parametrize("line", sorted(set(_typed()) - {"make install", "make test-integration", "make test-unit"}))
def test_what_is_typed_works_after_the_changes(line: str, copy: Clone) -> None:
    """The whole loop among it, whose leaderboard has the new family and whose card has the new line; installing is CI's."""
    words = line.replace("make ", "make --silent --assume-old=.venv/.ready ", 1)
    if line == "make lint":  # the recipes leave the layout to it
        words = f"{words.replace('lint', 'format')} && {words}"
    done = subprocess.run(**alone(copy.root / "state") | {"args": ["bash", "-c", words], "cwd": copy.root})
    assert done.returncode == 0, done.stdout
    if line == "make run":
        assert "extra_trees" in done.stdout
        cards = [path for path in (copy.root / "state").rglob("*.html") if "TrainFlow" in path.parts]
        assert any(unpacked.stands("Spring campaign", path.read_bytes()) for path in cards)
