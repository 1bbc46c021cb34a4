"""The service's own OpenAPI 3.1 document, and the description that BentoML's client reads; both from the data set."""

import csv
import io
from typing import Any

from churn.serving import request
from churn.training.onnx_scorer import Scorer

from bento.settings import ServeConfig

Schema = dict[str, Any]
_ID: Schema = {"type": "string", "pattern": request.PREDICTION_ID}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_VERSIONS: dict[str, Schema] = {
    "model_version": {"type": "string", "description": "version in the model registry"},
    "data_version": {"type": "string", "description": "version of the data it was trained on"},
}
_DECISION = (
    "counts as churning: the probability is at or above the threshold. Where training was given a [value]: worth contacting, "
    "the expected profit is above 0"
)
_THRESHOLD = (
    "the model's decision threshold. Where training was given a [value]: the probability at which contacting this customer "
    "costs as much as it brings"
)
_ERRORS = {
    400: "The body is not JSON.", 401: "An API key is needed (if the service has keys).", 404: "No such path.",
    405: "The method is wrong.", 408: "The body came too slowly.", 413: "The body is too large.",
    415: "The body is not declared as JSON.", 422: "A field is missing, unknown, or has a value that is not allowed.",
    500: "The service failed; its log says why.", 503: "There was no answer in time.",
}  # fmt: skip


def customer(scorer: Scorer, settings: ServeConfig) -> Schema:
    """JSON Schema of one customer, with examples."""
    schema = request.json_schema(
        scorer.dataset, settings.input, settings.log.enabled and bool(settings.log.customer_id)
    )
    return {**schema, "examples": scorer.manifest["examples"]}


def _object(properties: dict[str, Schema], **more: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), **more}


def _schemas(scorer: Scorer, settings: ServeConfig) -> dict[str, Schema]:
    rows = {"type": "array", "items": _ref("Customer"), "minItems": 1, "maxItems": settings.limits.rows}
    problem: dict[str, Schema] = {
        "field": {"type": "string"},
        "reason": {"type": "string"},
        "value": {"description": "what was sent"},
        "allowed": {"type": "string", "description": "what may be sent"},
        "row": {"type": ["integer", "null"], "description": "index in a batch"},
    }
    judged: dict[str, Schema] = {
        "probability": {**_SHARE, "description": "probability of churn"},
        "decision": {"type": "boolean", "description": _DECISION},
        "threshold": {**_SHARE, "description": _THRESHOLD},
        "expected_value": {
            "type": ["number", "null"],
            "description": "expected profit of contacting the customer; null if training was given no [value]",
        },
    }
    prediction: dict[str, Schema] = {
        "prediction_id": _ID,
        **judged,
        **_VERSIONS,
        "warnings": {"type": "array", "items": _ref("Problem"), "description": "values that training has not seen"},
    }
    outcome: dict[str, Schema] = {
        "prediction_id": _ID,
        "outcome": {"type": "boolean", "description": "true: the customer churned"},
    }
    reason: dict[str, Schema] = {"field": {"type": "string"}, "value": {}, "contribution": {"type": "number"}}
    return {
        "Customer": customer(scorer, settings),
        "Customers": _object(
            {"rows": rows}, additionalProperties=False, examples=[{"rows": scorer.manifest["examples"]}]
        ),
        "Prediction": _object(prediction),
        "Explanation": _object(
            {
                **judged,
                "base_value": {**_SHARE, "description": "mean probability of a sample of training customers"},
                "reasons": {
                    "type": "array",
                    "items": _object(reason),
                    "description": "Shapley values, largest first; base_value plus all contributions is the probability",
                },
                **_VERSIONS,
            }
        ),
        "Feedback": _object(
            outcome, additionalProperties=False, examples=[{"prediction_id": "0" * 32, "outcome": True}]
        ),
        "Accepted": _object({**outcome, "accepted": {"type": "boolean"}}),
        "Problem": _object(problem),
        "Error": _object(
            {
                "status": {"type": "integer"},
                "error": {"type": "string"},
                "problems": {"type": "array", "items": _ref("Problem")},
            }
        ),
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _operation(
    summary: str, answer: Schema, takes: Schema | None = None, status: int = 200, keyed: bool = True
) -> Schema:
    errors = [405, 500, 503, *([401] if keyed else []), *([400, 408, 413, 415, 422] if takes else [])]
    operation: Schema = {
        "summary": summary,
        "responses": {
            str(status): {"description": "The answer.", "content": _json(answer)},
            **{str(code): {"description": _ERRORS[code], "content": _json(_ref("Error"))} for code in sorted(errors)},
        },
    }
    if takes is not None:
        operation["requestBody"] = {"required": True, "content": _json(takes)}
    if keyed:
        operation["security"] = [{}, {"bearer": []}, {"header": []}]
    return operation


def _reading(customer: dict[str, Any]) -> Schema:
    """The one operation that takes a file, not JSON; a CSV of one customer is the example."""
    file = io.StringIO()
    csv.writer(file).writerows([customer, customer.values()])
    text = {"type": "string"}
    read = _object({
        "header": {"type": "array", "items": text},
        "cells": {"type": "array", "items": {"type": "array", "items": text}},
        "rows": {"type": "array", "items": {"type": "object"}, "description": "to send to predict_batch"},
        "numbers": {"type": "array", "items": {"type": "integer"}, "description": "of the rows in the file"},
        "notes": {"type": "array", "items": text},
    })  # fmt: skip
    operation = _operation("Read a file of customers: CSV, Excel or Parquet", read, {})
    binary = {"schema": {"type": "string", "format": "binary"}, "example": file.getvalue()}
    operation["requestBody"]["content"] = {"application/octet-stream": binary}
    return operation


def document(scorer: Scorer, settings: ServeConfig) -> Schema:
    """The OpenAPI document of this model's service."""
    plain = {"type": "object"}
    text = _operation("Prometheus metrics of all workers", {"type": "string"}, keyed=False)
    text["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    predictions = {"type": "array", "items": _ref("Prediction")}
    paths = {
        "/predict": {"post": _operation("Score one customer", _ref("Prediction"), _ref("Customer"))},
        "/predict_batch": {"post": _operation("Score customers, in order", predictions, _ref("Customers"))},
        "/read": {"post": _reading(scorer.manifest["examples"][0])},
        "/explain": {"post": _operation("Why this probability", _ref("Explanation"), _ref("Customer"))},
        "/feedback": {"post": _operation("Report what became of a customer", _ref("Accepted"), _ref("Feedback"), 202)},
        "/model": {"get": _operation("What is served: versions, scores, schema, lineage", plain)},
        "/livez": {"get": _operation("The process answers", plain, keyed=False)},
        "/readyz": {"get": _operation("The model is loaded", plain, keyed=False)},
        "/metrics": {"get": text},
    }
    if not settings.log.enabled:
        del paths["/feedback"]
    for path, methods in paths.items():
        for operation in methods.values():
            operation["operationId"] = path.strip("/")
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Churn: {scorer.dataset.name}", "version": scorer.manifest["model_version"]},
        "paths": paths,
        "components": {
            "schemas": _schemas(scorer, settings),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def bentoml_schema(scorer: Scorer, settings: ServeConfig) -> Schema:
    """What ``bentoml.SyncHTTPClient`` asks /schema.json for: one route for each POST endpoint."""
    schemas = _schemas(scorer, settings)
    takes = {"predict": "Customer", "explain": "Customer", "predict_batch": "Customers", "feedback": "Feedback"}
    routes = [
        {
            "name": name,
            "route": f"/{name}",
            "input": {**schemas[schema], "root_input": schema == "Customer"},
            "output": {"type": "array" if name == "predict_batch" else "object"},
        }
        for name, schema in takes.items()
        if f"/{name}" != "/feedback" or settings.log.enabled
    ]
    return {"name": "churn_service", "type": "service", "routes": routes}
