"""Keys and values as TOML text."""

import json
import re
from typing import Any


def value(given: Any) -> str:
    """``given`` as a TOML value."""
    if isinstance(given, list | tuple):
        return f"[{', '.join(map(value, given))}]"
    if isinstance(given, dict):
        return f"{{ {', '.join(f'{value(key)} = {value(held)}' for key, held in given.items())} }}"
    # A JSON string is a TOML string, save for DEL and for the escapes of characters beyond the basic plane.
    return json.dumps(given, ensure_ascii=False).replace("\x7f", "\\u007f")


def line(key: str, given: Any) -> str:
    """A key and its value as a TOML line."""
    return f"{key} = {value(given)}"


def table_header(column: str) -> str:
    """The header of the table that describes ``column``."""
    return f"[columns.{column if re.fullmatch(r'[A-Za-z0-9_-]+', column) else value(column)}]"
