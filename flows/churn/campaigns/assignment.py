"""Who is contacted and who is held back: a salted hash of campaign and customer decides, within strata of risk."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

STRATA = 10


def held_back(campaign: str, salt: str, ids: Sequence[str], risk: np.ndarray, share: float) -> np.ndarray:
    """Who is held back as control, bool of shape (n,): ``share`` of the customers of each stratum of ``risk`` (shape (n,))."""
    # Another draw than the arm's breaks ties of risk: a stratum's edge would otherwise take one side of the draw with it.
    stratum = strata(risk, draws(f"{campaign}\0stratum", salt, ids))
    return control(draws(campaign, salt, ids), stratum, share)


def draws(campaign: str, salt: str, ids: Sequence[str]) -> np.ndarray:
    """A number of [0, 1) for each of n customers, shape (n,).

    It is a function of campaign, salt and id alone: the same in any order, on any machine, and in every retry.
    """
    start = hashlib.blake2b(f"{salt}\0{campaign}\0".encode(), digest_size=8)
    hashes = np.empty(len(ids), dtype=np.uint64)
    for row, one in enumerate(ids):
        digest = start.copy()
        digest.update(one.encode())
        hashes[row] = int.from_bytes(digest.digest(), "big")
    return (hashes >> np.uint64(11)) * 2.0**-53


def strata(risk: np.ndarray, tie: np.ndarray, count: int = STRATA) -> np.ndarray:
    """The risk stratum of each customer, int of shape (n,), 0 for the lowest risk: ``count`` groups of the same size up to one.

    Customers of the same ``risk`` are told apart by ``tie``, a draw that nothing else uses, not by their place in the table.
    """
    order = np.lexsort((tie, risk))
    stratum = np.empty(len(risk), dtype=np.int64)
    stratum[order] = np.arange(len(risk)) * count // max(len(risk), 1)
    return stratum


def control(draw: np.ndarray, stratum: np.ndarray, share: float) -> np.ndarray:
    """Who is held back, bool of shape (n,): in each stratum the ``share`` of its customers with the smallest draws.

    Over all strata the number held back is ``share * n`` up to one: each stratum's rounding carries over to the next
    (stratified randomisation, Imbens & Rubin 2015, chapter 9).
    """
    held, owed = np.zeros(len(draw), dtype=bool), 0.0
    for group in np.unique(stratum):
        members = np.flatnonzero(stratum == group)
        owed += share * len(members)
        count = min(round(owed), len(members))
        owed -= count
        held[members[np.argsort(draw[members], kind="stable")[:count]]] = True
    return held


def balance(table: Any, held_back: np.ndarray) -> dict[str, float]:
    """The standardised mean difference of the arms for every column of a table (n rows).

    Of a column of text it is that of the level that differs most. Above 0.1 is commonly called unbalanced (Austin 2009).
    """
    import pandas as pd

    gaps = {}
    for name in table.columns:
        values = table[name]
        coded = values if pd.api.types.is_numeric_dtype(values) else pd.get_dummies(values, dtype=float)
        coded = pd.DataFrame(coded).astype(float)
        one, other = coded[held_back], coded[~held_back]
        spread = np.sqrt((one.var() + other.var()) / 2).replace(0, np.nan)
        gaps[str(name)] = float(((one.mean() - other.mean()).abs() / spread).max(skipna=True))
    return {name: 0.0 if np.isnan(gap) else gap for name, gap in gaps.items()}
