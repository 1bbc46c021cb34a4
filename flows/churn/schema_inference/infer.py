"""Drafts the description of an unknown file for the user to correct: roles, types, ranges, allowed values, and notes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from churn.data import casting
from churn.errors import ChurnError
from churn.files.header_lines import header_lines
from churn.schema_inference import column_guess, roles, target_column, type_inference
from churn.schema_inference.column_guess import DECIDE, Guess
from churn.schema_inference.target_column import Hints
from churn.settings.core import parse
from churn.settings.dataset import Dataset
from churn.validation import exclusions, toml_text

if TYPE_CHECKING:
    import pandas as pd

SMALL = 500  # rows below which the draft suggests a looser gate
KEYS = ("role", "type", "format", "unit", "decimal", "thousands", "negative", "min", "max", "values", "aliases", "positive",
        "leave_out", "missing", "missing_values")  # fmt: skip


@dataclass(frozen=True)
class Description:
    """The text of config/datasets/NAME.toml and the data set it defines.

    ``decisions`` are the questions for the user, ``left_out`` the kinds of rows left out, with counts, ``aside`` the columns left
    out without a question, with the reason.
    """

    text: str
    dataset: Dataset
    decisions: tuple[str, ...]
    left_out: tuple[str, ...]
    aside: tuple[str, ...]


def describe(
    frame: "pd.DataFrame", name: str, source: str, target: str = "", positive: str = "", leave_out: str = ""
) -> Description:
    """Describe ``frame`` (as ``sources.read`` returns it); the other arguments are the user's (see ``target_column.Hints``).

    Raises:
        ChurnError: No column can be the target, or no feature is left.
    """
    hints = Hints(source, name, target, positive, leave_out)
    rows = frame[~header_lines(frame)].reset_index(drop=True)
    guesses, decimal, tokens = guess_columns(rows)
    chosen = target_column.choose_target(guesses, hints)
    others = {column: guess for column, guess in guesses.items() if column != chosen}
    roles.choose_id(others)
    roles.choose_time(others, chosen)
    roles.choose_returning_id(rows, others)
    if not any(guess.keys.get("role", "feature") == "feature" for guess in others.values()):
        reasons = [f"  {column}: {note}" for column, guess in others.items() for note in guess.notes[:1]]
        what = "no column is left that a model could learn from; give the file more columns, or change these:"
        raise ChurnError("\n".join([f"{hints.source}: {what if reasons else what.split(',')[0]}", *reasons]))
    draft = _dataset(_toml(hints, guesses, decimal, tokens), hints)
    kept = exclusions.exclude(frame, draft)
    exclusions.require_rows(len(kept.frame), len(frame), draft)
    typed = casting.cast(kept.frame, draft)[0]
    roles.set_suspects_aside(typed, (typed[chosen] == draft.positive).to_numpy(), others, chosen)
    text = _toml(hints, guesses, decimal, tokens)
    notes = tuple(f"{c}: {n.removeprefix(DECIDE).strip()}" for c, g in guesses.items() for n in g.notes if DECIDE in n)
    ignored = {c: g.notes for c, g in guesses.items() if g.keys.get("role") == "ignore"}
    aside = tuple(
        f"{c} ({'; '.join(reasons)})" for c, reasons in ignored.items() if not any(DECIDE in note for note in reasons)
    )
    return Description(text, _dataset(text, hints), notes, kept.left_out, aside)


def _dataset(text: str, hints: Hints) -> Dataset:
    return parse(Dataset, text, f"config/datasets/{hints.name}.toml")


def guess_columns(frame: "pd.DataFrame") -> tuple[dict[str, Guess], str, list[str]]:
    """A guess at each column, the decimal mark of the file, and its words for 'missing'."""
    counts = {str(column): type_inference.value_counts(frame[column]) for column in frame.columns}
    tokens = sorted({token for values in counts.values() for token in type_inference.missing_words(values)})
    counts = {column: values.drop(tokens, errors="ignore") for column, values in counts.items()}
    typed = {str(column) for column in frame.columns if frame[column].dtype.kind in "biuf"}  # already numbers
    read = {
        column: type_inference.infer_numbers(values, "." if column in typed else "")
        for column, values in counts.items()
    }
    marks = {
        type_inference.decimal_mark(values) for column, values in read.items() if values and column not in typed
    } - {""}
    unclear = {column for column, values in read.items() if values and not values.clear} if len(marks) == 1 else set()
    read |= {column: type_inference.infer_numbers(counts[column], *marks) for column in unclear}
    decimal = "," if "," in marks else "."
    guesses = {column: Guess(values, len(frame), read[column], column in unclear) for column, values in counts.items()}
    for values in guesses.values():
        column_guess.describe_column(values, decimal)
    return guesses, decimal, tokens


def _toml(hints: Hints, guesses: dict[str, Guess], decimal: str, tokens: list[str]) -> str:
    rows = next(iter(guesses.values())).rows
    open_columns = any(g.keys.get("type") == "category" and "values" not in g.keys for g in guesses.values())
    lines = [
        f"# Described from {hints.source} ({rows:,} rows). Read it once;",
        f"# lines with {DECIDE.removesuffix(':')} need a person.",
        "# Roles: feature (the default), id, target, time, ignore. Types: integer, number, category (the default),",
        "# text, timestamp.",
        toml_text.line("name", hints.name),
        *([f"{toml_text.line('missing_values', tokens)}   # texts that mean an empty cell"] if tokens else []),
        *([f"{toml_text.line('decimal', decimal)}   # numbers are written with a comma"] if decimal == "," else []),
        *(["fold_case = true   # without 'values' a level is its letters, written small: case and blanks do not matter"]
          if open_columns else []),
    ]  # fmt: skip
    for column, guess in guesses.items():
        lines += ["", toml_text.table_header(column), *(f"# {note}" for note in guess.notes)]
        lines += [
            toml_text.line(key, guess.keys[key])
            for key in KEYS
            if key in guess.keys and guess.keys[key] not in ({}, []) and (key, guess.keys[key]) != ("type", "category")
        ]
    few = ["# ece = 0.2   # a few dozen rows in the holdout: their calibration error is mostly chance"]
    lines += [
        "",
        "# The least a model must reach on the holdout, besides [gate] of config/train.toml:",
        "# [gate]",
        "# roc_auc = 0.7",
        *(few if rows < SMALL else []),
        "",
        "# Derived features: expressions over the columns above; see config/datasets/telco.toml for the language.",
        "# [features.ratio]",
        "# expression = \"col('first column') / max(col('second column'), 1)\"",
    ]
    return "\n".join(lines) + "\n"
