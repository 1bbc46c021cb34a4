"""A guess at one column of an unknown file: the keys of its description, and notes for the user."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.data.formats import NumberFormat, has_digit
from churn.schema_inference import type_inference
from churn.schema_inference.type_inference import LISTED, Interpretation
from churn.validation.toml_text import line

if TYPE_CHECKING:
    import pandas as pd

DECIDE = "DECIDE:"
LIKELY = range(1900, 2200)  # plausible years
SCIENTIFIC = re.compile(r"\d+e\d+", re.I)  # 12E3: a number, or a code
MOST_NAMED = 3  # words or values in one note


@dataclass
class Guess:
    """A guess at one column; ``keys`` become the lines of its table, ``notes`` the comments above them."""

    counts: "pd.Series"  # distinct values (text) with their frequencies, most frequent first
    rows: int
    numbers: Interpretation[NumberFormat] | None
    by_file: bool = False  # the numbers are ambiguous; the other columns' decimal mark decided
    keys: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def unique(self) -> bool:
        """Whether every row has a value of its own."""
        return len(self.counts) == self.rows

    @cached_property
    def spellings(self) -> dict[str, str]:
        """The level of each value."""
        return type_inference.spellings(self.counts)

    @cached_property
    def levels(self) -> "pd.Series":
        """The frequency of each level, most frequent first."""
        return (
            self.counts.groupby(self.counts.index.map(self.spellings)).sum().sort_values(ascending=False, kind="stable")
        )

    def aliases(self) -> dict[str, str]:
        """The level of each spelling that differs from its level."""
        return {text: level for text, level in sorted(self.spellings.items()) if text != level}

    def ask(self, question: str) -> None:
        """Add a question for the user to decide."""
        self.notes.append(f"{DECIDE} {question}")

    def set_aside(self, kind: str, note: str) -> None:
        """Ignore the column, described as type ``kind``, until the user changes its description."""
        self.keys |= {"role": "ignore", "type": kind}
        self.notes.append(note)


def describe_column(guess: Guess, decimal: str) -> None:
    """Fill in the keys and notes of ``guess``; ``decimal`` is the decimal mark of the data set."""
    missing = guess.rows - int(guess.counts.sum())
    if len(guess.counts) < 2:
        guess.set_aside("text", "always the same value" if len(guess.counts) else "always empty")
        return
    if guess.numbers is not None and (dates := type_inference.packed_dates(guess.counts, guess.numbers)) is not None:
        _describe_timestamps(guess, dates)
    elif guess.numbers is not None:
        _describe_numbers(guess, guess.numbers, decimal)
    elif (timestamps := type_inference.infer_timestamps(guess.counts)) is not None:
        _describe_timestamps(guess, timestamps)
    elif kind := type_inference.mixed_formats(guess.counts):
        plain = "2026-11-23" if kind == "dates" else "1234.5"
        question = (
            f"{DECIDE} {kind} like {guess.counts.index[0]!r}, but not all in one format or unit: export them as {plain}"
        )
        guess.set_aside("text", f"{question} to learn from them; until then it is left out")
    else:
        _describe_levels(guess)
    if missing:
        guess.keys["missing"] = True
        guess.notes.append(f"missing in {missing / guess.rows:.1%} of the rows")


def _describe_levels(guess: Guess) -> None:
    distinct, present = len(guess.levels), int(guess.counts.sum())
    if distinct == 1:
        guess.set_aside("text", "always the same value")
        return
    if distinct > max(LISTED, present / 2):
        guess.set_aside("text", f"{distinct:,} different values in {present:,} rows: no model can learn from them")
        return
    guess.keys["type"] = "category"
    if distinct <= LISTED:
        guess.keys |= {"values": sorted(guess.levels.index), "aliases": guess.aliases()}
    else:
        guess.notes.append(f"{distinct:,} levels, so any value is allowed; list 'values' to be strict")


def _describe_numbers(guess: Guess, inferred: Interpretation[NumberFormat], decimal: str) -> None:
    units = [unit for unit in inferred.format.units if unit]
    if not inferred.clear:
        guess.set_aside("text", f"{DECIDE} {_which(inferred, decimal)}")
        return
    if not all(type_inference.same_unit(unit, units[0]) for unit in units) or (
        "%" in units and "" in inferred.format.units
    ):
        mixed = " and ".join(repr(_with_unit(inferred, unit)) for unit in inferred.format.units[:MOST_NAMED])
        guess.set_aside("text", f"{DECIDE} {mixed} in one column: export it in one unit; until then it is left out")
        return
    values = inferred.values
    if unit := type_inference.epoch_unit(values):
        moment = _moment(values.iloc[0] / type_inference.EPOCH[unit])
        question = f"are these {unit} since 1970 ({values.index[0]} is {moment})? Then export them as dates; if not,"
        guess.set_aside("integer", f"{DECIDE} {question} remove role; until then it is left out")
        return
    low, high = _roomy(float(values.min()), float(values.max()))
    guess.keys |= {"type": _kind(values), "min": low, "max": high, **format_keys(inferred.format, values, decimal)}
    guess.notes.append(f"seen: {values.min():g} to {values.max():g}")
    scientific = [text for text in values.index if SCIENTIFIC.fullmatch(text)]
    if scientific:
        guess.ask(
            f"is {scientific[0]!r} {values[scientific[0]]:.15g}, or a code? It is read as the number; a code is a category."
        )
    if guess.by_file or any(key in guess.keys for key in ("unit", "thousands", "negative")):
        text = max(values.index, key=len)
        why = f", as the decimal mark of other columns is {inferred.format.decimal!r}" if guess.by_file else ""
        guess.ask(f"is {text!r} {values[text]:.15g}? It is read so{why}.")
    if unknown := type_inference.sentinels(guess.counts, values):
        share = guess.counts[unknown].sum() / guess.rows
        way = f"add here: {line('missing_values', unknown)} and missing = true"
        guess.ask(f"does {' or '.join(unknown)} ({share:.1%} of the rows) mean that nothing is known? Then {way}.")
    if len(inferred.words):
        _ask_about_words(guess, inferred)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _ask_about_words(guess: Guess, inferred: Interpretation[NumberFormat]) -> None:
    words = list(inferred.words.index)
    named = ", ".join(map(repr, words[:MOST_NAMED])) + (
        f" and {len(words) - MOST_NAMED} more" if words[MOST_NAMED:] else ""
    )
    share = inferred.words.sum() / guess.rows
    levels = "; or remove type, min and max, if they are levels" if len(inferred.values) <= LISTED else ""
    way = (
        "correct them in the file"
        if any(map(has_digit, words))
        else "if that means that nothing is known, add here: " + line("missing_values", words)
    )
    guess.ask(f"{named} ({share:.1%} of the rows) among numbers: {way}{levels}. Until then the run stops.")
    guess.keys["missing"] = True


def _which(inferred: Interpretation[NumberFormat], decimal: str) -> str:
    """The question which format is meant, with the keys that select each."""
    text = next(t for t in inferred.values.index if len({form.read(t) for form in inferred.formats}) > 1)
    ways = []
    for form in inferred.formats:
        values = inferred.values.index.to_series().map(form.read)
        keys = {"type": _kind(values), **format_keys(form, values, decimal)}
        value = form.read(text)
        meaning = "no number" if value is None else f"{value:.15g}"
        ways.append(f"{meaning} ({', '.join(line(*item) for item in keys.items())})")
    return f"is {text!r} {' or '.join(ways)}? Until these keys stand in the place of role and type, it is left out."


def format_keys(form: NumberFormat, values: "pd.Series", decimal: str) -> dict[str, Any]:
    """The keys that describe ``form`` in a data set with the given ``decimal`` mark."""
    keys: dict[str, Any] = {}
    if form.decimal != decimal and (form.thousands == decimal or any(form.decimal in text for text in values.index)):
        keys["decimal"] = form.decimal
    if form.thousands:
        keys["thousands"] = form.thousands
    if form.units != ("",):
        keys["unit"] = form.units[0] if len(form.units) == 1 else list(form.units)
    if form.negative != "minus":
        keys["negative"] = form.negative
    return keys


def _with_unit(inferred: Interpretation[NumberFormat], unit: str) -> str:
    form = NumberFormat(inferred.format.decimal, inferred.format.thousands, (unit,), inferred.format.negative)
    return next(text for text in inferred.values.index if form.read(text) is not None)


def _kind(values: "pd.Series") -> str:
    return "integer" if bool((values % 1 == 0).all()) else "number"


def _describe_timestamps(guess: Guess, inferred: Interpretation[str | None]) -> None:
    if not inferred.clear:
        text = next(t for t in inferred.values.index if len({_timestamp(t, form) for form in inferred.formats}) > 1)
        ways = " or ".join(f"{_timestamp(text, form)} ({line('format', form)})" for form in inferred.formats)
        question = f'is {text!r} {ways}? Set type = "timestamp" and that format; until then it is left out.'
        guess.set_aside("text", f"{DECIDE} {question}")
        return
    guess.set_aside("timestamp", f"seen: {inferred.values.min()} to {inferred.values.max()}")
    if inferred.format is not None:
        guess.keys["format"] = inferred.format
        text = next(iter(inferred.values.index))
        guess.ask(f"is {text!r} {_timestamp(text, inferred.format)}? It is read so.")
    if far := [text for text, moment in inferred.values.items() if moment.year not in LIKELY]:
        way = f"Then add here: {line('missing_values', far[:MOST_NAMED])} and missing = true"
        guess.ask(f"does {' or '.join(map(repr, far[:MOST_NAMED]))} mean that no date is known? {way}.")
    if len(inferred.words):
        guess.notes.append(f"not timestamps: {', '.join(map(repr, inferred.words.index[:MOST_NAMED]))}")
        guess.keys["missing"] = True


def _timestamp(text: str, form: str | None) -> str:
    import pandas as pd
    from churn.data.formats import parse_timestamps

    return str(parse_timestamps(pd.Series([text], dtype="str"), form)[0]).removesuffix(" 00:00:00")


def _roomy(low: float, high: float) -> tuple[float, float]:
    """A range with headroom for future customers: 0 or twice the extremes, rounded away from 0 to 1, 2 or 5 x 10^k."""
    if low >= 0 and high <= 1:
        return 0, 1
    return (0 if low >= 0 else -_round_up(-2 * low)), (_round_up(2 * high) if high > 0 else 0)


def _round_up(value: float) -> float:
    power = 10.0 ** np.floor(np.log10(value))
    rounded = next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))
    return int(rounded) if rounded >= 1 else float(f"{rounded:.3g}")
