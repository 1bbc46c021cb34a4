"""How often the same customers have decided between champion and challenger: each look uses up some of their evidence.

A look is kept as a tag of the registered model, which every run on every machine sees, even where the gate was closed and
no version was registered: its number, how many rows it read, and a sketch of them - the SIZE smallest of their keys (bottom-k
sketch, Cohen & Kaplan 2007), which tells how many rows two looks share though neither's are stored.
"""

import json

import numpy as np
from churn.data import customer_keys
from churn.registry.tracking import client

TAG = "churnflow.look."
SIZE = 64
SAME = 0.5  # the share of the rows from which on an earlier look was at the same ones


def number(name: str, comparison: str, keys: np.ndarray) -> int:
    """Which look at the rows with these ``keys`` this is for the registered model ``name``, from 1 on.

    ``comparison`` names training and champion: the same one, in a step that is repeated, is the same look. Simultaneous looks
    count one another: each is stored before it counts.
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
    """The SIZE smallest of the keys, mixed, ascending, eight hexadecimal digits each."""
    values = np.unique((customer_keys.fractions(keys, 0) * 2**32).astype(np.int64))[:SIZE]
    return "".join(f"{value:08x}" for value in values.tolist())


def shared(sketch: str, before: str) -> float:
    """The share of this sketch's rows that are among those of the one ``before``; 1 if there is no telling."""
    now, then = ([int(text[i : i + 8], 16) for i in range(0, len(text), 8)] for text in (sketch, before))
    reach = then[-1] if len(then) == SIZE else 2**32  # beyond it, the other sketch says nothing
    comparable = [value for value in now if value <= reach]
    return sum(value in then for value in comparable) / len(comparable) if comparable else 1.0
