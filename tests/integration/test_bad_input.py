"""What a person gets for a broken file or config: the file, the column, the value, the way out; and nothing half-written."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from churn.data import snapshots
from conftest import ROOT, flow


def _changed(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path, Path], None]:
    def write(good: Path, bad: Path) -> None:
        change(pd.read_csv(good, dtype="str", keep_default_na=False)).to_csv(bad, index=False)

    return write


def _cell(column: str, value: str) -> Callable[[Path, Path], None]:
    return _changed(lambda frame: frame.assign(**{column: [*frame[column][:4], value, *frame[column][5:]]}))


def _latin1(good: Path, bad: Path) -> None:
    bad.write_bytes(good.read_text().replace("Female", "Féminin", 1).encode("latin-1"))


def _cut_parquet(good: Path, bad: Path) -> None:
    pd.read_csv(good).to_parquet(bad)
    bad.write_bytes(bad.read_bytes()[:-2000])


CASES: dict[str, tuple[str, Callable[[Path, Path], object], tuple[str, ...]]] = {
    "missing file": ("bad.csv", lambda good, bad: None, ("no such file", "CSV, Excel or Parquet")),
    "empty file": ("bad.csv", lambda good, bad: bad.touch(), ("the file is empty", "header line")),
    "header only": (
        "bad.csv",
        lambda good, bad: bad.write_text(good.open().readline()),
        ("no rows", "export it again"),
    ),
    "missing column": (
        "bad.csv",
        _changed(lambda frame: frame.drop(columns="Contract")),
        ("'Contract' is missing", "config/datasets/telco.toml"),
    ),
    "unknown category": (
        "bad.csv",
        _cell("Contract", "Weekly"),
        ("'Contract'", "'Weekly' in row 5", "'Two year'", "telco.toml"),
    ),
    "text in a number": (
        "bad.csv",
        _cell("MonthlyCharges", "cheap"),
        ("'MonthlyCharges'", "'cheap' in row 5", "Correct"),
    ),
    "negative charges": (
        "bad.csv",
        _cell("MonthlyCharges", "-3.5"),
        ("'MonthlyCharges'", "-3.5 in row 5", "min and max"),
    ),
    "duplicate ids": (
        "bad.csv",
        _changed(lambda frame: frame.assign(customerID=["A", "A", *frame.customerID[2:]])),
        ("'customerID'", "is unique", "'A' in row 2", "Keep one row"),
    ),
    "one class": (
        "bad.csv",
        _changed(lambda frame: frame.assign(Churn="No")),
        ("'Churn'", "rows of 'Yes'", "found 0", "both outcomes"),
    ),
    "Latin-1": ("bad.csv", _latin1, ("'gender'", "'Féminin' in row", "read as Windows-1252")),
    "truncated Parquet": ("bad.parquet", _cut_parquet, ("not a readable Parquet file", "copy it again")),
}


def _versions() -> set[str]:
    store = Path(snapshots.remote())
    return {str(path) for path in store.rglob("*")} if store.is_dir() else set()


@pytest.mark.parametrize("case", CASES)
def test_a_broken_file_stops_the_run(case: str, customers_csv: Path, tmp_path: Path) -> None:
    name, write, expected = CASES[case]
    write(customers_csv, tmp_path / name)
    before = _versions()
    done = flow("data_flow", "run", "--source", str(tmp_path / name))
    assert done.returncode != 0
    said = " ".join(line.split("] ", 1)[-1] for line in done.stdout.splitlines())
    for words in (str(tmp_path / name), *expected):
        assert words in said, done.stdout
    assert "Traceback" not in done.stdout
    assert _versions() == before


def test_an_unknown_key_stops_the_run_before_any_work(tmp_path: Path) -> None:
    for name, file, config in (
        ("data_flow", "data.toml", "settings"),
        ("data_flow", "datasets/telco.toml", "description"),
    ):
        path = tmp_path / Path(file).name
        path.write_text("rowz = 3\n" + (ROOT / "config" / file).read_text())
        done = flow(name, "--config", config, str(path), "run")
        assert done.returncode != 0
        assert f"{path}: unknown key 'rowz'" in done.stdout, done.stdout
        assert "Traceback" not in done.stdout
        assert "Workflow starting" not in done.stdout


def test_a_bad_value_or_parameter_stops_training_before_any_work(tmp_path: Path) -> None:
    good = (ROOT / "config" / "train.toml").read_text()
    for change, reason in (
        (("folds = 5 ", "folds = 1 "), "search.folds: Input should be greater than or equal to 2 (got 1)"),
        (("LogisticRegression", "LogisticRegresion"), "cannot import sklearn.linear_model.LogisticRegresion"),
        (("max_iter = 2000", "max_itre = 2000"), "fixed.max_itre is not a parameter"),
    ):
        path = tmp_path / "train.toml"
        path.write_text(good.replace(*change))
        done = flow("train_flow", "--config", "settings", str(path), "run")
        assert done.returncode != 0
        assert str(path) in done.stdout
        assert reason in done.stdout, done.stdout
        assert "Workflow starting" not in done.stdout


def test_an_unknown_data_version_stops_training_and_registers_nothing(tmp_path: Path) -> None:
    version = "0" * 32 + ".dir"
    done = flow("train_flow", "run", "--data-version", version, CHURNFLOW_HOME=str(tmp_path))
    assert done.returncode != 0
    assert f"data version '{version}' is not in" in done.stdout, done.stdout
    assert "Traceback" not in done.stdout
