"""A first description of an unknown file, for a person to correct: roles, types, ranges, allowed values, and notes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from churn.data import casting
from churn.data.header_lines import header_lines
from churn.errors import ChurnError
from churn.schema_inference import cells, column_guess, roles, target_column
from churn.schema_inference.column_guess import DECIDE, Guess
from churn.schema_inference.target_column import Asked
from churn.settings.core import parse
from churn.settings.dataset import Dataset
from churn.validation import exclusions, toml_text

if TYPE_CHECKING:
    import pandas as pd

SMALL = 500  # fewer rows than this are said to be few
KEYS = ("role", "type", "format", "unit", "decimal", "thousands", "negative", "min", "max", "values", "aliases", "positive",
        "leave_out", "missing", "missing_values")  # fmt: skip


@dataclass(frozen=True)
class Description:
    """The text of config/datasets/NAME.toml, the data set it reads as, what a person has to decide, and the rows left out;
    ``aside`` are the columns left out about which nothing is asked, with the reason.
    """

    text: str
    dataset: Dataset
    decisions: tuple[str, ...]
    left_out: tuple[str, ...]
    aside: tuple[str, ...]


def describe(
    frame: "pd.DataFrame", name: str, source: str, target: str = "", positive: str = "", leave_out: str = ""
) -> Description:
    """Describe ``frame`` (as ``sources.read`` gives it). ``target``, ``positive`` and ``leave_out`` are what a person said
    (see ``outcome.Asked``). Raises ChurnError if no column can be the target.
    """
    asked = Asked(source, name, target, positive, leave_out)
    rows = frame[~header_lines(frame)].reset_index(drop=True)
    guesses, decimal, tokens = _guesses(rows)
    chosen = target_column.choose(guesses, asked)
    others = {column: found for column, found in guesses.items() if column != chosen}
    roles.choose_id(others)
    roles.choose_time(others, chosen)
    roles.choose_returning_id(rows, others)
    if not any(found.keys.get("role", "feature") == "feature" for found in others.values()):
        said = [f"  {column}: {note}" for column, found in others.items() for note in found.notes[:1]]
        what = "no column is left that a model could learn from; give the file more columns, or change these:"
        raise ChurnError("\n".join([f"{asked.source}: {what if said else what.split(',')[0]}", *said]))
    draft = _dataset(_toml(asked, guesses, decimal, tokens), asked)
    kept = exclusions.exclude(frame, draft)
    typed = casting.cast(kept.frame, draft)[0]
    roles.set_suspects_aside(typed, (typed[chosen] == draft.positive).to_numpy(), others, chosen)
    text = _toml(asked, guesses, decimal, tokens)
    notes = tuple(f"{c}: {n.removeprefix(DECIDE).strip()}" for c, g in guesses.items() for n in g.notes if DECIDE in n)
    ignored = {c: g.notes for c, g in guesses.items() if g.keys.get("role") == "ignore"}
    aside = tuple(f"{c} ({'; '.join(said)})" for c, said in ignored.items() if not any(DECIDE in note for note in said))
    return Description(text, _dataset(text, asked), notes, kept.left_out, aside)


def _dataset(text: str, asked: Asked) -> Dataset:
    return parse(Dataset, text, f"config/datasets/{asked.name}.toml")


def _guesses(frame: "pd.DataFrame") -> tuple[dict[str, Guess], str, list[str]]:
    """What each column seems to be, the decimal mark of the file, and its words for 'missing'."""
    counts = {str(column): cells.counted(frame[column]) for column in frame.columns}
    tokens = sorted({token for found in counts.values() for token in cells.missing_words(found)})
    counts = {column: found.drop(tokens, errors="ignore") for column, found in counts.items()}
    typed = {str(column) for column in frame.columns if frame[column].dtype.kind in "biuf"}  # no text: numbers for sure
    read = {column: cells.numbers(found, "." if column in typed else "") for column, found in counts.items()}
    marks = {cells.mark(found) for column, found in read.items() if found and column not in typed} - {""}
    unclear = {column for column, found in read.items() if found and not found.clear} if len(marks) == 1 else set()
    read |= {column: cells.numbers(counts[column], *marks) for column in unclear}
    decimal = "," if "," in marks else "."
    guesses = {column: Guess(found, len(frame), read[column], column in unclear) for column, found in counts.items()}
    for found in guesses.values():
        column_guess.describe(found, decimal)
    return guesses, decimal, tokens


def _toml(asked: Asked, guesses: dict[str, Guess], decimal: str, tokens: list[str]) -> str:
    rows = next(iter(guesses.values())).rows
    open_columns = any(g.keys.get("type") == "category" and "values" not in g.keys for g in guesses.values())
    lines = [
        f"# Described from {asked.source} ({rows:,} rows). Read it once;",
        f"# lines with {DECIDE.removesuffix(':')} need a person.",
        "# Roles: feature (the default), id, target, time, ignore. Types: integer, number, category (the default),",
        "# text, timestamp.",
        toml_text.line("name", asked.name),
        *([f"{toml_text.line('missing_values', tokens)}   # texts that mean an empty cell"] if tokens else []),
        *([f"{toml_text.line('decimal', decimal)}   # numbers are written with a comma"] if decimal == "," else []),
        *(["fold_case = true   # without 'values' a level is its letters, written small: case and blanks do not matter"]
          if open_columns else []),
    ]  # fmt: skip
    for column, found in guesses.items():
        lines += ["", toml_text.table(column), *(f"# {note}" for note in found.notes)]
        lines += [
            toml_text.line(key, found.keys[key])
            for key in KEYS
            if key in found.keys and found.keys[key] not in ({}, []) and (key, found.keys[key]) != ("type", "category")
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
