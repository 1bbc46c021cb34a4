"""Keys and values as TOML text."""

import json
import re
from typing import Any


def value(content: Any) -> str:
    """``content`` as a TOML value."""
    if isinstance(content, list | tuple):
        return f"[{', '.join(map(value, content))}]"
    if isinstance(content, dict):
        return f"{{ {', '.join(f'{value(key)} = {value(held)}' for key, held in content.items())} }}"
    # A JSON string is a TOML string, save for DEL and for the escapes of characters beyond the basic plane.
    return json.dumps(content, ensure_ascii=False).replace("\x7f", "\\u007f")


def line(key: str, content: Any) -> str:
    """A key and its value as a TOML line."""
    return f"{key} = {value(content)}"


def table_header(column: str) -> str:
    """The header of the table that describes ``column``."""
    return f"[columns.{column if re.fullmatch(r'[A-Za-z0-9_-]+', column) else value(column)}]"
