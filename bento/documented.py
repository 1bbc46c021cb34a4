"""What FastAPI cannot know of the API: bodies that our own reader takes, and the description that BentoML's client reads."""

import csv
import io
from typing import Any

from fastapi import FastAPI

from bento.body import FILE, JSON

Schema = dict[str, Any]


def body(name: str) -> Schema:
    """The operation's body is JSON of the schema ``name`` (see ``complete``)."""
    return _body({JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}}})


def customer_body(by_id: bool) -> Schema:
    """The operation's body is a customer, or, if ``by_id``, the id of one."""
    schemas: list[Schema] = [{"$ref": f"#/components/schemas/{name}"} for name in ("Customer", *KNOWN)]
    return _body({JSON: {"schema": {"anyOf": schemas}}}) if by_id else body("Customer")


KNOWN: Schema = {
    "KnownCustomer": {
        "type": "object",
        "description": "A customer of ScoreFlow's newest list; 404 for another, 409 if the list is too old.",
        "properties": {"customer_id": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "integer"}]}},
        "required": ["customer_id"],
        "additionalProperties": False,
        "examples": [{"customer_id": "00042"}],
    }
}


def file_body(example: dict[str, Any]) -> Schema:
    """The operation's body is a file; a CSV of one customer is the example."""
    text = io.StringIO()
    csv.writer(text).writerows([example, example.values()])
    return _body({FILE: {"schema": {"type": "string", "format": "binary"}, "example": text.getvalue()}})


def _body(content: Schema) -> Schema:
    return {"requestBody": {"required": True, "content": content}}


def complete(app: FastAPI, schemas: Schema, by_id: bool) -> None:
    """Put the schemas of the bodies into the application's OpenAPI document."""
    app.openapi()["components"]["schemas"].update({**schemas, **(KNOWN if by_id else {})})


def for_bentoml(schemas: Schema, paths: set[str]) -> Schema:
    """What ``bentoml.SyncHTTPClient`` asks /schema.json for: one route for each POST endpoint of ``paths`` that takes JSON."""
    takes = {"predict": "Customer", "explain": "Customer", "predict_batch": "Customers", "feedback": "Feedback"}
    routes = [
        {
            "name": name,
            "route": f"/{name}",
            "input": {**schemas[schema], "root_input": schema == "Customer"},
            "output": {"type": "array" if name == "predict_batch" else "object"},
        }
        for name, schema in takes.items()
        if f"/{name}" in paths
    ]
    return {"name": "churn_service", "type": "service", "routes": routes}
