"""How the cells of an unknown column are written: numbers, decimal commas, codes, dates, words for 'missing'.

Columns are given as ``counted`` gives them: distinct values (text) with how often they occur.
"""

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "?")
COMMA = re.compile(r"[-+]?\d+(,\d+)?")
DRESSED = re.compile(r"[€$£¥]?\s?[-+]?[€$£¥]?\d[\d.,' ]*\s?(%|€|\$|£|[A-Z]{3})?")  # a number with its unit or thousands
DIGITS, CODE = re.compile(r"\d+"), re.compile(r"0\d+")  # the leading zeros of a postcode mean something
DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{2,4}\b.*")


def counted(values: "pd.Series") -> "pd.Series":
    """Distinct values as text with their counts; blank cells are missing."""
    from churn.conform import as_text

    return as_text(values).value_counts()


def missing_words(counts: "pd.Series") -> set[str]:
    """Words for 'missing' in a column that otherwise holds numbers."""
    found = {token for token in MISSING if token in counts.index}
    rest = counts.drop(list(found))
    return found if found and len(rest) and (numbers(rest) is not None or commas(rest)) else set()


def commas(counts: "pd.Series") -> bool:
    """Numbers written with a decimal comma."""
    return _all(COMMA, counts) and any("," in text for text in counts.index)


def _all(pattern: re.Pattern[str], counts: "pd.Series") -> bool:
    texts = counts.index.tolist()
    return bool(texts) and all(pattern.fullmatch(text) for text in texts)


def numbers(counts: "pd.Series") -> np.ndarray | None:
    """The distinct values as finite float64 of shape (n,), if all of them are numbers and none is a code."""
    import pandas as pd

    found = pd.to_numeric(counts.index.to_series(), errors="coerce").to_numpy(dtype=float)
    if not len(found) or not np.isfinite(found).all():
        return None
    codes = any(CODE.fullmatch(text) for text in counts.index.tolist())
    return None if codes else found


def dressed(counts: "pd.Series") -> str:
    """What to do about numbers and dates in a dress that the export put on; empty for other texts."""
    if _all(DATE, counts):
        return f"dates like {counts.index[0]!r}: export them as 2026-11-23 to use them as the time of a row"
    if _all(DRESSED, counts) and not _all(DIGITS, counts):
        return f"numbers like {counts.index[0]!r}: export them plainly (1234.5) to learn from them"
    return ""


def timestamps(counts: "pd.Series") -> bool:
    """Dates or moments as ISO 8601 writes them."""
    import pandas as pd

    if not counts.index.str.contains(r"\d[-/:.]\d").all():
        return False
    try:
        return bool(pd.to_datetime(counts.index.to_series(), errors="coerce", format="ISO8601").notna().all())
    except ValueError:  # dates with and without a time zone in one column
        return False
