"""What no JSON Schema can say, for schemathesis: the columns of a batch are of one length."""

from typing import Any

import schemathesis


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Cut the columns of a valid body to its shortest."""
    columns = case.body.get("columns") if isinstance(case.body, dict) else None
    if case.meta.generation.mode.is_positive and isinstance(columns, dict) and columns:
        shortest = min(map(len, columns.values()))
        case.body = {"columns": {name: column[:shortest] for name, column in columns.items()}}
