"""Which column of an unknown file says who churned, and which of its values mean that the customer left."""

import csv
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from churn.errors import ChurnError
from churn.schema_inference.cells import LISTED, MISSING
from churn.schema_inference.column_guess import DECIDE, Guess
from churn.settings import commands
from churn.settings.spelling import fold

if TYPE_CHECKING:
    import pandas as pd

# The names of targets, the clearest first, and the words by which a value says that somebody left.
NAMES = (
    *("churn", "attrit", "exited", "cancel", "lapsed", "left", "kündig", "kuendig", "résili", "resili", "abwander"),
    *("target", "label", "outcome", "closed", "inactive"),
)
NAME = re.compile("|".join(NAMES), re.I)
LEFT = r"churn|attrit|exit|cancel|lapsed|left|lost|closed|gone|leav|inactive|abandon|kündig|kuendig|résili|resili"
POSITIVE = re.compile(rf"^(1(\.0+)?|y|yes|t|true|ja|oui|si|sí)[.,;]?$|{LEFT}", re.I)
NEGATIVE = re.compile(r"^(0|n|no|nein|f|false)\b|\bnot?\b|non|exist|(?<!in)active|stay|retain|current|loyal", re.I)
STAYS = re.compile(r"(?<!in)active|retain|stay|loyal|renew", re.I)  # a name by which yes means that the customer stayed
MOST_OUTCOMES = 10  # more values than this are no outcome that somebody could sort by hand,
MOST_SPELLINGS = 100  # in how many spellings soever


@dataclass(frozen=True)
class Asked:
    """What the person said: the file and the name of the data set, the target's column, and its values that mean that the
    customer left, or whose rows are left out (each one value, or several with commas between them).
    """

    source: str
    name: str
    target: str = ""
    positive: str = ""
    leave_out: str = ""

    def command(self, **more: str) -> str:
        """The command that says more."""
        given = {"SOURCE": self.source, "NAME": self.name, "TARGET": self.target, **more}
        return commands.say("dataset", **given)


def choose(guesses: dict[str, Guess], asked: Asked) -> str:
    """The target's column; its guess is then that of the target.

    Raises ChurnError naming the likely columns with their values, and the commands that say which is meant.
    """
    chosen = _named(guesses, asked) if asked.target else _likely(guesses, asked)
    guess = guesses[chosen]
    values = _outcomes(guess)
    left, out = (_values(text, values, chosen, asked) for text in (asked.positive, asked.leave_out))
    learned = values.drop(out)
    if len(learned) < 2 or (len(learned) > 2 and not left):
        raise ChurnError(_unclear(chosen, values, asked))
    if not left:
        likely = _left(learned)
        if STAYS.search(chosen) and not any(map(_leaves, learned.index)):
            likely = [value for value in learned.index if value not in likely]
        left = likely if len(likely) == 1 else [str(learned.index[-1])]  # the rarer one
    if set(left) & set(out) or not set(left) < set(learned.index):
        raise ChurnError(
            f"{asked.source}: column '{chosen}': {commands.option('positive')} and {commands.option('leave-out')} leave no value "
            f"for customers who stayed; it holds {_counted(values)}"
        )
    _describe(guess, learned, left, out, bool(asked.positive))
    return chosen


def _outcomes(guess: Guess) -> "pd.Series":
    """The levels without words for 'missing'."""
    return guess.levels[[not _missing(level) for level in guess.levels.index]]


def _missing(level: str) -> bool:
    return fold(level) in map(fold, MISSING)


def _named(guesses: dict[str, Guess], asked: Asked) -> str:
    names = {fold(name): name for name in guesses}
    if asked.target in guesses or fold(asked.target) in names:
        chosen = asked.target if asked.target in guesses else names[fold(asked.target)]
        held = len(_outcomes(guesses[chosen]))
        if held < 2 or held > LISTED:
            raise ChurnError(
                f"{asked.source}: column '{chosen}' cannot be the target, which has two values: it holds {held} different "
                f"value{'s' * (held != 1)}"
            )
        return chosen
    near = difflib.get_close_matches(fold(asked.target), names, n=3)
    said = (
        f"did you mean {' or '.join(repr(names[name]) for name in near)}?" if near else f"it has: {', '.join(guesses)}"
    )
    raise ChurnError(f"{asked.source}: there is no column '{asked.target}'; {said}")


def _likely(guesses: dict[str, Guess], asked: Asked) -> str:
    held = {column: _outcomes(guess) for column, guess in guesses.items() if len(guess.counts) <= MOST_SPELLINGS}
    two = [column for column, values in held.items() if len(values) == 2]
    if named := [column for column in two if NAME.search(column)] or _by_values(guesses, two):
        return min(named, key=lambda column: _rank(column, held[column]))
    more = [column for column, values in held.items() if 2 < len(values) <= MOST_OUTCOMES]
    for column in more:
        if NAME.search(column) or any(map(_leaves, held[column].index)):
            raise ChurnError(_unclear(column, held[column], asked))
    one = [
        f"'{column}' holds {_counted(held[column])} only"
        for column in held
        if len(held[column]) == 1 and NAME.search(column)
    ]
    raise ChurnError(
        f"{asked.source}: cannot tell which column says who churned. Name one with {commands.option('target')}=...; "
        f"these have two values: {', '.join(two) or 'none'}"
        + (f"; these a few: {', '.join(more)}" if more else "")
        + "".join(f"; {said}" for said in one)
    )


def _rank(column: str, values: "pd.Series") -> tuple[int, bool, int]:
    """The lower, the likelier: the clearer name, values that say which of them means leaving, the shorter name."""
    word = next((i for i, word in enumerate(NAMES) if word in column.lower()), 0)
    return word, len(_left(values)) != 1, len(column)


def _left(values: "pd.Series") -> list[str]:
    """The values that seem to mean that the customer left."""
    return [value for value in values.index if POSITIVE.search(value) and not NEGATIVE.search(value)]


def _leaves(value: str) -> bool:
    return bool(re.search(LEFT, value, re.I)) and not NEGATIVE.search(value)


def _by_values(guesses: dict[str, Guess], two: list[str]) -> list[str]:
    """The one column of two values of which one means that somebody left: 'active' and 'churned'."""
    found = [column for column in two if sum(map(_leaves, _outcomes(guesses[column]).index)) == 1]
    return found if len(found) == 1 else []


def _values(text: str, values: "pd.Series", column: str, asked: Asked) -> list[str]:
    """The levels that a person named: one, or several with commas between them. Raises ChurnError for an unknown one."""
    levels = {fold(level): level for level in values.index}
    if not text or fold(text) in levels:
        return [levels[fold(text)]] if text else []
    found = next(csv.reader([text], skipinitialspace=True))
    if unknown := [word for word in found if fold(word) not in levels]:
        raise ChurnError(f"{asked.source}: column '{column}' holds no {unknown[0]!r}; it holds {_counted(values)}")
    return [levels[fold(word)] for word in found]


def _counted(values: "pd.Series") -> str:
    shown = [f"{level!r} ({count:,})" for level, count in values.head(MOST_OUTCOMES).items()]
    more = [f"{len(values) - MOST_OUTCOMES:,} more"] if len(values) > MOST_OUTCOMES else []
    return ", ".join(shown + more)


def _unclear(column: str, values: "pd.Series", asked: Asked) -> str:
    """That a column of several values needs a person, with the commands that say what they mean."""
    if len(values) < 2:
        return (
            f"{asked.source}: column '{column}' cannot be the target, which has two values: it holds {_counted(values)}"
        )
    left = [value for value in values.index if POSITIVE.search(value) and not NEGATIVE.search(value)] or [
        values.index[-1]
    ]
    others = [value for value in values.index if value not in left]
    ways = [f"{asked.command(TARGET=column, POSITIVE=_joined(left))}   # all others stayed"]
    if len(others) > 1:
        out = ([value for value in others if not NEGATIVE.search(value)] or others)[-1]
        command = asked.command(TARGET=column, POSITIVE=_joined(left), LEAVE_OUT=_joined([out]))
        ways.append(f"{command}   # rows of {out!r} are left out")
    why = "" if asked.target else " says who churned, as it seems, and"
    said = f"column '{column}'{why} holds {len(values)} values: {_counted(values)}"
    return "\n  ".join([f"{asked.source}: {said}. Say which of them mean that the customer left, for example:", *ways])


def _joined(values: Sequence[str]) -> str:
    return ",".join(f'"{value}"' if "," in value else value for value in values)


def _describe(guess: Guess, learned: "pd.Series", left: list[str], out: list[str], said: bool) -> None:
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
    guess.notes = [f"as it was said, the customer left where it is {named} {part}" if said else asking]
    if out:
        guess.notes.append(f"left out: {', '.join(f'{guess.levels[value]:,} rows of {value!r}' for value in out)}")
        unlabelled -= int(guess.levels[out].sum())
    if unlabelled:
        guess.notes.append(
            f"{unlabelled:,} rows ({unlabelled / guess.rows:.1%}) have no outcome: they are left out and counted"
        )
