"""Format numbers for data that later runs and releases read.

Such data are JSON, never pickles of our own classes, so that moving a module leaves stores readable.
"""

from collections.abc import Mapping
from typing import Any

from churn.errors import ChurnError

KEY = "format"


def stamped(content: Mapping[str, Any], number: int) -> dict[str, Any]:
    """``content`` with its format number as the first key."""
    return {KEY: number, **content}


def opened(content: Mapping[str, Any], newest: int, what: str) -> dict[str, Any]:
    """``content`` without its format number; content without a number has format 1.

    Raises:
        ChurnError: A newer release wrote it, in a format above ``newest``. ``what`` names it in the message.
    """
    number = content.get(KEY, 1)
    if number > newest:
        raise ChurnError(
            f"{what}: written by a newer release (format {number}, this one reads up to {newest}); use that release"
        )
    return {key: value for key, value in content.items() if key != KEY}
