"""What is read across runs and releases is JSON with the number of its format, never a pickle of our own classes: a module
may then move without a store becoming unreadable.
"""

from collections.abc import Mapping
from typing import Any

from churn.errors import ChurnError

KEY = "format"


def stamped(content: Mapping[str, Any], number: int) -> dict[str, Any]:
    """``content`` with the number of its format in front."""
    return {KEY: number, **content}


def opened(content: Mapping[str, Any], newest: int, what: str) -> dict[str, Any]:
    """``content`` without its number; without one it is of format 1, which is older than the numbers.

    Raises ChurnError if a newer release wrote it.
    """
    number = content.get(KEY, 1)
    if number > newest:
        raise ChurnError(
            f"{what}: written by a newer release (format {number}, this one reads up to {newest}); use that release"
        )
    return {key: value for key, value in content.items() if key != KEY}
