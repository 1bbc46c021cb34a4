"""The churn data that ``make bench-quality`` compares on: files of a folder, or Telco and five generated companies."""

import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "flows"), str(ROOT / "tests")]

import other_data  # noqa: E402
from churn.data import synthetic  # noqa: E402
from churn.schema_inference import infer  # noqa: E402
from churn.settings import core  # noqa: E402
from churn.settings.data import DataConfig  # noqa: E402
from churn.settings.dataset import Dataset  # noqa: E402
from churn.validation import validation  # noqa: E402

TELCO = ROOT.parent / "shared" / "data" / "telco_churn.csv"
DESCRIBED = ROOT / "config" / "datasets"


def rules(rows: int, seed: int) -> pd.DataFrame:
    """A bank: churn follows from steps and interactions, as in decision trees, with 10 % of the outcomes at random."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 90, rows),
            "products": rng.choice([1, 2, 3, 4], rows, p=[0.5, 0.4, 0.08, 0.02]),
            "active": rng.choice(["yes", "no"], rows),
            "country": rng.choice(["DE", "ES", "FR"], rows),
            "balance": np.round(rng.gamma(1.5, 40_000, rows) * (rng.random(rows) < 0.65), 2),
            "score": rng.normal(650, 95, rows).round().clip(350, 850),
            "salary": rng.uniform(10_000, 200_000, rows).round(2),
        }
    )
    risk = (table.products >= 3) | ((table.age.between(45, 65)) & (table.active == "no"))
    risk |= (table.country == "DE") & (table.balance > 90_000) & (table.products == 1)
    left = np.where(rng.random(rows) < 0.1, rng.random(rows) < 0.2, risk & (rng.random(rows) < 0.7))
    return table.assign(churn=np.where(left, "yes", "no"))


def rare(rows: int, seed: int) -> pd.DataFrame:
    """An insurer: 3 % churn, with smooth effects of skewed amounts and two thirds of the columns without any."""
    rng = np.random.default_rng(seed)
    claims, tenure, premium = rng.poisson(0.6, rows), rng.exponential(6.0, rows), rng.lognormal(6.0, 0.6, rows)
    logit = 0.5 * claims - 0.9 * np.log1p(tenure) + 1.1 * (np.log(premium) - 6) + rng.normal(0, 0.5, rows)
    left = rng.random(rows) < 1 / (1 + np.exp(-(logit - 2.9)))
    noise = {f"survey {i}": rng.integers(1, 6, rows) for i in range(8)}
    table = pd.DataFrame({"claims": claims, "tenure": tenure.round(2), "premium": premium.round(2), **noise})
    return table.assign(churn=left.astype(int))


def sample(rows: int, seed: int) -> pd.DataFrame:
    """The customers that `make run` generates without a source."""
    return synthetic.generate(core.load(Dataset, DESCRIBED / "telco.toml"), rows, seed)


GENERATED = {"sample": (sample, 10_000), "narrow": (other_data.narrow, 6_000), "wide": (other_data.wide, 3_000),
             "rules": (rules, 10_000), "rare": (rare, 20_000)}  # fmt: skip


def texts(folder: Path | None) -> dict[str, str]:
    """The data sets as CSV by name: the folder's files, else Telco, if its file is there, and GENERATED."""
    if folder is not None:
        return {file.stem: file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.csv"))}
    made = {name: make(rows, 1).to_csv(index=False) for name, (make, rows) in GENERATED.items()}
    return {"telco": TELCO.read_text(encoding="utf-8"), **made} if TELCO.is_file() else made


def read(name: str, text: str) -> tuple[Dataset, pd.DataFrame]:
    """The data set, described (as by `make dataset` if config/ has no description) and validated."""
    raw = pd.read_csv(io.StringIO(text), dtype="str", keep_default_na=False)
    known = DESCRIBED / f"{'telco' if name == 'sample' else name}.toml"
    dataset = core.load(Dataset, known) if known.exists() else infer.describe(raw, name, name).dataset
    limits = core.load(DataConfig, ROOT / "config" / "data.toml").quality
    return dataset, validation.validate(raw, dataset, limits, name).table
