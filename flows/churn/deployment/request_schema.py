"""Compare the JSON Schemas of two services: does one accept every request that the other accepts?"""

from collections.abc import Iterator
from typing import Any

from churn.serving import client

Schema = dict[str, Any]


def fetch_schema(url: str) -> Schema:
    """Fetch the schema of a customer from the service at ``url``; no key is needed. Raises ChurnError."""
    document = client.ask(f"{url}/docs.json")
    schema = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    while "$ref" in schema:
        place = document
        for key in schema["$ref"].removeprefix("#/").split("/"):
            place = place[key]
        schema = place
    return dict(schema)


def breaking(former: Schema, new: Schema) -> list[str]:
    """What the ``former`` service accepts but the ``new`` one rejects, one sentence each."""
    ours, theirs = new["properties"], former["properties"]
    gone = [name for name in theirs if name not in ours] if new.get("additionalProperties") is False else []
    needed = [name for name in new.get("required", ()) if name not in former.get("required", ())]
    return [
        *(f"{name} is no longer accepted" for name in gone),
        *(f"{name} is now required" for name in needed),
        *(f"{name}: {what}" for name in theirs if name in ours for what in _narrower(theirs[name], ours[name])),
    ]


def _narrower(former: Schema, new: Schema) -> Iterator[str]:
    """The values of a field that are now rejected: alternatives that no alternative of the ``new`` schema covers."""
    for one in _alternatives(former):
        refusals = [list(_refused(one, other)) for other in _alternatives(new)]
        if all(refusals):
            yield min(refusals, key=len)[0]


def _alternatives(schema: Schema) -> list[Schema]:
    """Split a schema into schemas of one type each; None if any type is allowed."""
    if parts := schema.get("anyOf") or schema.get("oneOf"):
        return [one for part in parts for one in _alternatives(part)]
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    types = schema.get("type") or ([None] if values is None else list(dict.fromkeys(map(_kind, values))))
    typed = [{**schema, "type": kind} for kind in ([types] if isinstance(types, str) else types)]
    if values is None:
        return typed
    narrowed = [{**one, "enum": [value for value in values if _kind(value) in _TAKEN_BY[one["type"]]]} for one in typed]
    return [one for one in narrowed if one["enum"]]


_TAKEN_BY = {kind: {kind} for kind in ("string", "boolean", "integer", "null")} | {"number": {"integer", "number"}}


def _kind(value: Any) -> str:
    """The JSON type of a scalar."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return kinds[type(value)]


def _refused(former: Schema, new: Schema) -> Iterator[str]:
    """What one alternative rejects of another."""
    kind, wanted = former["type"], new["type"]
    if wanted is not None and kind not in _TAKEN_BY.get(wanted, {wanted}):
        yield f"{kind or 'any type'} is no longer accepted"
        return
    if "enum" in new:
        lost = [one for one in former["enum"] if one not in new["enum"]] if "enum" in former else None
        if lost is None or lost:
            yield f"{', '.join(map(repr, lost)) if lost else 'any value outside its list'} is no longer accepted"
    if "enum" in former:
        return
    for key, worse in _BOUNDS.get(kind, ()):
        if key in new and (key not in former or worse(former[key], new[key]) != former[key]):
            yield f"{key} is now {new[key]:g}, was {former.get(key, 'open')}"
    if kind == "string" and new.get("pattern") not in (None, former.get("pattern")):
        yield f"it must match {new['pattern']} now"


_NUMBERS = (("minimum", max), ("exclusiveMinimum", max), ("maximum", min), ("exclusiveMaximum", min))
_BOUNDS: dict[str | None, tuple[tuple[str, Any], ...]] = {
    "integer": _NUMBERS,
    "number": _NUMBERS,
    "string": (("minLength", max), ("maxLength", min)),
}
