"""A first description of an unknown file, for a person to correct: roles, types, ranges, allowed values, and notes."""

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from churn import cells, leakage
from churn.config import parse
from churn.dataset import Dataset
from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd

# The names of targets, the clearest first, and the words by which a value says that somebody left.
TARGETS = (
    *("churn", "attrit", "exited", "cancel", "lapsed", "left", "kündig", "kuendig", "résili", "resili", "abwander"),
    *("target", "label", "outcome", "closed", "inactive"),
)
TARGET = re.compile("|".join(TARGETS), re.I)
LEFT = r"churn|attrit|exit|cancel|lapsed|left|lost|closed|gone|leav|inactive|abandon|kündig|kuendig|résili|resili"
POSITIVE = re.compile(rf"^(1|y|yes|t|true|ja|oui|si|sí)$|{LEFT}", re.I)
NEGATIVE = re.compile(r"^(0|n|no|nein|f|false)\b|\bnot?\b|non|exist|(?<!in)active|stay|retain|current|loyal", re.I)
CUSTOMER = re.compile(r"customer|client|account|subscriber|member|user|phone|msisdn|policy", re.I)
MOMENT = re.compile(r"snapshot|observ|report|period|as.?of|timestamp|month|event|record", re.I)
LISTED = 30  # more levels than this are not written out: any value is allowed then
SMALL = 500  # fewer rows than this are said to be few
DECIDE = "DECIDE:"


@dataclass
class Guess:
    """One column as it seems to be; ``keys`` become the lines of its table, ``notes`` comments above it."""

    counts: "pd.Series"  # distinct values (text), most frequent first
    rows: int
    keys: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def unique(self) -> bool:
        return len(self.counts) == self.rows


@dataclass(frozen=True)
class Description:
    """The text of config/datasets/NAME.toml, the data set it reads as, and what a person has to decide."""

    text: str
    dataset: Dataset
    decisions: tuple[str, ...]


def describe(frame: "pd.DataFrame", name: str, source: str, target: str = "") -> Description:
    """Describe ``frame`` (as ``sources.read`` gives it). Raises ChurnError if no column can be the target."""
    guesses = {str(column): Guess(cells.counted(frame[column]), len(frame)) for column in frame.columns}
    tokens = sorted({t for g in guesses.values() for t in cells.missing_words(g.counts)})
    for guess in guesses.values():
        guess.counts = guess.counts.drop(tokens, errors="ignore")
    decimal = "," if any(cells.commas(guess.counts) for guess in guesses.values()) else "."
    for column, guess in guesses.items():
        if decimal == "," and cells.commas(guess.counts):
            guess.counts.index = guess.counts.index.str.replace(",", ".")
        _guess_type(column, guess)
    chosen = _choose_target(guesses, target, source)
    _choose_id({column: g for column, g in guesses.items() if column != chosen})
    _choose_time(guesses)
    _set_suspects_aside(frame, guesses, chosen, tokens, decimal)
    text = _toml(name, source, guesses, tokens, decimal)
    notes = tuple(f"{c}: {n.removeprefix(DECIDE).strip()}" for c, g in guesses.items() for n in g.notes if DECIDE in n)
    return Description(text, parse(Dataset, text, f"config/datasets/{name}.toml"), notes)


def _guess_type(column: str, guess: Guess) -> None:
    distinct, present = len(guess.counts), int(guess.counts.sum())
    numbers = cells.numbers(guess.counts)
    missing = guess.rows - present
    if distinct < 2:
        guess.keys |= {"role": "ignore", "type": "text"}
        guess.notes.append("always the same value" if distinct else "always empty")
        return
    if numbers is not None:
        whole = bool((numbers % 1 == 0).all())
        low, high = _roomy(float(numbers.min()), float(numbers.max()))
        guess.keys |= {"type": "integer" if whole else "number", "min": low, "max": high}
        guess.notes.append(f"seen: {numbers.min():g} to {numbers.max():g}")
    elif cells.timestamps(guess.counts):
        guess.keys |= {"role": "ignore", "type": "timestamp"}
        guess.notes.append(f"seen: {guess.counts.index.min()} to {guess.counts.index.max()}")
    elif distinct > LISTED and (said := cells.dressed(guess.counts)):
        guess.keys |= {"role": "ignore", "type": "text"}
        guess.notes.append(f"{DECIDE} {said}; until then it is left out")
    elif distinct > max(LISTED, present / 2):
        guess.keys |= {"role": "ignore", "type": "text"}
        guess.notes.append(f"{distinct:,} different values in {present:,} rows: no model can learn from them")
    else:
        guess.keys["type"] = "category"
        if distinct <= LISTED:
            guess.keys["values"] = sorted(guess.counts.index)
        else:
            guess.notes.append(f"{distinct:,} levels, so any value is allowed; list 'values' to be strict")
    if missing:
        guess.keys["missing"] = True
        guess.notes.append(f"missing in {missing / guess.rows:.1%} of the rows")


def _roomy(low: float, high: float) -> tuple[float, float]:
    """A range with room for next month's customers: 0 or twice the extremes, rounded away from 0 to 1, 2 or 5 x 10^k."""
    if low >= 0 and high <= 1:
        return 0, 1
    return (0 if low >= 0 else -_round_up(-2 * low)), (_round_up(2 * high) if high > 0 else 0)


def _round_up(value: float) -> float:
    power = 10.0 ** np.floor(np.log10(value))
    found = next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))
    return int(found) if found >= 1 else float(f"{found:.3g}")


def _choose_target(guesses: dict[str, Guess], asked: str, source: str) -> str:
    two = [column for column, g in guesses.items() if len(g.counts) == 2]
    if asked and asked not in two:
        held = (
            f"it holds {len(guesses[asked].counts)} different values" if asked in guesses else "there is no such column"
        )
        raise ChurnError(f"{source}: column '{asked}' cannot be the target, which has two values: {held}")
    named = [column for column in two if TARGET.search(column)] or _by_values(guesses, two)
    if not two or not (asked or named):
        raise ChurnError(
            f"{source}: cannot tell which column says who churned. Name one with TARGET=...; "
            f"these have two values: {', '.join(two) or 'none'}"
        )
    chosen = asked or min(named, key=lambda c: next((i for i, word in enumerate(TARGETS) if word in c.lower()), 0))
    guess = guesses[chosen]
    values = sorted(guess.counts.index)
    likely = [v for v in values if POSITIVE.search(v) and not NEGATIVE.search(v)]
    positive = likely[0] if len(likely) == 1 else str(guess.counts.index[-1])
    share = guess.counts[positive] / guess.counts.sum()
    missing = {"missing": True} if guess.keys.get("missing") else {}
    guess.keys = {"role": "target", "values": values, "positive": positive}
    guess.notes = [
        f"{DECIDE} is this the target, and does {positive!r} mean that the customer left ({share:.1%} of the rows)?"
    ]
    if missing:
        guess.notes.append(
            f"{DECIDE} some rows do not say whether the customer left; they stop the run. Fill them in or drop them."
        )
    return chosen


def _leaves(value: str) -> bool:
    return bool(re.search(LEFT, value, re.I)) and not NEGATIVE.search(value)


def _by_values(guesses: dict[str, Guess], two: list[str]) -> list[str]:
    """The one column of two values of which one means that somebody left: 'active' and 'churned'."""
    found = [c for c in two if sum(_leaves(str(v)) for v in guesses[c].counts.index) == 1]
    return found if len(found) == 1 else []


def _choose_id(guesses: dict[str, Guess]) -> None:
    def rank(column: str) -> int:
        words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", column).lower())
        named = bool({"id", "key", "uuid", "guid"} & set(words)) or bool(re.search(r"(num|id)$", column, re.I))
        return 2 * named + bool(CUSTOMER.search(column)) if not {"row", "index", "unnamed"} & set(words) else 0

    able = [c for c, g in guesses.items() if g.unique and g.keys["type"] in ("integer", "text") and rank(c)]
    chosen = max(able, key=rank, default=None)
    for column, guess in guesses.items():
        if column == chosen:
            guess.keys = {"role": "id", "type": guess.keys["type"]}
            guess.notes = [f"{DECIDE} does it name the customer? It is unique, and never given to the model."]
        elif column in able or (guess.unique and _row_number(guess)):
            guess.keys |= {"role": "ignore"}
            guess.notes.append("different in every row: a number of the row or a second name of the customer")
        elif re.search(r"(^|[^a-z])id$|ID$", column) and guess.keys.get("role") != "ignore":
            guess.notes.append(
                f'{DECIDE} named like an id but repeated; if it only numbers things, set role = "ignore"'
            )


def _row_number(guess: Guess) -> bool:
    numbers = cells.numbers(guess.counts)
    return numbers is not None and bool(np.ptp(numbers) == guess.rows - 1) and bool((numbers % 1 == 0).all())


def _choose_time(guesses: dict[str, Guess]) -> None:
    stamps = [c for c, g in guesses.items() if g.keys["type" if "type" in g.keys else "role"] == "timestamp"]
    chosen = next((c for c in stamps if MOMENT.search(c)), None)
    for column in stamps:
        guess = guesses[column]
        if column == chosen and not guess.keys.get("missing"):
            guess.keys["role"] = "time"
            guess.notes.append(f'{DECIDE} is it the moment the row describes? The latest rows become the holdout; '
                               'role = "ignore" splits by chance.')  # fmt: skip
        else:
            guess.notes.append(
                'role = "time" if it is the moment the row describes: the latest rows become the holdout'
            )


def _set_suspects_aside(
    frame: "pd.DataFrame", guesses: dict[str, Guess], target: str, tokens: list[str], decimal: str
) -> None:
    import pandas as pd
    from churn.conform import as_text

    churned = (as_text(frame[target]) == guesses[target].keys["positive"]).to_numpy()
    for column, guess in guesses.items():
        if guess.keys.get("role", "feature") != "feature":
            continue
        values = as_text(frame[column])
        values = values.mask(values.isin(tokens))
        if guess.keys["type"] in ("integer", "number"):
            values = pd.to_numeric(values.astype("str").str.replace(decimal, "."), errors="coerce")
        if (found := leakage.separation(values, churned)) > leakage.SUSPECT:
            guess.keys["role"] = "ignore"
            guess.notes.append(
                f"{DECIDE} alone it tells who left (ROC-AUC {found:.3f}): probably filled in afterwards, so it is left out. "
                "Remove the role if it is known beforehand."
            )


def _toml(name: str, source: str, guesses: dict[str, Guess], tokens: list[str], decimal: str) -> str:
    lines = [
        f"# Described by `make dataset` from {source} ({next(iter(guesses.values())).rows:,} rows). Read it once;",
        f"# lines with {DECIDE.removesuffix(':')} need a person.",
        "# Roles: feature (the default), id, target, time, ignore. Types: integer, number, category (the default),",
        "# text, timestamp.",
        f"name = {_value(name)}",
        *([f"missing_values = {_value(tokens)}   # texts that mean an empty cell"] if tokens else []),
        *([f"decimal = {_value(decimal)}   # numbers are written with a comma"] if decimal == "," else []),
    ]
    for column, guess in guesses.items():
        lines += ["", f"[columns.{_key(column)}]", *(f"# {note}" for note in guess.notes)]
        keys = sorted(guess.keys, key=("role", "type", "min", "max", "values", "positive", "missing").index)
        lines += [f"{key} = {_value(guess.keys[key])}" for key in keys if guess.keys[key] != "category"]
    few = ["# ece = 0.2   # a few dozen rows in the holdout: their calibration error is mostly chance"]
    lines += [
        "",
        "# The least a model must reach on the holdout, besides [gate] of config/train.toml:",
        "# [gate]",
        "# roc_auc = 0.7",
        *(few if next(iter(guesses.values())).rows < SMALL else []),
        "",
        "# Derived features: expressions over the columns above; see config/datasets/telco.toml for the language.",
        "# [features.ratio]",
        "# expression = \"col('first column') / max(col('second column'), 1)\"",
    ]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    # A JSON string is a TOML string, save for DEL and for the escapes of characters beyond the basic plane.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
