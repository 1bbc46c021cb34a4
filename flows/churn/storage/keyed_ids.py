"""Customer ids as the prediction log keeps them: keyed with HMAC-SHA256 (RFC 2104).

Anyone with the log but not the key can tell that two rows are about one customer, but not which customer.
"""

import hashlib
import hmac
import os
from collections.abc import Callable
from typing import Any

from churn.errors import ChurnError

KEY = "CHURNFLOW_ID_KEY"
LEAST = 16  # characters in a key
DIGITS = 32  # hexadecimal digits in a keyed id


def key() -> bytes | None:
    """The key from the environment; None if there is none. Raises ChurnError if it is too short to be safe."""
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
    """A function that maps an id (None: not given) to its form in the log: ``plain``, else keyed, or None without a key."""
    if plain:
        return lambda customer: customer
    secret = key()
    return lambda customer: None if customer is None or secret is None else keyed(customer, secret)
