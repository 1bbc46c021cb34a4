"""The service's answers as pydantic models, which also document them. All errors have one shape."""

from typing import Annotated, Any, Literal

from churn.serving.request import PREDICTION_ID, Feedback, Problem
from pydantic import BaseModel, Field

Share = Annotated[float, Field(ge=0, le=1)]


class Versions(BaseModel):
    """Which model answered."""

    model_version: Annotated[str, Field(description="version in the model registry")]
    data_version: Annotated[str, Field(description="version of the data it was trained on")]


class Judged(Versions):
    """A customer's probability, and what follows from it."""

    probability: Annotated[Share, Field(description="probability of churn")]
    decision: Annotated[
        bool,
        Field(
            description="counts as churning: the probability is at or above the threshold. Where training was given a "
            "[value]: worth contacting, the expected profit is above 0"
        ),
    ]
    threshold: Annotated[
        Share,
        Field(
            description="the model's decision threshold. Where training was given a [value]: the probability at which "
            "contacting this customer costs as much as it brings, at the success rate of their risk"
        ),
    ]
    expected_value: Annotated[
        float | None,
        Field(description="expected profit of contacting the customer; null if training was given no [value]"),
    ]


class Recommended(Judged):
    """What a contact would change, where the service has a model of uplift."""

    uplift: Annotated[float | None, Field(description="by how much a contact raises the chance to stay (-1 to 1)")] = (
        None
    )
    recommendation: Annotated[
        Literal["contact", "leave alone"] | None,
        Field(description="contact where the uplift reaches the model's threshold"),
    ] = None


class Prediction(Recommended):
    """The answer of predict, and one of predict_batch's."""

    prediction_id: Annotated[str, Field(pattern=PREDICTION_ID)]
    warnings: Annotated[list[Problem], Field(description="values that training has not seen")]


class Predictions(Versions):
    """The answer of predict_batch to customers by column: of each list, a value for each of them, in their order."""

    prediction_id: list[Annotated[str, Field(pattern=PREDICTION_ID)]]
    probability: list[Share]
    decision: list[bool]
    threshold: list[Share]
    expected_value: list[float | None]
    uplift: Annotated[list[float], Field(description="only where the service has a model of it")] = []
    recommendation: list[Literal["contact", "leave alone"]] = []
    warnings: Annotated[list[Problem], Field(description="values that training has not seen, with their rows")]


class Reason(BaseModel):
    """What one column adds to the probability."""

    field: str
    value: Any
    contribution: float


class Explanation(Recommended):
    """The answer of explain."""

    base_value: Annotated[Share, Field(description="mean probability of a sample of training customers")]
    reasons: Annotated[
        list[Reason],
        Field(description="Shapley values, largest first; base_value plus all contributions is the probability"),
    ]
    uplift_base_value: Annotated[float | None, Field(description="mean uplift of the same sample")] = None
    uplift_reasons: Annotated[
        list[Reason], Field(description="the same for the uplift, where the service has a model of it")
    ] = []


class Accepted(Feedback):
    """The answer of feedback."""

    accepted: bool


class CustomerFile(BaseModel):
    """The answer of read."""

    header: list[str]
    cells: list[list[str]]
    rows: Annotated[list[dict[str, Any]], Field(description="to send to predict_batch")]
    numbers: Annotated[list[int], Field(description="of the rows in the file")]
    notes: list[str]


class Error(BaseModel):
    """The one shape of every error: status, a sentence, and the problems."""

    status: int
    error: str
    problems: list[Problem]


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": description}
    for status, description in {
        400: "The body is not JSON.", 401: "An API key is needed (if the service has keys).",
        403: "The key opens other endpoints.", 404: "No such path, or no such customer.",
        405: "The method is wrong.", 409: "What is known is outdated.",
        408: "The body came too slowly.", 413: "The body is too large.",
        415: "The body is not declared as JSON.", 422: "A field is missing, unknown, or has a value that is not allowed.",
        500: "The service failed; its log says why.", 503: "There was no answer in time.",
    }.items()
}  # fmt: skip
