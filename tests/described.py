"""Small files of customers, every cell as text, and their descriptions."""

from typing import Any

import numpy as np
import pandas as pd
from churn.schema_inference import infer
from churn.settings import core
from churn.settings.dataset import Dataset

ROWS = 400
LEFT = np.arange(ROWS) % 4 == 0


def rng(seed: int = 0) -> np.random.Generator:
    """The same numbers in every test, whatever ran before it."""
    return np.random.default_rng(seed)


VALUES = np.round(rng().uniform(5, 9000, ROWS), 2)
DAYS = pd.to_datetime("2024-01-13") + pd.to_timedelta(rng().integers(0, 300, ROWS), unit="D")


def of(frame: pd.DataFrame, *said: str, **target: str) -> infer.Description:
    """The description, with what a person said about the target."""
    return infer.describe(frame, "bank", "bank.csv", *said, **target)


def customers(**columns: Any) -> pd.DataFrame:
    """Two honest columns, those given, and the outcome, all as text."""
    given = {"age": rng(1).integers(18, 80, ROWS), "calls": rng(2).integers(0, 9, ROWS), **columns}
    return pd.DataFrame({**given, "Churn": given.get("Churn", np.where(LEFT, "Yes", "No"))}).astype("str")


def swap(text: str, marks: str = ",.") -> str:
    """With other marks than the point for decimals and the comma for thousands."""
    return text.translate(str.maketrans(".,", marks))


def decision(found: infer.Description, column: str) -> str:
    """What is asked about a column."""
    return "\n".join(note for note in found.decisions if note.startswith(f"{column}: "))


def edited(text: str, column: str, *lines: str) -> Dataset:
    """The description after a person put these lines in the place of a column's role and type."""
    head, own = text.split(f"[columns.{column}]\n")
    table, rest = own.split("\n\n", 1)
    kept = [line for line in table.splitlines() if not line.startswith(("role", "type"))]
    return core.parse(Dataset, "\n".join([f"{head}[columns.{column}]", *kept, *lines, "", rest]), "x.toml")
