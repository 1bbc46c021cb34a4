"""The champion behind ``bentoml serve``: customers in, churn probabilities out.

Inside a Bento this file lies at the top with the ``churn`` package beside it; the model's folder comes with the Bento.
"""

from pathlib import Path
from typing import Annotated, Any

import bentoml
from churn import features, request, scoring
from pydantic import BaseModel, ConfigDict, Field

MODEL = bentoml.models.BentoModel(Path(__file__).with_name("model.txt").read_text(encoding="utf-8"))
MOST_ROWS = 10_000

scorer = scoring.Scorer(MODEL.resolve().path)
Customer: Any = request.model(scorer.dataset)
EXAMPLE = request.example(scorer.dataset)


class Prediction(BaseModel):
    """The answer for one customer."""

    model_config = ConfigDict(protected_namespaces=())

    probability: float = Field(description="probability of churn, 0 to 1", ge=0, le=1)
    churn: bool = Field(description="the decision: probability at or above the model's threshold")
    threshold: float
    model_version: str
    data_version: str


def _predictions(customers: list[request.Customer]) -> list[Prediction]:
    found = scorer.probability(features.from_rows(scorer.dataset, [customer.row() for customer in customers]))
    manifest = scorer.manifest
    return [
        Prediction(
            probability=p,
            churn=p >= scorer.threshold,
            threshold=scorer.threshold,
            model_version=manifest["model_version"],
            data_version=manifest["data_version"],
        )
        for p in found.tolist()
    ]


@bentoml.service(
    name="churn_service",
    workers=1,
    traffic={"timeout": 10, "max_concurrency": 64},
    tracing={"excluded_urls": ".*"},  # the tracing middleware is 40 % of a small request
    logging={"access": {"enabled": False}},
)
class ChurnService:
    """Churn probability, decision and model version for one customer or for a list of them."""

    model = MODEL

    def __init__(self) -> None:
        _predictions([Customer.model_validate(EXAMPLE)])

    @bentoml.api
    async def predict(self, customer: Customer, /) -> Prediction:
        """One customer: the JSON body is the customer's columns."""
        return _predictions([customer])[0]

    @bentoml.api
    async def predict_batch(
        self, rows: Annotated[list[Customer], Field(min_length=1, max_length=MOST_ROWS)]
    ) -> list[Prediction]:
        """A list of customers as {"rows": [...]}, answered in the same order."""
        return _predictions(rows)
