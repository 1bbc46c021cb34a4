"""What prototypes cost the reasons: their distance from Shapley values over many customers, beside that of real ones."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "flows"))

from churn.data import features, synthetic, tables  # noqa: E402
from churn.settings import core  # noqa: E402
from churn.settings.data import Quality  # noqa: E402
from churn.settings.dataset import Dataset  # noqa: E402
from churn.training import shapley  # noqa: E402
from churn.validation import validation  # noqa: E402


@dataclass(frozen=True)
class Found:
    """Mean absolute error of a contribution and of the base value; share of the three strongest reasons that are the truth's."""

    mean_error: float
    base_error: float
    same_top: float


def errors(
    dataset: Dataset, table: pd.DataFrame, probability: shapley.Probability, rows: int, asked: int, seeds: int
) -> tuple[Found, Found]:
    """With 40 real customers, and with 40 prototypes, against ``rows`` customers as the background; means over ``seeds``."""
    raw = features.from_frame(dataset, table.sample(asked, random_state=99))
    truth = shapley.Explainer(dataset, probability, _customers(dataset, table, rows, 123))
    wanted = truth.contributions(raw)

    def of(background: list[dict[str, Any]]) -> tuple[float, float, float]:
        explainer = shapley.Explainer(dataset, probability, background)
        found = explainer.contributions(raw)
        top = [set(np.argsort(-abs(both))[:3]) for both in (*wanted, *found)]
        same = [len(a & b) / 3 for a, b in zip(top[:asked], top[asked:], strict=True)]
        return float(abs(found - wanted).mean()), abs(explainer.base - truth.base), float(np.mean(same))

    kinds = (
        lambda seed: _customers(dataset, table, shapley.BACKGROUND_ROWS, seed),
        lambda seed: shapley.background(dataset, table, seed),
    )
    real, ours = (Found(*np.mean([of(kind(seed)) for seed in range(seeds)], axis=0).tolist()) for kind in kinds)
    return real, ours


def _customers(dataset: Dataset, table: pd.DataFrame, rows: int, seed: int) -> list[dict[str, Any]]:
    raw = features.from_frame(dataset, table.sample(rows, random_state=seed))
    return [{name: None if v[i] == "" or v[i] != v[i] else v[i] for name, v in raw.items()} for i in range(rows)]


def _model(dataset: Dataset, table: pd.DataFrame) -> shapley.Probability:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((codes, list(dataset.categorical)), remainder="passthrough")
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=8, random_state=0))
    model.fit(features.frame(dataset, table), features.outcome(dataset, table))
    return lambda raw: model.predict_proba(pd.DataFrame(features.build(dataset, raw)))[:, 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="Telco's file (default: synthetic customers)")
    file = parser.parse_args().source
    dataset = core.load(Dataset, ROOT / "config" / "datasets" / "telco.toml")
    table = synthetic.generate(dataset, 7000, seed=1)
    if file is not None:
        table = validation.validate(tables.from_bytes(tables.to_parquet(file)[0]), dataset, Quality(), file.name).table
    found = errors(dataset, table, _model(dataset, table), rows=1000, asked=20, seeds=5)
    print(f"{'background':<20} {'error':>8} {'of base':>8} {'same 3 strongest':>17}")
    for name, one in zip(("40 real customers", "40 prototypes"), found, strict=True):
        print(f"{name:<20} {one.mean_error:>8.4f} {one.base_error:>8.4f} {one.same_top:>17.0%}")


if __name__ == "__main__":
    main()
