"""Two TrainFlows at once, in fresh processes: one champion in the end, and each step imports what it uses and no more."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from churn.data import snapshots
from churn.data.snapshots import HOLDOUT, TRAIN
from churn.registry import model_registry, tracking
from conftest import ROOT

pytestmark = pytest.mark.long

NAME = "side-by-side"
FAMILIES = ("logistic_regression", "xgboost")
# Python imports this at its start, from PYTHONPATH: at the end of a step's process, its modules are written down.
PROBE = """
import atexit, json, os, sys

def tell():
    if "step" in sys.argv:
        step = sys.argv[sys.argv.index("step") + 1]
        with open(os.path.join(os.environ["TOLD"], step), "w") as file:
            json.dump(sorted({name.split(".")[0] for name in sys.modules}), file)

atexit.register(tell)
"""
HEAVY = {"bentoml", "dvc", "lightgbm", "matplotlib", "mlflow", "nannyml", "onnxmltools", "onnxruntime", "pandas", "pandera",
         "skl2onnx", "sklearn", "skops", "xgboost"}  # fmt: skip
TABLES = {"pandas", "dvc"}  # the data version is read back
USED = {
    "start": TABLES | {"mlflow"},
    "tune": TABLES | {"sklearn"},
    "select": TABLES | {"sklearn"},
    "evaluate": TABLES | {"sklearn"},
    "gate": TABLES | {"mlflow", "matplotlib", "sklearn", "onnxruntime"},  # the last if there is a champion already
    "register": TABLES | {"mlflow", "sklearn", "skl2onnx", "onnxmltools", "onnxruntime", "skops"},
    # The ONNX model answers the examples, which prove what the Bento serves; xgboost if that has become champion.
    "package": TABLES | {"mlflow", "onnxruntime", "sklearn", "skops", "bentoml", "xgboost"},
    "end": set(),
}


@pytest.fixture(scope="module")
def runs(
    trained: SimpleNamespace, quick_settings: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, set[str]]]:
    """Two runs, each with one family, that have the same data and a registered model of their own: per family and step, the
    modules that its process had imported."""
    folder = tmp_path_factory.mktemp("side_by_side")
    (folder / "sitecustomize.py").write_text(PROBE)
    stored = snapshots.restore(trained.data.data_version, folder / "version")
    dataset = snapshots.load(trained.data.data_version).dataset.model_copy(update={"registered_model": NAME})
    version = snapshots.save(*((stored / part).read_bytes() for part in (TRAIN, HOLDOUT)), dataset, synthetic=False)
    head, *tables = Path(quick_settings).read_text().split("[[model]]")
    running = {}
    for family in FAMILIES:
        settings, told = folder / f"{family}.toml", folder / family
        told.mkdir()
        settings.write_text(
            head.replace("blend = true", "blend = false")
            + "[[model]]"
            + next(text for text in tables if f'"{family}"' in text)
        )
        words = ["--config", "settings", str(settings), "run", "--data-version", version.version]
        probe = {"CHURNFLOW_WARM": "0", "PYTHONPATH": str(folder), "TOLD": str(told)}
        environ = {**os.environ, **probe, "MIN_ACCURACY": "0.5"}  # of one family on few rows; not what is tried here
        with (folder / f"{family}.log").open("wb") as log:
            command = [sys.executable, str(ROOT / "flows" / "train_flow.py"), *words]
            running[family] = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT)
    for family, run in running.items():
        assert run.wait(600) == 0, (folder / f"{family}.log").read_text()
    return {
        family: {file.name: set(json.loads(file.read_text())) & HEAVY for file in (folder / family).iterdir()}
        for family in FAMILIES
    }


def test_two_trainings_at_once_leave_one_champion(runs: dict[str, dict[str, set[str]]]) -> None:
    found = tracking.client().search_model_versions(f"name = '{NAME}'")
    assert sorted(version.tags["family"] for version in found) == sorted(FAMILIES)
    champion = model_registry.by_alias(NAME, model_registry.CHAMPION)
    assert champion is not None
    assert [v.version for v in found if v.current_stage == "Production"] == [int(champion.version)]
    other = next(v for v in found if str(v.version) != champion.version)
    assert f"champion version {champion.version} stays" in other.tags["gate.promotion"] or (
        f"champion version {other.version}" in champion.tags["gate.promotion"]
        or champion.tags.get(model_registry.REPLACED) == str(other.version)
    ), "the later one was judged against the earlier one"


@pytest.mark.parametrize("family", FAMILIES)
def test_no_step_imports_what_it_does_not_use(runs: dict[str, dict[str, set[str]]], family: str) -> None:
    assert set(runs[family]) == set(USED)
    model = {"xgboost"} if family == "xgboost" else set()
    known = {step: used | (model if step not in ("start", "end") else set()) for step, used in USED.items()}
    assert {step: found - known[step] for step, found in runs[family].items() if found - known[step]} == {}
