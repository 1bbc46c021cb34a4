"""What callers send today is taken by the next version, or the change is called breaking."""

from typing import Any

import jsonschema
import pytest
from churn.deployment import request_schema

FORMER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tenure": {"type": "integer", "minimum": 0, "maximum": 72},
        "plan": {"enum": ["a", "b"]},
        "charge": {"type": ["number", "null"]},
        "note": {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]},
    },
    "required": ["tenure", "plan"],
    "additionalProperties": False,
}
GOOD = [
    {"tenure": 0, "plan": "a"},
    {"tenure": 72, "plan": "b", "charge": 1.5, "note": "nine long"},
    {"tenure": 1, "plan": "b", "charge": None, "note": None},
]


def _with(**fields: Any) -> dict[str, Any]:
    kept = {name: field for name, field in {**FORMER["properties"], **fields}.items() if field is not None}
    return {**FORMER, "properties": kept}


TAKES_ALL = {
    "the same": FORMER,
    "a wider range": _with(tenure={"type": "integer", "minimum": -1, "maximum": 100}),
    "no range": _with(tenure={"type": "integer"}),
    "numbers for integers": _with(tenure={"type": "number", "minimum": 0, "maximum": 72}),
    "one more value": _with(plan={"enum": ["a", "b", "c"]}),
    "any text": _with(plan={"type": "string"}),
    "an optional field more": _with(age={"type": "integer"}),
    "optional now": {**FORMER, "required": ["plan"]},
    "unknown fields allowed": {**_with(note=None), "additionalProperties": True},
}
REFUSES = {
    "note is no longer accepted": _with(note=None),
    "charge is now required": {**FORMER, "required": ["tenure", "plan", "charge"]},
    "tenure: maximum is now 60, was 72": _with(tenure={"type": "integer", "minimum": 0, "maximum": 60}),
    "tenure: minimum is now 1, was 0": _with(tenure={"type": "integer", "minimum": 1}),
    "plan: 'b' is no longer accepted": _with(plan={"enum": ["a", "c"]}),
    "charge: null is no longer accepted": _with(charge={"type": "number"}),
    "charge: number is no longer accepted": _with(charge={"type": ["integer", "null"]}),
    "note: maxLength is now 5, was 9": _with(note={"type": ["string", "null"], "maxLength": 5}),
}


@pytest.mark.parametrize("how", TAKES_ALL)
def test_a_wider_schema_is_no_breaking_change(how: str) -> None:
    assert request_schema.breaking(FORMER, TAKES_ALL[how]) == []
    for customer in GOOD:
        jsonschema.validate(customer, TAKES_ALL[how])


@pytest.mark.parametrize("said", REFUSES)
def test_what_is_refused_from_now_on_is_named(said: str) -> None:
    assert request_schema.breaking(FORMER, REFUSES[said]) == [said]
    assert not all(jsonschema.Draft202012Validator(REFUSES[said]).is_valid(customer) for customer in GOOD)
