"""Customers of other companies, shaped unlike Telco: what `make dataset` and both flows must take with a TOML only."""

import numpy as np
import pandas as pd


def _churned(score: np.ndarray, share: float) -> np.ndarray:
    return score > np.quantile(score, 1 - share)


def narrow(rows: int, seed: int) -> pd.DataFrame:
    """12 columns, no id: names with spaces, TRUE/FALSE as outcome, gaps written as NA, a date, a column filled in afterwards."""
    rng = np.random.default_rng(seed)
    months, visits = rng.integers(1, 60, rows), rng.poisson(4, rows)
    balance = np.round(rng.gamma(2.0, 700.0, rows), 2)
    country = rng.choice(["Österreich", "España", "Česko", "Schweiz (DE)"], rows, p=[0.4, 0.3, 0.2, 0.1])
    score = -0.05 * months - 0.4 * visits + 1.2 * (country == "España") + rng.normal(0, 1, rows)
    left = _churned(score, 0.2)
    gap = rng.random(rows) < 0.07
    return pd.DataFrame(
        {
            "Months on book": months,
            "visits/month": visits,
            "Balance (EUR)": np.where(gap, "NA", balance.astype(str)),
            "country": country,
            "has card": rng.choice(["Y", "N"], rows),
            "rating": np.round(rng.normal(0, 1.5, rows), 3),
            "products": rng.integers(1, 5, rows),
            "joined on": pd.Timestamp("2026-10-01") - pd.to_timedelta(months * 30, unit="D"),
            "segment": np.where(rng.random(rows) < 0.1, "", rng.choice(["gold", "silver", "none"], rows)),
            "currency": "EUR",
            "exit interview": np.where(left, rng.choice(["price", "service"], rows), ""),
            "has left?": np.where(left, "TRUE", "FALSE"),
        }
    )


def wide(rows: int, seed: int) -> pd.DataFrame:
    """150 columns, 40 of them categories, one of 2,000 levels; an integer id, a moment, 1/0 as outcome, gaps everywhere."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(0, 1, (rows, 107)) * rng.uniform(0.1, 5000, 107)
    score = rng.normal(0, 1.0, rows) + sum(0.6 * numbers[:, i] / numbers[:, i].std() for i in range(4))
    columns: dict[str, object] = {"account_id": rng.permutation(10**6)[:rows] + 10**6}
    for i in range(107):
        values = np.round(np.abs(numbers[:, i])) if i % 3 == 0 else numbers[:, i]
        columns[f"v{i:03d}"] = np.where(rng.random(rows) < 0.03 * (i % 4), np.nan, values)
    for i in range(39):
        codes = rng.integers(0, 2 + i, rows)
        score += 0.8 * (codes == 0) if i < 3 else 0
        columns[f"c{i:02d}"] = pd.Series(codes).map("level {}".format).mask(rng.random(rows) < 0.02)
    branch = np.minimum(rng.zipf(1.2, rows), 2000)
    branch[: min(rows, 2000)] = np.arange(1, 2001)[:rows]  # every level occurs
    columns["branch"] = pd.Series(branch).map("branch {}".format)
    score += 0.8 * (branch == 1)
    columns["snapshot_date"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 270, rows), unit="D")
    columns["exited"] = _churned(score, 0.3).astype(int)
    return pd.DataFrame(columns)
