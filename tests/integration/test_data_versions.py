"""Data of other companies by a described TOML alone; versions pulled back byte for byte and compared row by row."""

import gzip
import hashlib
import json
import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from churn.data import casting, features, snapshots, tables
from churn.registry import model_registry
from churn.schema_inference import infer
from churn.settings.data import Split, Versioning
from churn.settings.dataset import Dataset
from churn.training import onnx_scorer
from churn.validation import ingestion, version_diff
from conftest import ROOT, flow
from other_data import narrow, wide

pytestmark = pytest.mark.long


@pytest.mark.parametrize(("make", "rows"), [(narrow, 1500), (wide, 1500)], ids=["narrow", "wide"])
def test_another_companys_data_needs_a_toml_only(make, rows: int, one_family: str, tmp_path: Path) -> None:
    name = f"{make.__name__}_customers"
    source, config = tmp_path / "customers.csv", tmp_path / f"{name}.toml"
    make(rows, 3).to_csv(source, index=False)
    config.write_text(infer.describe(pd.read_csv(source, dtype="str", keep_default_na=False), name, str(source)).text)
    done = flow("run", "--dataset", str(config), "--source", str(source), "--settings", one_family)
    assert done.returncode == 0, done.stdout
    champion = model_registry.by_alias(f"churn-classifier-{name}", model_registry.CHAMPION)
    assert champion is not None
    assert snapshots.load(champion.tags["data_version"]).dataset.name == name
    assert f"scripts/serve.py --dataset {config} " in done.stdout
    assert champion.tags["data_version"] in done.stdout


def test_training_scoring_and_serving_see_the_same_features(trained: SimpleNamespace, tmp_path: Path) -> None:
    data = snapshots.load(trained.data.data_version)
    table = onnx_scorer.with_damage(data.holdout, data.dataset, seed=0)
    rows = [
        {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in table[list(data.dataset.raw)].astype(object).to_dict("records")
    ]
    trained_on = features.frame(data.dataset, table)
    scored = features.build(data.dataset, features.from_frame(data.dataset, table))
    served = [features.build(data.dataset, features.from_rows(data.dataset, [row])) for row in rows]
    for name in trained_on:
        np.testing.assert_array_equal(trained_on[name].to_numpy(), scored[name], err_msg=name)
        np.testing.assert_array_equal(np.concatenate([one[name] for one in served]), scored[name], err_msg=name)
    scorer = onnx_scorer.Scorer(model_registry.fetch(trained.train.champion, tmp_path))
    alone = [scorer.probability(features.from_rows(data.dataset, [row]))[0] for row in rows[:50]]
    np.testing.assert_allclose(alone, scorer.table(table)[:50], atol=1e-6)


def test_tables_are_stored_uncompressed_where_any_client_reads_them(trained: SimpleNamespace) -> None:
    table = trained.data_run["validate"].task["table"]
    (file,) = Path(os.environ["METAFLOW_DATASTORE_SYSROOT_LOCAL"]).glob(f"**/DataFlow/data/*/{table.sha}")
    stored = file.read_bytes()
    assert pickle.loads(gzip.decompress(stored)) == table.data
    assert table.data[:1000] in stored


def test_a_version_is_pulled_byte_for_byte(trained: SimpleNamespace, tmp_path: Path) -> None:
    done = flow("data", "pull", trained.data.data_version, "--to", str(tmp_path / "back"))
    assert done.returncode == 0, done.stdout
    files = sorted((tmp_path / "back").rglob("*.*"))
    listing = [
        {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.name} for path in files if path.is_file()
    ]
    assert {entry["relpath"] for entry in listing} == {"train.parquet", "holdout.parquet", "snapshot.json"}
    # DVC's directory hash is the md5 of its sorted listing (dvc-data, hashfile/tree.py): nothing in it can have changed.
    text = json.dumps(sorted(listing, key=lambda entry: entry["relpath"]), sort_keys=True)
    assert hashlib.md5(text.encode()).hexdigest() + ".dir" == trained.data.data_version


def test_a_version_knows_when_its_holdout_begins(timed: Dataset) -> None:
    rng = np.random.default_rng(0)
    at = pd.date_range("2025-01-01", periods=300)
    table = pd.DataFrame(
        {"customer": np.arange(300), "at": at, "x": rng.normal(size=300), "left": rng.integers(0, 2, 300)}
    )
    written = tables.to_bytes(casting.cast(table, timed)[0])
    derived, sides, _ = ingestion.derive_and_split(written, timed, Split())
    saved = ingestion.save(written, derived, sides, timed, False, Versioning())
    found = snapshots.load(saved.version)
    assert found.boundary == "2025-08-29T00:00:00"
    assert found.train["at"].max() < pd.Timestamp(found.boundary) == found.holdout["at"].min()


def test_rows_added_removed_and_changed_are_counted(telco: Dataset, trained: SimpleNamespace) -> None:
    before = snapshots.load(trained.data.data_version)
    train = before.train.iloc[10:].reset_index(drop=True)
    train.loc[:4, "MonthlyCharges"] += 1
    new = before.train.iloc[:3].assign(customerID=["new1", "new2", "new3"])
    after = snapshots.Snapshot(
        "after", before.dataset, False, pd.concat([train, new], ignore_index=True), before.holdout
    )
    found = version_diff.diff(before, after)
    assert (found.added, found.removed, found.changed) == (3, 10, 5)
    assert found.cells == {"MonthlyCharges": 5}
    assert "MonthlyCharges" in version_diff.render(found)


def test_an_unknown_version_is_named() -> None:
    done = flow("data", "pull", "f" * 32 + ".dir", "--to", str(ROOT / "nowhere"))
    assert done.returncode != 0
    assert "f" * 32 in done.stdout
    assert "Traceback" not in done.stdout
    assert not (ROOT / "nowhere").exists()
