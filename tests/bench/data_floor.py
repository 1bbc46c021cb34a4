"""The floor of ``make bench-data``: what DataFlow does to Telco rows, in one process, by hand in polars.
``python tests/bench/data_floor.py customers.parquet FOLDER``
"""

import hashlib
import io
import sys
import tomllib
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
SERVICES = [
    "PhoneService", "MultipleLines", "OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV",
    "StreamingMovies",
]  # fmt: skip


def main(source: str, folder: str) -> None:
    columns = tomllib.loads((ROOT / "config" / "datasets" / "telco.toml").read_text())["columns"]
    frame = pl.read_parquet(source)
    failed = sum(check(frame, columns).values())
    churned = (frame["Churn"] == "Yes").to_numpy()
    suspects = [name for name in columns if name not in ("Churn", "customerID") and auc(frame, name, churned) > 0.98]
    spend = pl.col("TotalCharges") / pl.max_horizontal("tenure", 1)
    frame = frame.with_columns(
        pl.when(pl.col("tenure") < 6)
        .then(pl.lit("<6"))
        .when(pl.col("tenure") < 12)
        .then(pl.lit("6-12"))
        .when(pl.col("tenure") < 24)
        .then(pl.lit("12-24"))
        .when(pl.col("tenure") < 48)
        .then(pl.lit("24-48"))
        .otherwise(pl.lit("48+"))
        .alias("tenure_group"),
        spend.cast(pl.Float32).alias("average_monthly_spend"),
        (pl.col("MonthlyCharges") / spend).cast(pl.Float32).alias("charges_ratio"),
        pl.sum_horizontal(*[pl.col(s) == "Yes" for s in SERVICES], pl.col("InternetService") != "No")
        .cast(pl.Float32)
        .alias("services"),
    )
    holdout = (frame["customerID"].hash(seed=42) % 5 == 0).to_numpy()
    for name, rows in (("train", ~holdout), ("holdout", holdout)):
        buffer = io.BytesIO()
        frame.filter(rows).write_parquet(buffer, compression="zstd", compression_level=1)
        data = buffer.getvalue()
        Path(folder, f"{name}.parquet").write_bytes(data)
        print(name, hashlib.md5(data).hexdigest())
    print(failed, suspects)


def check(frame: pl.DataFrame, columns: dict) -> dict[str, int]:
    """The values that break each rule: schema, types, ranges, allowed values, missing, unique id, class balance."""
    assert set(columns) <= set(frame.columns)
    rules = {"rows": pl.len() < 100, "share": ~(pl.col("Churn") == "Yes").mean().is_between(0.01, 0.6)}
    for name, column in columns.items():
        values, kind = pl.col(name), column.get("type", "category")
        if kind in ("integer", "number"):
            assert frame.schema[name].is_numeric()
            rules[f"{name} range"] = (~values.is_between(column["min"], column["max"])).sum()
            rules[f"{name} finite"] = values.is_infinite().sum() if frame.schema[name].is_float() else pl.lit(0)
        if "values" in column:
            rules[f"{name} values"] = (~values.is_in(column["values"])).sum()
        rules[f"{name} missing"] = pl.lit(0) if column.get("missing") else values.null_count()
        if column.get("role") == "id":
            rules[f"{name} unique"] = pl.len() - values.n_unique()
    return frame.select(**rules).row(0, named=True)


def auc(frame: pl.DataFrame, name: str, churned: np.ndarray) -> float:
    """ROC-AUC of one column alone: numbers by rank, levels by their churn rate in the other half of the rows."""
    table = pl.DataFrame({"value": frame[name], "churned": churned}).drop_nulls()
    if frame.schema[name].is_numeric():
        by = table.group_by("value").agg(left=pl.col("churned").sum(), rows=pl.len()).sort("value")
    else:
        learned = table.with_columns(half=pl.Series(np.random.default_rng(0).random(len(table)) < 0.5))
        by = learned.group_by("value").agg(
            rate=pl.col("churned").filter(pl.col("half")).mean(),
            left=pl.col("churned").filter(~pl.col("half")).sum(),
            rows=(~pl.col("half")).sum(),
        )
        by = by.sort("rate")
    left = by["left"].cast(pl.Float64).to_numpy()
    stayed = by["rows"].cast(pl.Float64).to_numpy() - left
    below = np.cumsum(stayed) - stayed
    found = (left * (below + stayed / 2)).sum() / (left.sum() * stayed.sum())
    return max(found, 1 - found)


if __name__ == "__main__":
    main(*sys.argv[1:])
