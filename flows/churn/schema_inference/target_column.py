"""Finds the column of an unknown file that says who churned, and its values that mean that the customer left."""

import csv
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from churn.errors import ChurnError
from churn.schema_inference.column_guess import DECIDE, Guess
from churn.schema_inference.type_inference import LISTED, MISSING
from churn.settings import commands
from churn.settings.description.spelling import fold

if TYPE_CHECKING:
    import pandas as pd

# Names of targets, clearest first, and words in values that mean that the customer left.
NAMES = (
    *("churn", "attrit", "exited", "cancel", "lapsed", "left", "kündig", "kuendig", "résili", "resili", "abwander"),
    *("target", "label", "outcome", "closed", "inactive"),
)
NAME = re.compile("|".join(NAMES), re.I)
LEFT = r"churn|attrit|exit|cancel|lapsed|left|lost|closed|gone|leav|inactive|abandon|kündig|kuendig|résili|resili"
POSITIVE = re.compile(rf"^(1(\.0+)?|y|yes|t|true|ja|oui|si|sí)[.,;]?$|{LEFT}", re.I)
NEGATIVE = re.compile(r"^(0|n|no|nein|f|false)\b|\bnot?\b|non|exist|(?<!in)active|stay|retain|current|loyal", re.I)
STAYS = re.compile(r"(?<!in)active|retain|stay|loyal|renew", re.I)  # in a column with such a name, yes means stayed
MOST_OUTCOMES = 10  # values, or spellings of them, that a column offered as the target may have
MOST_SPELLINGS = 100


@dataclass(frozen=True)
class Hints:
    """The user's hints: the file, the name of the data set, and possibly the target column.

    ``positive`` are the target's values that mean that the customer left, ``leave_out`` those whose rows are left out; each is
    one value or several, separated by commas.
    """

    source: str
    name: str
    target: str = ""
    positive: str = ""
    leave_out: str = ""

    def command(self, **more: str) -> str:
        """The command with these hints and ``more``."""
        variables = {"SOURCE": self.source, "NAME": self.name, "TARGET": self.target, **more}
        return commands.say("dataset", **variables)


def choose_target(guesses: dict[str, Guess], hints: Hints) -> str:
    """Choose the target column and give its guess the target's keys.

    Returns:
        The name of the column.

    Raises:
        ChurnError: The target is not clear; the message lists likely columns with their values, and commands that name one.
    """
    chosen = _named(guesses, hints) if hints.target else _likely(guesses, hints)
    guess = guesses[chosen]
    values = _outcomes(guess)
    left, out = (_values(text, values, chosen, hints) for text in (hints.positive, hints.leave_out))
    learned = values.drop(out)
    if len(learned) < 2 or (len(learned) > 2 and not left):
        raise ChurnError(_unclear(chosen, values, hints))
    if not left:
        likely = _left(learned)
        if STAYS.search(chosen) and not any(map(_leaves, learned.index)):
            likely = [value for value in learned.index if value not in likely]
        left = likely if len(likely) == 1 else [str(learned.index[-1])]  # the rarer one
    if set(left) & set(out) or not set(left) < set(learned.index):
        raise ChurnError(
            f"{hints.source}: column '{chosen}': {commands.option('positive')} and {commands.option('leave-out')} leave no value "
            f"for customers who stayed; it holds {_counted(values)}"
        )
    _describe(guess, learned, left, out, bool(hints.positive))
    return chosen


def _outcomes(guess: Guess) -> "pd.Series":
    """The levels, without words for 'missing'."""
    return guess.levels[[not _missing(level) for level in guess.levels.index]]


def _missing(level: str) -> bool:
    return fold(level) in map(fold, MISSING)


def _named(guesses: dict[str, Guess], hints: Hints) -> str:
    names = {fold(name): name for name in guesses}
    if hints.target in guesses or fold(hints.target) in names:
        chosen = hints.target if hints.target in guesses else names[fold(hints.target)]
        held = len(_outcomes(guesses[chosen]))
        if held < 2 or held > LISTED:
            raise ChurnError(
                f"{hints.source}: column '{chosen}' cannot be the target, which has two values: it holds {held} different "
                f"value{'s' * (held != 1)}"
            )
        return chosen
    near = difflib.get_close_matches(fold(hints.target), names, n=3)
    hint = (
        f"did you mean {' or '.join(repr(names[name]) for name in near)}?" if near else f"it has: {', '.join(guesses)}"
    )
    raise ChurnError(f"{hints.source}: there is no column '{hints.target}'; {hint}")


def _likely(guesses: dict[str, Guess], hints: Hints) -> str:
    held = {column: _outcomes(guess) for column, guess in guesses.items() if len(guess.counts) <= MOST_SPELLINGS}
    two = [column for column, values in held.items() if len(values) == 2]
    if named := [column for column in two if NAME.search(column)] or _by_values(guesses, two):
        return min(named, key=lambda column: _rank(column, held[column]))
    more = [column for column, values in held.items() if 2 < len(values) <= MOST_OUTCOMES]
    for column in more:
        if NAME.search(column) or any(map(_leaves, held[column].index)):
            raise ChurnError(_unclear(column, held[column], hints))
    one = [
        f"'{column}' holds {_counted(held[column])} only"
        for column in held
        if len(held[column]) == 1 and NAME.search(column)
    ]
    raise ChurnError(
        f"{hints.source}: cannot tell which column says who churned. Name one with {commands.option('target')}=...; "
        f"these have two values: {', '.join(two) or 'none'}"
        + (f"; these a few: {', '.join(more)}" if more else "")
        + "".join(f"; {said}" for said in one)
    )


def _rank(column: str, values: "pd.Series") -> tuple[int, bool, int]:
    """A sort key, lower for likelier targets: a clear name, values that show which means leaving, a short name."""
    word = next((i for i, word in enumerate(NAMES) if word in column.lower()), 0)
    return word, len(_left(values)) != 1, len(column)


def _left(values: "pd.Series") -> list[str]:
    """The values that seem to mean that the customer left."""
    return [value for value in values.index if POSITIVE.search(value) and not NEGATIVE.search(value)]


def _leaves(value: str) -> bool:
    return bool(re.search(LEFT, value, re.I)) and not NEGATIVE.search(value)


def _by_values(guesses: dict[str, Guess], two: list[str]) -> list[str]:
    """The only column with two values of which one clearly means that the customer left, such as 'active' and 'churned'."""
    telling = [column for column in two if sum(map(_leaves, _outcomes(guesses[column]).index)) == 1]
    return telling if len(telling) == 1 else []


def _values(text: str, values: "pd.Series", column: str, hints: Hints) -> list[str]:
    """The levels that the user named: one, or several separated by commas.

    Raises:
        ChurnError: The column has no such level.
    """
    levels = {fold(level): level for level in values.index}
    if not text or fold(text) in levels:
        return [levels[fold(text)]] if text else []
    words = next(csv.reader([text], skipinitialspace=True))
    if unknown := [word for word in words if fold(word) not in levels]:
        raise ChurnError(f"{hints.source}: column '{column}' holds no {unknown[0]!r}; it holds {_counted(values)}")
    return [levels[fold(word)] for word in words]


def _counted(values: "pd.Series") -> str:
    shown = [f"{level!r} ({count:,})" for level, count in values.head(MOST_OUTCOMES).items()]
    more = [f"{len(values) - MOST_OUTCOMES:,} more"] if len(values) > MOST_OUTCOMES else []
    return ", ".join(shown + more)


def _unclear(column: str, values: "pd.Series", hints: Hints) -> str:
    """The error for a column whose values only the user can interpret, with the commands to do so."""
    if len(values) < 2:
        return (
            f"{hints.source}: column '{column}' cannot be the target, which has two values: it holds {_counted(values)}"
        )
    left = [value for value in values.index if POSITIVE.search(value) and not NEGATIVE.search(value)] or [
        values.index[-1]
    ]
    others = [value for value in values.index if value not in left]
    ways = [f"{hints.command(TARGET=column, POSITIVE=_joined(left))}   # all others stayed"]
    if len(others) > 1:
        out = ([value for value in others if not NEGATIVE.search(value)] or others)[-1]
        command = hints.command(TARGET=column, POSITIVE=_joined(left), LEAVE_OUT=_joined([out]))
        ways.append(f"{command}   # rows of {out!r} are left out")
    why = "" if hints.target else " says who churned, as it seems, and"
    finding = f"column '{column}'{why} holds {len(values)} values: {_counted(values)}"
    return "\n  ".join(
        [f"{hints.source}: {finding}. Say which of them mean that the customer left, for example:", *ways]
    )


def _joined(values: Sequence[str]) -> str:
    return ",".join(f'"{value}"' if "," in value else value for value in values)


def _describe(guess: Guess, learned: "pd.Series", left: list[str], out: list[str], decided: bool) -> None:
    words = [text for text, level in guess.spellings.items() if _missing(level)]
    aliases = {text: level for text, level in guess.aliases().items() if level in learned.index}
    share, unlabelled = learned[left].sum() / learned.sum(), guess.rows - int(learned.sum())
    guess.keys = {
        "role": "target",
        "values": sorted(learned.index),
        "aliases": aliases,
        "positive": left[0] if len(left) == 1 else left,
        "leave_out": out,
        "missing_values": words,
    }
    rows = "rows with an outcome" if unlabelled else "rows"
    named, part = " or ".join(map(repr, left)), f"({share:.1%} of the {rows})"
    asking = f"{DECIDE} is this the target, and does {named} mean that the customer left {part}?"
    guess.notes = [f"as it was said, the customer left where it is {named} {part}" if decided else asking]
    if out:
        guess.notes.append(f"left out: {', '.join(f'{guess.levels[value]:,} rows of {value!r}' for value in out)}")
        unlabelled -= int(guess.levels[out].sum())
    if unlabelled:
        guess.notes.append(
            f"{unlabelled:,} rows ({unlabelled / guess.rows:.1%}) have no outcome: they are left out and counted"
        )
