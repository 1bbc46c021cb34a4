"""API documentation that FastAPI cannot derive: bodies read by our own reader, and the schema for BentoML's client."""

import csv
import io
from typing import Any

from fastapi import FastAPI

from bento.body import FILE, JSON

Schema = dict[str, Any]


BATCHES = ("Customers", "CustomersByColumn")


def body(*names: str) -> Schema:
    """Document the operation's body as JSON of one of the schemas ``names`` (see ``complete``)."""
    schemas: list[Schema] = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    return _body({JSON: {"schema": {"anyOf": schemas} if len(schemas) > 1 else schemas[0]}})


def customer_body(by_id: bool) -> Schema:
    """Document the operation's body as a customer or, if ``by_id``, a customer's id."""
    return body("Customer", *KNOWN) if by_id else body("Customer")


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
    """Document the operation's body as a file, with a CSV of one customer as the example."""
    text = io.StringIO()
    csv.writer(text).writerows([example, example.values()])
    return _body({FILE: {"schema": {"type": "string", "format": "binary"}, "example": text.getvalue()}})


def _body(content: Schema) -> Schema:
    return {"requestBody": {"required": True, "content": content}}


def complete(app: FastAPI, schemas: Schema, by_id: bool) -> None:
    """Add the schemas of the bodies to the application's OpenAPI document."""
    app.openapi()["components"]["schemas"].update({**schemas, **(KNOWN if by_id else {})})


def for_bentoml(schemas: Schema, paths: set[str]) -> Schema:
    """The /schema.json for ``bentoml.SyncHTTPClient``: one route for each POST endpoint in ``paths`` that takes JSON."""
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
