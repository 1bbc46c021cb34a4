"""Whether everything that one service takes is taken by another: two JSON Schemas of a customer, compared."""

from collections.abc import Iterator
from typing import Any

from churn.serving import client

Schema = dict[str, Any]
_NUMBERS = {"integer": {"integer", "number"}}  # a type, and what takes all of it
_LEAST, _MOST = ("minimum", "exclusiveMinimum", "minLength"), ("maximum", "exclusiveMaximum", "maxLength")


def of(url: str) -> Schema:
    """The schema of one customer, as the service at ``url`` describes it; it needs no key. Raises ChurnError."""
    document = client.ask(f"{url}/docs.json")
    found = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    while "$ref" in found:
        place = document
        for key in found["$ref"].removeprefix("#/").split("/"):
            place = place[key]
        found = place
    return dict(found)


def breaking(former: Schema, new: Schema) -> list[str]:
    """What callers of the ``former`` service may send and the ``new`` one refuses, a sentence each; none if it takes it all."""
    ours, theirs = new["properties"], former["properties"]
    gone = [name for name in theirs if name not in ours] if new.get("additionalProperties") is False else []
    needed = [name for name in new.get("required", ()) if name not in former.get("required", ())]
    return [
        *(f"{name} is not taken any more" for name in gone),
        *(f"{name} must be given now" for name in needed),
        *(f"{name}: {what}" for name in theirs if name in ours for what in _narrower(theirs[name], ours[name])),
    ]


def _narrower(former: Schema, new: Schema) -> Iterator[str]:
    """What of a field's values is refused now: those of an alternative that no alternative of the ``new`` schema takes."""
    for one in _alternatives(former):
        refusals = [list(_refused(one, other)) for other in _alternatives(new)]
        if all(refusals):
            yield min(refusals, key=len)[0]


def _alternatives(schema: Schema) -> list[Schema]:
    """A schema as schemas of one type each."""
    if parts := schema.get("anyOf") or schema.get("oneOf"):
        return [one for part in parts for one in _alternatives(part)]
    types = schema.get("type")
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    return [
        {**schema, "type": kind, **({} if values is None else {"enum": _of(kind, values)})}
        for kind in (types if isinstance(types, list) else [types])
        if values is None or kind is None or _of(kind, values)
    ]


def _of(kind: str | None, values: list[Any]) -> list[Any]:
    """Those of the values that are of a JSON type."""
    python: dict[str | None, Any] = {
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
        "null": type(None),
    }
    if kind not in python:
        return values
    return [one for one in values if isinstance(one, python[kind]) and (kind == "boolean") == isinstance(one, bool)]


def _refused(former: Schema, new: Schema) -> Iterator[str]:
    kind, wanted = former["type"], new["type"]
    if wanted is not None and wanted not in _NUMBERS.get(kind, {kind}):
        yield f"{kind or 'any type'} is not taken any more"
        return
    if "enum" in new:
        lost = [one for one in former["enum"] if one not in new["enum"]] if "enum" in former else None
        if lost is None or lost:
            yield f"{', '.join(map(repr, lost)) if lost else 'what is not in its list'} is not taken any more"
    for keys, worse in ((_LEAST, max), (_MOST, min)):
        for key in keys:
            if key in new and (key not in former or worse(former[key], new[key]) != former[key]):
                yield f"{key} is {new[key]:g} now, it was {former.get(key, 'open')}"
    if "pattern" in new and new["pattern"] != former.get("pattern") and "enum" not in former:
        yield f"it must match {new['pattern']} now"
