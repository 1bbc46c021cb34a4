"""The keys that the service's callers show: ``NAME:KEY``, comma-separated, in two variables of the environment.

CHURNFLOW_API_KEYS opens everything but /feedback, CHURNFLOW_FEEDBACK_KEYS opens /feedback. Where neither is set, or empty, no key
is asked for.
"""

import hmac
import os
import re

from churn.errors import ChurnError

PREDICT = "CHURNFLOW_API_KEYS"
FEEDBACK = "CHURNFLOW_FEEDBACK_KEYS"
Keys = dict[bytes, str]  # key: name of its holder
_NAME, _KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}"), re.compile(r"[!-~]+")


def read(variable: str) -> Keys:
    """The keys of ``variable`` with their holders' names; none if it is not set, or empty.

    A key without a name is named by its position, ``key-1``.

    Raises:
        ChurnError: An entry is empty, no name or no key, or there twice. Keys are not shown.
    """
    holders: Keys = {}
    entries = {PREDICT: os.environ.get(PREDICT, ""), FEEDBACK: os.environ.get(FEEDBACK, "")}[variable]
    for place, entry in enumerate(entries.split(",") if entries else (), 1):
        name, colon, key = entry.strip().partition(":")
        name, key = (name.strip(), key.strip()) if colon else (f"key-{place}", name)
        if not _NAME.fullmatch(name) or not _KEY.fullmatch(key):
            raise ChurnError(
                f"{variable}: entry {place} is no NAME:KEY; a name has letters, digits, '_', '.' and '-', a key no blanks. "
                "Unset it to ask for no key"
            )
        if name in holders.values() or key.encode() in holders:
            raise ChurnError(f"{variable}: the name or the key of entry {place} is there already")
        holders[key.encode()] = name
    return holders


def first() -> str:
    """A key that opens predictions, for requests of our own; "" where none is asked for."""
    return next(iter(read(PREDICT)), b"").decode()


def rights() -> dict[str, Keys]:
    """The keys of each right. Where predictions ask for one, feedback never goes without. Raises ChurnError as ``read`` does."""
    keys_of = {variable: read(variable) for variable in (PREDICT, FEEDBACK)}
    return {right: keys for right, keys in keys_of.items() if keys or keys_of[PREDICT]}


def holder(presented: bytes, keys: Keys) -> str | None:
    """The holder of this key, if it is one of ``keys``, in constant time."""
    names = [name for key, name in keys.items() if hmac.compare_digest(presented, key)]
    return names[0] if names else None
