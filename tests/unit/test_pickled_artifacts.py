"""What the branches of a flow hand to a join is the same bytes in processes of any hash seed, whatever a branch did with it."""

import os
import pickle
import subprocess
import sys

import pytest
from churn.data import synthetic
from churn.privacy import run_store
from churn.registry.model_registry import Registered
from churn.serving import reference_data
from churn.serving.reference_data import Reference
from churn.settings.dataset import Dataset
from conftest import ROOT

# Every artifact that a branch reads and its join merges: it is pickled by the step before, and again by each branch.
BEFORE = """
import hashlib, pickle, sys, tempfile
sys.path.insert(0, "flows")
from pathlib import Path
from churn.data import features, sources, synthetic, tables
from churn.monitoring.windows import Analysis, Window
from churn.registry.model_registry import Registered
from churn.serving.reference_data import Reference
from churn.settings import core, data, dataset, monitor, score, train

config = Path("config")
telco = core.load(dataset.Dataset, config / "datasets" / "telco.toml")
table = synthetic.generate(telco, 300, 1)
outcome = features.outcome(telco, table)
holdout = tables.typed(tables.to_bytes(table[list(telco.raw)]), telco)
holdout = holdout.assign(probability=0.25, decision=outcome == 1, outcome=outcome == 1)
model = Registered("churn", "3", "run", {"b": "1", "a": "2"})
worth = train.Worth(contact_cost=1.0, success_rate=0.2, margin=100.0)
artifacts = {
    "DataFlow sources": core.load(data.DataConfig, config / "data.toml").source,
    "MonitorFlow config": core.load(monitor.MonitorConfig, config / "monitor.toml"),
    "MonitorFlow reference": Reference(model, telco, 0.5, holdout, worth),
    "MonitorFlow windows": Analysis("log", (Window("1", 2),), b"1", b"2", {"4": 1, "2": 3}, 0, 0, False),
    "ScoreFlow model": model,
    "ScoreFlow notes": ("a", "b"),
    "TrainFlow families": list(core.load(train.TrainConfig, config / "train.toml").model),
    "TrainFlow lineage": {"b": "1", "a": "2"},
    "data set": telco,
}
"""
BRANCH = """
import hashlib, pickle, sys
sys.path.insert(0, "flows")
from churn.settings.core import Strict

def use(value, read):
    for name in dir(value) if isinstance(value, Strict) and read else ():
        if not name.startswith(("_", "model_", "__")):
            getattr(value, name)
    inner = vars(value).values() if hasattr(value, "__dict__") else value if isinstance(value, (list, tuple)) else ()
    for one in list(inner):
        if type(one).__name__ == "DataFrame" and read:
            one.select_dtypes("number").mean(), one.values, hash(tuple(one.columns)), one.index.is_unique
        use(one, read)

with open(sys.argv[1], "rb") as file:
    artifacts = {name: pickle.loads(content) for name, content in pickle.load(file).items()}
for name, value in artifacts.items():
    use(value, sys.argv[2] == "read")
    print(name, hashlib.sha1(pickle.dumps(value, protocol=4)).hexdigest(), sep="\\t")
"""
SAVE = "\npickle.dump({name: pickle.dumps(value, protocol=4) for name, value in artifacts.items()}, open(sys.argv[1], 'wb'))"


def _python(code: str, *words: str, seed: str) -> str:
    environ = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-W", "ignore", "-c", code, *words]
    return subprocess.run(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.mark.long
def test_branches_of_any_hash_seed_pickle_what_they_share_alike(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = str(tmp_path_factory.mktemp("pickled") / "artifacts")
    _python(BEFORE + SAVE, file, seed="1")
    first, second = (_python(BRANCH, file, how, seed=seed) for how, seed in (("leave", "2"), ("read", "3")))
    branches = [dict(line.split("\t") for line in said.splitlines()) for said in (first, second)]
    assert len(branches[0]) == 9
    assert [name for name in branches[0] if branches[0][name] != branches[1][name]] == []


def test_erasure_reads_artifacts_that_name_a_class_by_its_former_module(
    telco: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the rows of MonitorFlow's reference in earlier runs would be bytes that nobody can look into."""
    reference = Reference(Registered("churn", "3", "run", {}), telco, 0.5, synthetic.generate(telco, 20, 1))
    with monkeypatch.context() as former:
        former.setitem(sys.modules, "churn.serving.reference", reference_data)
        former.setattr(Reference, "__module__", "churn.serving.reference")
        content = pickle.dumps(reference, protocol=4)
    assert b"churn.serving.reference" in content
    assert b"reference_data" not in content
    assert len(run_store._load(content).table) == 20
