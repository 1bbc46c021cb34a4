"""Assigns customers to be contacted or held back, by a salted hash of campaign and customer, within risk strata."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

STRATA = 10


def held_back(campaign: str, salt: str, ids: Sequence[str], risk: np.ndarray, share: float) -> np.ndarray:
    """Who is held back as control, bool of shape (n,): ``share`` of the customers in each stratum of ``risk`` (shape (n,))."""
    # Ties of risk are broken by a draw independent of the arm's; otherwise strata would differ in the arm's draw.
    stratum = strata(risk, draws(f"{campaign}\0stratum", salt, ids))
    return control(draws(campaign, salt, ids), stratum, share)


def draws(campaign: str, salt: str, ids: Sequence[str]) -> np.ndarray:
    """A number in [0, 1) for each of n customers, shape (n,).

    It depends only on campaign, salt and id: the same in any order, on any machine, and in every retry.
    """
    start = hashlib.blake2b(f"{salt}\0{campaign}\0".encode(), digest_size=8)
    hashes = np.empty(len(ids), dtype=np.uint64)
    for row, one in enumerate(ids):
        digest = start.copy()
        digest.update(one.encode())
        hashes[row] = int.from_bytes(digest.digest(), "big")
    return (hashes >> np.uint64(11)) * 2.0**-53


def strata(risk: np.ndarray, tie: np.ndarray, count: int = STRATA) -> np.ndarray:
    """The risk stratum of each customer, int of shape (n,), 0 for the lowest risk: ``count`` groups, equal in size up to one.

    Ties in ``risk`` are broken by ``tie``, an independent draw, not by position in the table.
    """
    order = np.lexsort((tie, risk))
    stratum = np.empty(len(risk), dtype=np.int64)
    stratum[order] = np.arange(len(risk)) * count // max(len(risk), 1)
    return stratum


def control(draw: np.ndarray, stratum: np.ndarray, share: float) -> np.ndarray:
    """Who is held back, bool of shape (n,): in each stratum the ``share`` of its customers with the smallest draws.

    The total number held back is ``share * n`` up to one: each stratum's rounding carries over to the next
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
    """The standardised mean difference between the arms for every column of a table (n rows).

    For a text column it is that of the level that differs most. Above 0.1 is commonly called unbalanced (Austin 2009).
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
