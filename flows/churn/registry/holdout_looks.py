"""Count how often the same customers have decided between champion and challenger: each look uses up evidence.

A look is stored as a tag of the registered model, visible to every run on every machine, even if the gate was closed and no
version was registered. The tag has the look's number, its number of rows, and a sketch of them: the SIZE smallest of their keys
(bottom-k sketch, Cohen & Kaplan 2007), which estimates how many rows two looks share without storing the rows.
"""

import json

import numpy as np
from churn.data import customer_keys
from churn.registry.tracking import client

TAG = "churnflow.look."
SIZE = 64
SAME = 0.5  # share of common rows from which an earlier look counts as one at the same rows


def number(name: str, comparison: str, keys: np.ndarray) -> int:
    """The number of this look, from 1, at the rows with these ``keys`` for the registered model ``name``.

    ``comparison`` identifies training and champion: repeating it in a retried step is the same look. Simultaneous looks count
    each other, since each is stored before it counts.
    """
    mlflow, tag = client(), TAG + comparison
    records = {key: json.loads(text) for key, text in _tags(name).items()}
    if records.get(tag, {}).get("look"):
        return int(records[tag]["look"])
    mine = sketch(keys)
    mlflow.set_registered_model_tag(name, tag, json.dumps({"rows": len(keys), "keys": mine}))
    others = [json.loads(text)["keys"] for key, text in _tags(name).items() if key != tag]
    look = 1 + sum(shared(mine, before) >= SAME for before in others)
    mlflow.set_registered_model_tag(name, tag, json.dumps({"look": look, "rows": len(keys), "keys": mine}))
    return look


def _tags(name: str) -> dict[str, str]:
    tags = client().get_registered_model(name).tags
    return {key: text for key, text in tags.items() if key.startswith(TAG)}


def sketch(keys: np.ndarray) -> str:
    """The SIZE smallest hashes of the keys, ascending, as eight hexadecimal digits each."""
    values = np.unique((customer_keys.fractions(keys, 0) * 2**32).astype(np.int64))[:SIZE]
    return "".join(f"{value:08x}" for value in values.tolist())


def shared(sketch: str, before: str) -> float:
    """The share of this sketch's rows that are also in the sketch ``before``; 1 if unknown."""
    now, then = ([int(text[i : i + 8], 16) for i in range(0, len(text), 8)] for text in (sketch, before))
    reach = then[-1] if len(then) == SIZE else 2**32  # the other sketch has no information beyond it
    comparable = [value for value in now if value <= reach]
    return sum(value in then for value in comparable) / len(comparable) if comparable else 1.0
