"""Scores customers given as columns: what the model says of each, and that in the forms of an answer and of the log."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from churn.data import features
from churn.serving.batches.columns import Lists
from churn.serving.request import Problem, Reader
from churn.training import expected_profit
from churn.training.onnx_scorer import Scorer
from churn.uplift.scorer import UpliftScorer


@dataclass(frozen=True)
class Scored:
    """The predictions of n customers, a list of n values for each field of an answer.

    ``given`` holds the customers' own values, ``versions`` what all have in common; ``warnings`` name their rows.
    """

    given: Lists
    ids: list[str]
    judged: Lists
    versions: dict[str, str]
    warnings: list[Problem]
    moment: int  # microseconds since 1970

    def by_row(self) -> Iterator[dict[str, Any]]:
        """An answer for each customer."""
        warnings: list[list[dict[str, Any]]] = [[] for _ in self.ids]
        for problem in self.warnings:
            warnings[problem.row or 0].append({**problem.as_json(), "row": None})
        names, versions = ("prediction_id", *self.judged), self.versions
        for values, warned in zip(zip(self.ids, *self.judged.values(), strict=True), warnings, strict=True):
            yield {**dict(zip(names, values, strict=True)), **versions, "warnings": warned}

    def by_column(self) -> dict[str, Any]:
        """One answer for all: a list for each field, and each version once."""
        return {
            **self.versions,
            "prediction_id": self.ids,
            **self.judged,
            "warnings": [problem.as_json() for problem in self.warnings],
        }

    def logged(self, names: list[str]) -> list[list[Any]]:
        """The columns of the prediction log, with those of ``given`` named."""
        same = [[value] * len(self.ids) for value in (self.moment, *self.versions.values())]
        return [
            self.ids, *same, self.judged["probability"], self.judged["decision"], *(self.given[name] for name in names)
        ]  # fmt: skip


@dataclass(frozen=True)
class Scoring:
    """The model, and the uplift model if there is one; ``reader`` knows the values that training has not seen."""

    scorer: Scorer
    uplift: UpliftScorer | None
    reader: Reader

    @property
    def versions(self) -> dict[str, str]:
        """Which model answers."""
        return {name: self.scorer.manifest[name] for name in ("model_version", "data_version")}

    def scored(self, given: Lists) -> Scored:
        """The predictions of customers that the reader accepted."""
        columns = features.from_lists(self.scorer.dataset, given)
        judged = self.judged(columns)
        digits = os.urandom(16 * len(judged["probability"])).hex()
        ids = [digits[i : i + 32] for i in range(0, len(digits), 32)]
        return Scored(given, ids, judged, self.versions, self.reader.warnings(given), time.time_ns() // 1000)

    def judged(self, columns: features.Columns) -> Lists:
        """Probability, decision, threshold and expected profit of each customer; uplift and recommendation too, if known."""
        scorer, worth = self.scorer, self.scorer.worth
        probability = scorer.probability(columns)
        profits: list[float | None] = [None] * len(probability)
        if worth is not None:
            profits = [None if v != v else v for v in expected_profit.expected(worth, columns, probability).tolist()]
        limits = expected_profit.decision_thresholds(worth, columns, probability, scorer.threshold)
        judged: Lists = {
            "probability": probability.tolist(),
            "decision": scorer.decide(columns, probability).tolist(),
            "threshold": limits.tolist(),
            "expected_value": profits,
        }
        if self.uplift is not None:
            uplifts = self.uplift.uplift(columns)
            judged |= {"uplift": uplifts.tolist(), "recommendation": self.uplift.recommend(uplifts)}
        return judged
