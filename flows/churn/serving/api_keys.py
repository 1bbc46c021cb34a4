"""API keys of the service's callers: ``NAME:KEY``, comma-separated, in two environment variables.

CHURNFLOW_API_KEYS opens everything except /feedback, CHURNFLOW_FEEDBACK_KEYS opens /feedback. If both are unset or empty, no
key is required.
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
    """The keys in ``variable`` with their holders' names; none if it is unset or empty.

    A key without a name is named after its position: ``key-1``.

    Raises:
        ChurnError: An entry is empty, lacks a name or a key, or is a duplicate. Keys are not shown.
    """
    holders: Keys = {}
    entries = {PREDICT: os.environ.get(PREDICT, ""), FEEDBACK: os.environ.get(FEEDBACK, "")}[variable]
    for place, entry in enumerate(entries.split(",") if entries else (), 1):
        name, colon, key = entry.strip().partition(":")
        name, key = (name.strip(), key.strip()) if colon else (f"key-{place}", name)
        if not _NAME.fullmatch(name) or not _KEY.fullmatch(key):
            raise ChurnError(
                f"{variable}: entry {place} is not NAME:KEY; a name has letters, digits, '_', '.' and '-', a key no blanks. "
                "Unset it to require no key"
            )
        if name in holders.values() or key.encode() in holders:
            raise ChurnError(f"{variable}: entry {place} repeats a name or a key")
        holders[key.encode()] = name
    return holders


def first() -> str:
    """A key that opens predictions, for our own requests; empty if none is required."""
    return next(iter(read(PREDICT)), b"").decode()


def rights() -> dict[str, Keys]:
    """The keys of each right. If predictions require a key, so does feedback. Raises ChurnError as ``read`` does."""
    keys_of = {variable: read(variable) for variable in (PREDICT, FEEDBACK)}
    return {right: keys for right, keys in keys_of.items() if keys or keys_of[PREDICT]}


def holder(presented: bytes, keys: Keys) -> str | None:
    """The holder of this key, if it is one of ``keys``; compares in constant time."""
    names = [name for key, name in keys.items() if hmac.compare_digest(presented, key)]
    return names[0] if names else None
