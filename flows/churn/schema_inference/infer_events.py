"""Drafts the description of event tables: label, windows and horizon from the log's own rhythm, for a person to decide."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.errors import ChurnError
from churn.schema_inference import event_rhythm, event_tables, infer
from churn.schema_inference.column_guess import DECIDE
from churn.schema_inference.event_rhythm import Rhythm
from churn.schema_inference.event_tables import RecognizedTable
from churn.settings.core import parse
from churn.settings.dataset import Dataset
from churn.validation.toml_text import line

if TYPE_CHECKING:
    import pandas as pd

OF_CONTRACTS = 60  # days
NUMBERS, LEVELS = 3, 2  # columns of each kind in a table that get aggregates


def describe(frames: "Mapping[str, pd.DataFrame]", name: str) -> tuple[str, Dataset, tuple[str, ...]]:
    """The text of config/datasets/NAME.toml for the tables in ``frames`` (by file), its data set, and the open decisions.

    Raises:
        ChurnError: No file is a table of events.
    """
    recognised = event_tables.recognise(
        frames, {source: infer.guess_columns(frame) for source, frame in frames.items()}
    )
    timed, notes = [table for table in recognised if table.time], []
    notes += [
        f"{table.source}: no column says when a row happened, so it is left out; add one, as valid_from"
        for table in recognised
        if not table.time
    ]
    notes += [
        f"{table.source}: {table.nobody:,} of {len(table.who):,} rows have no {table.id}; they are left out"  # type: ignore[arg-type]
        for table in timed
        if table.nobody
    ]
    logs = sorted((table for table in timed if table.repeated and not table.end), key=lambda table: -len(table.who))  # type: ignore[arg-type]
    contracts = [table for table in timed if table.end]
    if not logs and not contracts:
        raise ChurnError(
            f"{', '.join(frames)}: no file is a table of events: none has recurring customers and a time for each row"
        )
    rhythm = event_rhythm.rhythm((logs or contracts)[0].who, (logs or contracts)[0].at)  # type: ignore[arg-type]
    notes += _choices(rhythm, (logs or contracts)[0], contracts)
    text = (
        "\n".join(
            [
                *_head(name, list(frames), notes),
                *_tables(timed),
                *_moments(rhythm, logs, contracts),
                *_aggregates(timed, rhythm),
            ]
        )
        + "\n"
    )
    return text, parse(Dataset, text, f"config/datasets/{name}.toml"), tuple(notes)


def _horizon(rhythm: Rhythm, contracts: Sequence[RecognizedTable]) -> int:
    """Two months for contracts, which leaves time to act; else derived from who comes back after a silence."""
    return OF_CONTRACTS if contracts else rhythm.horizon


def _choices(rhythm: Rhythm, log: RecognizedTable, contracts: Sequence[RecognizedTable]) -> list[str]:
    shares = "; ".join(
        f"{one.days} days: {one.churned:.0%} churned, {one.back:.0%} of such silences ended" for one in rhythm.horizons
    )
    gap = (
        f"the median gap between a customer's days in '{log.name}' is {rhythm.gap:.0f} days"
        if rhythm.gap == rhythm.gap
        else f"no customer is in '{log.name}' twice"
    )
    label = (
        f"a contract of '{contracts[0].name}' that ends" if contracts else f"nothing in '{log.name}' for the horizon"
    )
    return [
        f"label: churned means {label}; horizon = {_horizon(rhythm, contracts)} days. By silence in '{log.name}': {shares}",
        f"windows of {', '.join(map(str, rhythm.windows))} days: {gap}, and a shorter window would mostly be empty",
    ]


def _head(name: str, files: Sequence[str], notes: Sequence[str]) -> list[str]:
    comments = [f"# {DECIDE} {note}" for note in notes]
    return [
        f"# Described from {', '.join(files)} (docs/events.md). Read it once; lines with DECIDE need a person.",
        *comments,
        line("name", name),
    ]


def _tables(tables: Sequence[RecognizedTable]) -> list[str]:
    lines = []
    for one in tables:
        place = str(Path(one.source).expanduser().resolve())
        lines += [
            "",
            f"[tables.{one.name}]",
            f'source = [{{ kind = "file", {line("path", place)} }}]',
            line("id", one.id),
        ]
        lines += [line("time", one.time) if one.repeated or one.end else line("valid_from", one.time)]
        lines += [
            line(key, value) for key, value in (("known", one.known), ("end", one.end), ("format", one.format)) if value
        ]
        lines += [line("missing_values", one.missing_values)] if one.missing_values else []
        lines += [line("without_id", "leave out")] if one.nobody else []
        lines += [line("decimal", one.decimal)] if one.decimal != "." else []
        lines += ["", f"[tables.{one.name}.columns]"] if one.columns else []
        lines += [f"{_key(column)} = {_inline(keys)}" for column, keys in one.columns.items()]
    return lines


def _key(name: str) -> str:
    return (
        line(name, 0).partition(" = ")[0]
        if name.replace("_", "").isalnum() and name.isascii()
        else line("x", name).partition(" = ")[2]
    )


def _inline(keys: Mapping[str, Any]) -> str:
    return f"{{ {', '.join(line(key, value) for key, value in keys.items())} }}"


def _moments(rhythm: Rhythm, logs: Sequence[RecognizedTable], contracts: Sequence[RecognizedTable]) -> list[str]:
    start = rhythm.first + np.timedelta64(min(max(rhythm.windows), rhythm.span // 4), "D")
    month = start.astype("datetime64[M]") + 1
    step = "1 month" if rhythm.span > 4 * 30 + 2 * _horizon(rhythm, contracts) else "1 week"
    first = month.astype("datetime64[D]") if step == "1 month" else start
    who = (
        f'{{ table = "{contracts[0].name}", open = true }}'
        if contracts
        else f'{{ table = "{logs[0].name}", days = {min(2 * rhythm.horizon, 365)} }}'
    )
    label = (
        f'kind = "end"\ntable = "{contracts[0].name}"\ngrace = 14'
        if contracts
        else f'kind = "inactive"\ntable = "{logs[0].name}"'
    )
    return [
        "",
        "[snapshots]",
        f'every = "{step}"',
        f"first = {first}",
        f"population = {who}",
        f"horizon = {_horizon(rhythm, contracts)}",
        "",
        "[label]",
        label,
    ]


def _aggregates(tables: Sequence[RecognizedTable], rhythm: Rhythm) -> list[str]:
    lines: list[str] = []
    days = list(rhythm.windows)

    def add(name: str, table: RecognizedTable, what: str, column: str = "", windows: Sequence[int] = ()) -> None:
        lines.extend(["", f"[aggregates.{name}]", line("table", table.name), line("what", what)])
        lines.extend([line("column", column)] if column else [])
        lines.extend([line("days", list(windows))] if windows else [])

    for one in tables:
        kinds = {column: keys.get("type", "category") for column, keys in one.columns.items()}
        numbers = [column for column, kind in kinds.items() if kind != "category"][:NUMBERS]
        levels = [column for column, kind in kinds.items() if kind == "category"][:LEVELS]
        if not one.repeated:
            for column in (*numbers, *levels):
                add(_name(one, column), one, "last", column)
            add(_name(one, "age"), one, "days since first")
            continue
        add(_name(one, "count"), one, "count", windows=days)
        add(_name(one, "all"), one, "count")
        for what in ("days since last", "days since first", "mean gap", "gap spread"):
            add(_name(one, what), one, what)
        add(_name(one, "trend"), one, "trend", windows=days[-1:])
        for column in numbers:
            add(_name(one, f"{column}_sum"), one, "sum", column, days)
            add(_name(one, f"{column}_mean"), one, "mean", column)
        for column in levels:
            add(_name(one, f"{column}_kinds"), one, "distinct", column)
            add(_name(one, f"{column}_last"), one, "last", column)
    return lines


def _name(table: RecognizedTable, what: str) -> str:
    from churn.settings.dataset import file_name

    return f"{table.name}_{file_name(what)}"
