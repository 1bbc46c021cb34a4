"""Recognises event tables: which column identifies the customer, which holds the time, and what the others hold."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.data import casting, formats
from churn.errors import ChurnError
from churn.schema_inference.column_guess import Guess
from churn.settings.dataset import file_name

if TYPE_CHECKING:
    import pandas as pd

WHO = re.compile(r"customer|client|user|member|subscriber|account|buyer|kunde|household", re.I)
KNOWN = re.compile(r"known|load|ingest|insert|record|import|updated|received", re.I)
END = re.compile(r"^end|_end|ends|ended|until|expir|cancel|valid_?to|closed|terminat", re.I)
COMPACT = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")  # 19970131
EPOCHS = {"%s": r"1\d{9}(\.\d+)?", "%Q": r"1\d{12}(\.\d+)?"}  # since 2001, until 2033
WHEN = re.compile(r"time|date|\bat\b|_at$|ts$|epoch|moment|when|created|logged|seen", re.I)
ONE_ROW = re.compile(
    r"(^|_|\b)(id|no|nr|num|number|key|code|ref)$|(Id|ID|No|Nr|Num|Number|Key|Ref)$"
)  # identifies a row, or an invoice
NAMED = 0.5  # minimum share of rows with a customer
REPEATS = 1.2  # rows per customer from which a table counts as one of events


@dataclass
class RecognizedTable:
    """One file: its id, its moments (empty: none), the keys of its other columns, and its rows' ``who`` and ``at`` (UTC)."""

    name: str
    source: str
    id: str
    time: str
    known: str = ""
    end: str = ""
    nobody: int = 0  # rows without an id
    format: str | None = None
    decimal: str = "."
    missing_values: tuple[str, ...] = ()
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    who: "pd.Series | None" = None
    at: "pd.Series | None" = None

    @property
    def repeated(self) -> bool:
        """Whether customers recur, as in a table of events."""
        return self.who is not None and len(self.who) >= REPEATS * self.who.nunique()


def recognise(
    frames: "Mapping[str, pd.DataFrame]", guessed: Mapping[str, tuple[dict[str, Guess], str, list[str]]]
) -> list[RecognizedTable]:
    """The tables in ``frames`` (by file, as ``sources.read`` returns them), using the ``guessed`` columns.

    Raises:
        ChurnError: A file has no column that identifies customers.
    """
    shared = set.intersection(*(set(map(str, frame.columns)) for frame in frames.values()))
    recognised = []
    for source, frame in frames.items():
        guesses, decimal, missing = guessed[source]
        moments = {
            name: form for name, guess in guesses.items() if (form := _moment_format(frame[name], guess)) is not None
        }
        others = [name for name in guesses if name not in moments]
        who = _customer(frame, others, shared if len(frames) > 1 else set(others))
        if who is None:
            raise ChurnError(
                f"{source}: no column identifies its rows' customers; the file has: {', '.join(guesses)}. Give every file the "
                "same one, such as customer_id"
            )
        table = RecognizedTable(
            file_name(Path(source).name.split(".")[0]), source, who, "", decimal=decimal, missing_values=tuple(missing)
        )
        _set_moments(table, frame, moments)
        table.who = casting.as_text(frame[who])
        table.nobody = int(table.who.isna().sum())
        for name, guess in guesses.items():
            if (
                name not in (who, table.time, table.known, table.end)
                and name not in moments
                and (keys := _keys(guess, frame[name]))
            ):
                table.columns[name] = keys
        recognised.append(table)
    return recognised


def _moment_format(values: "pd.Series", guess: Guess) -> str | None:
    """The format of a column's moments ("": ISO 8601, or already timestamps); None if it holds none."""
    if values.dtype.kind == "M":
        return ""
    if guess.keys.get("type") == "timestamp" or "format" in guess.keys:
        return str(guess.keys.get("format") or "")
    texts = [str(text) for text in guess.counts.index[:200]]
    if texts and all(COMPACT.fullmatch(text) for text in texts):
        return "%Y%m%d"
    for form, digits in EPOCHS.items():
        if texts and all(re.fullmatch(digits, text) for text in texts) and WHEN.search(str(values.name)):
            return form
    return None


def _customer(frame: "pd.DataFrame", names: list[str], shared: set[str]) -> str | None:
    """The customer column among the candidates: the one named so, else the first that is in every file.

    Otherwise the one whose values repeat most evenly.
    """
    rows = len(frame)
    able = [
        name for name in names if name in shared and frame[name].notna().mean() > NAMED and frame[name].nunique() > 1
    ]
    able = [name for name in able if frame[name].nunique() >= min(20, rows / 50)]
    called = [name for name in able if WHO.search(name)]
    ids = [name for name in able if re.search(r"(^|_|\b)(id|no|nr|key)$", name, re.I)]
    return next(iter([*called, *ids, *(able if len(shared) < len(names) else [])]), None)


def _set_moments(table: RecognizedTable, frame: "pd.DataFrame", moments: Mapping[str, str]) -> None:
    typed = {name: formats.parse_timestamps(_texts(frame[name]), form or None) for name, form in moments.items()}
    ends = [name for name in typed if END.search(name) and len(typed) > 1]
    arrivals = [name for name in typed if KNOWN.search(name) and len(typed) > 1 and name not in ends]
    begins = [name for name in typed if name not in (*ends, *arrivals) and typed[name].notna().all()]
    if not begins:
        return
    table.time, table.at, table.format = begins[0], typed[begins[0]], moments[begins[0]] or None
    table.end = next((name for name in ends if moments[name] == moments[table.time]), "")
    late = [name for name in arrivals if moments[name] == moments[table.time] and typed[name].notna().all()]
    table.known = next((name for name in late if bool((typed[name] >= table.at).all())), "")


def _texts(values: "pd.Series") -> "pd.Series":
    return values if values.dtype.kind == "M" else casting.as_text(values)


def _keys(guess: Guess, values: "pd.Series") -> dict[str, Any]:
    """The keys of a column that an aggregate can use; empty for text with almost only distinct values."""
    kind = guess.keys.get("type", "category")
    if kind not in ("integer", "number", "category") or guess.keys.get("role") == "ignore":
        return {}
    if kind == "category" and len(guess.counts) > max(50, len(values) / 20):
        return {}
    if kind != "category" and ONE_ROW.search(str(values.name)) and values.nunique() > max(50, len(values) / 20):
        return {}
    kept = {
        key: guess.keys[key]
        for key in ("type", "unit", "decimal", "thousands", "negative")
        if key in guess.keys and kind != "category"
    }
    return kept | (
        {"missing": True} if bool(values.isna().any()) or int(np.sum(guess.counts)) < len(values) else {}
    ) or {"type": "category"}
