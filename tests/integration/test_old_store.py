"""A store that commit 945fb26 wrote (tests/fixtures/old_store) is read by the code after it, whatever has been renamed since."""

import gzip
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from churn.data import synthetic
from churn.settings.dataset import Dataset
from conftest import ROOT, alone

pytestmark = pytest.mark.long

FIXTURE = ROOT / "tests" / "fixtures" / "old_store"
VERSION = "acd825752003d130f64a20255ae71844.dir"
LOOK = """
import sys
sys.path.insert(0, 'flows')
import base; from orchestration import runs
from churn.registry import model_registry
from churn.serving import release

print({})
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store in a state folder of its own; the class that its run has pickled does not exist any more."""
    home = tmp_path_factory.mktemp("old") / "store"
    shutil.copytree(FIXTURE, home)
    for file in (path for path in home.rglob("*") if path.suffix in (".json", ".sql")):
        file.write_text(file.read_text().replace("@HOME@", str(home)))
    with sqlite3.connect(home / "mlflow.db") as database:
        database.executescript((home / "mlflow.sql").read_text())
    pickles = [path for path in home.glob("metaflow/.metaflow/DataFlow/data/*/*") if path.suffix == ""]
    kept = {path: gzip.decompress(path.read_bytes()) for path in pickles if not path.name.endswith("_meta")}
    old = [path for path, content in kept.items() if b"churn.profile" in content]
    assert old, "the run of the fixture has pickled a class of ours"
    for path in old:
        path.write_bytes(gzip.compress(kept[path].replace(b"churn.profile", b"churn.renamed")))
    return home


@pytest.fixture(scope="module")
def customers(telco: Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("new") / "customers.csv"
    synthetic.generate(telco, 400, seed=12).to_csv(path, index=False)
    return str(path)


def _run(store: Path, *words: str, **environ: str) -> str:
    done = subprocess.run(**alone(store, *words, **environ))
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_previous_profile_is_made_again_from_its_version(store: Path, telco: Dataset) -> None:
    said = _run(store, "-c", LOOK.format("runs.previous_profile('telco', False)"))
    assert "Profile(rows=300, columns={'gender': ColumnProfile(missing=0.0, distinct=2" in said
    assert _run(store, "-c", LOOK.format("runs.previous_profile('telco', True)")).strip() == "None"


def test_a_previous_version_that_is_gone_is_said_to_be_missing(store: Path, tmp_path: Path) -> None:
    look = LOOK.format("runs.previous_profile('telco', False)")
    said = _run(store, "-c", look, CHURNFLOW_DVC_REMOTE=str(tmp_path / "empty"))
    assert re.search(rf"Not compared with the previous data version, of DataFlow/\d+: data version '{VERSION}'", said)
    assert said.splitlines()[-1] == "None"


def test_dataflow_compares_with_the_old_version(store: Path, customers: str) -> None:
    said = _run(store, "flows/data_flow.py", "run", "--source", customers)
    (sides,) = re.findall(r"(\d+) rows to train, (\d+) held out", said)
    assert sum(map(int, sides)) == 400
    assert "Not compared" not in said
    profile = "[(p.rows, len(p.columns)) for p in [runs.previous_profile('telco', False)]]"
    assert _run(store, "-c", LOOK.format(profile)).strip() == "[(400, 20)]", "now of the new run, from its own text"


def test_trainflow_trains_on_the_old_version_and_compares_with_the_old_champion(store: Path, one_family: str) -> None:
    words = ("--config", "settings", one_family, "run", "--data-version", VERSION, "--force")
    said = _run(store, "flows/train_flow.py", *words)
    assert f"Training on data set 'telco', version {VERSION}, as requested" in said
    (ending,) = re.findall(r"Champion: version .*", said)
    assert ending.startswith("Champion: version 1 (of another training; this one made version 2) as churn_service:v1-")
    assert "champion version 1 stays" in ending


def test_scoring_and_monitoring_go_on_with_the_old_champion(store: Path, customers: str) -> None:
    said = _run(store, "flows/score_flow.py", "run", "--source", customers)
    assert re.search(r"\d+ of 400 customers are likely to leave: ", said)
    said = _run(store, "flows/monitor_flow.py", "run", "--analysis", customers)
    assert re.search(r"(OK|WARN|ALERT): ", said)


def test_a_person_finds_where_the_old_champion_comes_from(store: Path) -> None:
    said = _run(store, "scripts/models.py", "lineage", "1")
    assert f"flows/train_flow.py run --data-version {VERSION} --force" in said
    record = _run(store, "-c", LOOK.format("release.record(model_registry.by_version('churn-classifier', '1'))"))
    assert "'summary': 'The gate is passed; there is no champion yet, so this model becomes it.'" in record
