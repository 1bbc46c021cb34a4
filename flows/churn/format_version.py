"""Format numbers of what later runs and releases read.

That is JSON, never a pickle of our own classes: modules can move without making a store unreadable.
"""

from collections.abc import Mapping
from typing import Any

from churn.errors import ChurnError

KEY = "format"


def stamped(content: Mapping[str, Any], number: int) -> dict[str, Any]:
    """``content`` with the number of its format as its first key."""
    return {KEY: number, **content}


def opened(content: Mapping[str, Any], newest: int, what: str) -> dict[str, Any]:
    """``content`` without its format number; content without a number has format 1.

    Raises:
        ChurnError: A newer release wrote it: its format is above ``newest``. ``what`` names it in the message.
    """
    number = content.get(KEY, 1)
    if number > newest:
        raise ChurnError(
            f"{what}: written by a newer release (format {number}, this one reads up to {newest}); use that release"
        )
    return {key: value for key, value in content.items() if key != KEY}
