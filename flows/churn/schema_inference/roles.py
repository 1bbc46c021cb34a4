"""Finds the columns of an unknown file that are not features: the id, the time, and what is known only afterwards."""

import re
from typing import TYPE_CHECKING

import numpy as np
from churn.data.formats import NumberFormat
from churn.schema_inference.column_guess import Guess
from churn.validation import leakage

if TYPE_CHECKING:
    import pandas as pd

MANY = 30  # repeated ids identify customers only if at least this many are distinct
CUSTOMER = re.compile(r"customer|client|account|subscriber|member|user|phone|msisdn|policy", re.I)
MOMENT = re.compile(r"snapshot|observ|report|period|as.?of|timestamp|month|event|record", re.I)


def choose_id(guesses: dict[str, Guess]) -> None:
    """Give the column that identifies the customer its role; ignore other columns with a distinct value in every row."""
    able = [c for c, g in guesses.items() if g.unique and g.keys["type"] in ("integer", "text") and _rank(c)]
    chosen = max(able, key=_rank, default=None)
    for column, guess in guesses.items():
        if column == chosen:
            _name_by(guess, "It is unique, and never given to the model.")
        elif column in able or (guess.unique and _row_number(guess)):
            guess.keys |= {"role": "ignore"}
            guess.notes.append("different in every row: a number of the row or a second name of the customer")
        elif re.search(r"(^|[^a-z])id$|ID$", column) and guess.keys.get("role") != "ignore":
            guess.ask(
                'named like an id but repeated; if it only numbers things, set role = "ignore"; if it names customers at several '
                'times, set role = "id", and role = "time" for the column with these times'
            )


def choose_returning_id(rows: "pd.DataFrame", guesses: dict[str, Guess]) -> None:
    """Give a repeated id its role: a column named like an id, with distinct values in all rows of the same time.

    Applies only if there is a time column and no column has a distinct value in every row.
    """
    taken = {guess.keys.get("role"): column for column, guess in guesses.items()}
    if "time" not in taken or "id" in taken:
        return
    named = [column for column, guess in guesses.items() if _rank(column) > 1 and len(guess.counts) > MANY]
    for column in sorted(named, key=_rank, reverse=True):
        complete = int(guesses[column].counts.sum()) == guesses[column].rows
        if complete and not rows.duplicated([column, taken["time"]]).any():
            note = f"It comes back, once at each {taken['time']}: its rows stay on one side, and it is never given to the model."
            _name_by(guesses[column], note)
            return


def _rank(column: str) -> int:
    """2 if the name is clearly that of an id, 1 if that of a customer, 0 if neither."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", column).lower())
    named = bool({"id", "key", "uuid", "guid"} & set(words)) or bool(re.search(r"(num|id)$", column, re.I))
    return 2 * named + bool(CUSTOMER.search(column)) if not {"row", "index", "unnamed"} & set(words) else 0


def _name_by(guess: Guess, why: str) -> None:
    plain = guess.numbers is not None and guess.numbers.format == NumberFormat() and guess.numbers.words.empty
    guess.keys, guess.notes = {"role": "id", "type": "integer" if plain else "text"}, []
    guess.ask(f"does it name the customer? {why}")


def _row_number(guess: Guess) -> bool:
    if guess.numbers is None or len(guess.numbers.words):
        return False
    values = guess.numbers.values
    return bool(np.ptp(values) == guess.rows - 1) and bool((values % 1 == 0).all())


def choose_time(guesses: dict[str, Guess], target: str) -> None:
    """Give the row's time its role, or ask whether a column of timestamps is the time."""
    stamps = [c for c, g in guesses.items() if g.keys.get("type") == "timestamp"]
    chosen = next((c for c in stamps if _observes(c, guesses[c], target)), None)
    for column in stamps:
        guess = guesses[column]
        if column == chosen:
            guess.keys["role"] = "time"
            guess.ask('is it the time the row describes? The latest rows become the holdout; role = "ignore" splits by '
                      "chance.")  # fmt: skip
        elif leakage.by_name(column, target):
            guess.notes.append("by its name it was filled in when the customer left")
        elif guess.keys.get("missing") or chosen:
            guess.notes.append(
                'role = "time" if it is the time the row describes, and never missing: the latest rows become the holdout'
            )
        else:
            guess.ask('is it the time the row describes? Then role = "time": the latest rows become the holdout.')


def _observes(column: str, guess: Guess, target: str) -> bool:
    return bool(MOMENT.search(column)) and not guess.keys.get("missing") and not leakage.by_name(column, target)


def set_suspects_aside(typed: "pd.DataFrame", churned: np.ndarray, guesses: dict[str, Guess], target: str) -> None:
    """Ignore, until the user decides, columns that were probably filled in when the customer left.

    They are recognised by name, or by how well each alone separates the outcomes (see ``leakage``). ``typed`` holds the n
    labelled rows, ``churned`` (bool, shape (n,)) their outcomes.
    """
    able = {column: guess for column, guess in guesses.items() if guess.keys.get("role", "feature") == "feature"}
    separations = {column: leakage.separation(typed[column], churned) for column in able}
    ahead = leakage.far_ahead(separations)
    for column, guess in able.items():
        if separations[column] > leakage.SUSPECT:
            why = f"alone it tells who left (ROC-AUC {separations[column]:.3f})"
        elif leakage.by_name(column, target):
            why = "by its name"
        elif column in ahead:
            why = f"alone it tells who left far better than any other column (ROC-AUC {separations[column]:.3f})"
        else:
            continue
        guess.keys["role"] = "ignore"
        guess.ask(
            f"{why}: probably filled in afterwards, so it is left out. Remove the role if it is known beforehand."
        )
