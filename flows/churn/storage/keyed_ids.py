"""Ids of customers as the prediction log keeps them: keyed by HMAC-SHA256 (RFC 2104).

Whoever has the log but not the key can tell that two rows are about one customer, but not which.
"""

import hashlib
import hmac
import os
from collections.abc import Callable
from typing import Any

from churn.errors import ChurnError

KEY = "CHURNFLOW_ID_KEY"
LEAST = 16  # characters of a key
DIGITS = 32  # hexadecimal, of a keyed id


def key() -> bytes | None:
    """The key of the environment; None if there is none. Raises ChurnError if it is too short to keep a secret."""
    secret = os.environ.get(KEY, "")
    if 0 < len(secret) < LEAST:
        raise ChurnError(
            f"{KEY} has {len(secret)} characters, and needs {LEAST} or more; openssl rand -hex 32 prints a good one"
        )
    return secret.encode() or None


def keyed(customer: str, secret: bytes) -> str:
    """The id under the key ``secret``: DIGITS hexadecimal digits."""
    return hmac.digest(secret, customer.encode(), hashlib.sha256).hex()[:DIGITS]


def logged(plain: bool) -> Callable[[Any], str | None]:
    """How the log writes an id (None: not given): as it is if ``plain``, else keyed - and not at all without a key."""
    if plain:
        return lambda customer: customer
    secret = key()
    return lambda customer: None if customer is None or secret is None else keyed(customer, secret)
