"""The work of each endpoint: bytes in, answer out. Knows the model, the reader, the log and the metrics, but no HTTP."""

import logging
import mimetypes
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from churn.data import features
from churn.errors import ChurnError
from churn.serving import api_keys, customer_file, prediction_log, request
from churn.serving.batches.columns import Batches, Lists
from churn.serving.request import Rejected, Row
from churn.storage import keyed_ids
from churn.training import shapley
from churn.training.onnx_scorer import Scorer
from churn.uplift.scorer import UpliftScorer
from pydantic_core import to_json
from starlette.responses import PlainTextResponse

from bento import documented
from bento.answers import Accepted, CustomerFile, Explanation, Prediction, Predictions
from bento.app import Answer, App
from bento.body import FILE, Body
from bento.known_customers import KnownCustomers
from bento.log import Columns, Log
from bento.scoring.scored import Scored, Scoring
from bento.service_metrics import CONTENT_TYPE, ServiceMetrics
from bento.settings import ServeConfig

logger = logging.getLogger("bentoml.churn")

STATIC = Path(__file__).parent / "static"
_PAGE = {"content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}


class Endpoints:
    """The service's work, one method per endpoint."""

    def __init__(self, scorer: Scorer, settings: ServeConfig, uplift: UpliftScorer | None = None) -> None:
        """``scorer`` is the model, ``settings`` are those of config/serve.toml, ``uplift`` is the uplift model, if any."""
        self._scorer, self._settings = scorer, settings
        self._reader = request.Reader(
            scorer.dataset,
            settings.input,
            settings.limits.rows,
            settings.log.enabled and bool(settings.log.customer_id),
            scorer.manifest["examples"],
            settings.limits.customer_bytes,
        )
        self._batches, self._scoring = Batches(self._reader), Scoring(scorer, uplift, self._reader)
        self._known = KnownCustomers(scorer.dataset)
        self._as_logged = keyed_ids.logged(settings.log.customer_id == "plain")
        if settings.log.enabled and settings.log.customer_id is True and keyed_ids.key() is None:
            logger.warning("%s is not set: the log keeps no customer ids", keyed_ids.KEY)
        self._explainer = shapley.Explainer.of(scorer)
        self._why_contact = uplift.explainer() if uplift is not None else None
        self._instruments = ServiceMetrics(scorer.manifest)
        schemas = {
            prediction_log.PREDICTIONS: prediction_log.schema(scorer.dataset, bool(settings.log.customer_id)),
            prediction_log.FEEDBACK: prediction_log.feedback_schema(with_reporter=True),
        }
        self._logs = {kind: self._open_log(kind, schema) for kind, schema in schemas.items() if settings.log.enabled}
        self._logged = schemas[prediction_log.PREDICTIONS].names[len(prediction_log.COLUMNS) :]
        example = scorer.manifest["examples"][0]
        self.predict(to_json(example))  # the first run of a session is slow
        self.explain(to_json(example))

    def app(self) -> App:
        """The ASGI application over these endpoints."""
        limits, manifest = self._settings.limits, self._scorer.manifest
        title = f"Churn: {self._scorer.dataset.name}"
        app = App(
            self._instruments, limits.seconds, api_keys.rights(), limits.batches,
            title=title, version=manifest["model_version"], openapi_url="/docs.json",
        )  # fmt: skip
        one, many, file = (
            Body(limits.customer_bytes), Body(limits.batch_bytes), Body(limits.file_bytes, FILE),
        )  # fmt: skip
        customer, customers = documented.customer_body(self._known.offered), documented.body(*documented.BATCHES)
        app.takes("/predict", self.predict, one, summary="Score one customer", model=Prediction, openapi_extra=customer)
        app.takes(
            "/predict_batch", self.predict_batch, many, long=True, small=limits.customer_bytes,
            summary="Score customers, in order", model=list[Prediction] | Predictions, openapi_extra=customers,
        )  # fmt: skip
        app.takes(
            "/read", self.read, file, long=True, small=limits.customer_bytes,
            summary="Read a file of customers: CSV, Excel or Parquet",
            model=CustomerFile, openapi_extra=documented.file_body(manifest["examples"][0]),
        )  # fmt: skip
        app.takes(
            "/explain", self.explain, one, long=True,
            summary="Why this probability", model=Explanation, openapi_extra=customer,
        )  # fmt: skip
        if self._logs:
            app.takes(
                "/feedback", self.feedback, one, signed=True, right=api_keys.FEEDBACK, summary="Report what became of a customer",
                model=Accepted, status_code=202, openapi_extra=documented.body("Feedback"),
            )  # fmt: skip
        plain = dict[str, Any]
        app.gives(
            "/model", _fixed(self._model()), summary="What is served: versions, scores, schema, lineage", model=plain
        )
        app.gives("/livez", _fixed({"status": "alive"}), right=None, summary="The process answers", model=plain)
        app.gives("/readyz", self.ready, right=None, summary="The model is loaded", model=plain)
        app.gives(
            "/metrics", self._metrics, long=True, right=None,
            summary="Prometheus metrics of all workers", response_class=PlainTextResponse,
        )  # fmt: skip
        for_bentoml = documented.for_bentoml(self._reader.schemas, app.paths)
        app.gives("/schema.json", _fixed(for_bentoml), right=None, include_in_schema=False)
        for page in sorted(STATIC.iterdir()):
            path = _PAGES.get(page.name, f"/{page.name}")
            app.gives(path, _file(page), right=None, include_in_schema=False)
        documented.complete(app, self._reader.schemas, self._known.offered)
        return app

    def close(self) -> None:
        """Write the remaining log entries."""
        for log in self._logs.values():
            log.close()

    def predict(self, body: bytes) -> Answer:
        """One customer: probability, decision, versions and prediction id."""
        row, aged = self._customer(body)
        scored = self._scored({name: [value] for name, value in row.items()})
        (answer,) = scored.by_row()
        answer["warnings"] += [problem.as_json() for problem in aged]
        return Answer(to_json(answer), self._record(scored))

    def _customer(self, body: bytes) -> tuple[Row, list[request.Problem]]:
        """The customer in the body, or the known one with that id, with a warning if the known data are old."""
        customer = self._known.asked_for(body)
        if customer is None:
            return self._reader.customer(body), []
        stored, aged = self._known.row(customer)
        row, name = self._reader.customer(to_json(stored)), self._scorer.dataset.id
        return ({**row, name: customer} if name is not None and name in self._logged else row), aged

    def predict_batch(self, body: bytes) -> Answer:
        """``{"rows": [...]}``: a list of the answers of ``predict``, in the same order; ``{"columns": {...}}``: one by column."""
        batch = self._batches.read(body)
        scored = self._scored(batch.values)
        return Answer(to_json(scored.by_column() if batch.by_column else list(scored.by_row())), self._record(scored))

    def read(self, body: bytes) -> Answer:
        """A file of customers in any format that training accepts: its cells, and the rows to send to predict_batch."""
        most = self._settings.limits.file_bytes
        try:
            customers = customer_file.parse(body, "the file", self._scorer.dataset, self._reader.names, most)
        except ChurnError as error:
            raise Rejected(422, str(error)) from None
        return Answer(to_json(asdict(customers)))

    def explain(self, body: bytes) -> Answer:
        """One customer: each column's contribution to the probability (see ``churn.training.shapley``). It is not logged."""
        row, _ = self._customer(body)
        row = {name: row[name] for name in self._scorer.dataset.raw}
        columns = features.from_rows(self._scorer.dataset, [row])
        (gains,) = self._explainer.reasons(columns, top=len(row))
        content = {
            **{name: values[0] for name, values in self._scoring.judged(columns).items()},
            "base_value": self._explainer.base,
            "reasons": _reasons(row, gains),
            **self._scoring.versions,
        }
        if self._why_contact is not None:
            (gains,) = self._why_contact.reasons(columns, top=len(row))
            content |= {"uplift_base_value": self._why_contact.base, "uplift_reasons": _reasons(row, gains)}
        return Answer(to_json(content))

    def feedback(self, body: bytes, reporter: str | None = None) -> Answer:
        """A customer's outcome, for realised performance; the log keeps who reported it."""
        outcome = self._reader.feedback(body)
        row = (outcome["prediction_id"], time.time_ns() // 1000, outcome["outcome"], reporter)
        record = partial(self._logs[prediction_log.FEEDBACK].add, [row])
        return Answer(to_json({**outcome, "accepted": True}), record, status_code=202)

    def _scored(self, given: Lists) -> Scored:
        scored = self._scoring.scored(given)
        if scored.warnings:
            self._instruments.warned(scored.warnings)
        return scored

    def _record(self, scored: Scored) -> Callable[[], None]:
        """A function that counts and logs the predictions, to call once they have been sent."""

        def record() -> None:
            self._instruments.predicted(scored.judged["probability"], scored.judged["decision"])
            if not self._logs:
                return
            log, columns = self._logs[prediction_log.PREDICTIONS], self._named(scored.logged(self._logged))
            if len(scored.ids) == 1:  # a tuple takes a tenth of the memory of a column for each value
                log.add(list(zip(*columns, strict=True)))
            else:
                log.add_batch(columns)

        return record

    def _named(self, logged: Columns) -> Columns:
        """The columns of the log with the customers' ids, if any, in their logged form."""
        name = self._scorer.dataset.id
        if name not in self._logged:
            return logged
        place = len(prediction_log.COLUMNS) + self._logged.index(name)
        return [*logged[:place], list(map(self._as_logged, logged[place])), *logged[place + 1 :]]

    def _open_log(self, kind: str, schema: Any) -> Log:
        counts = self._instruments
        return Log(
            kind,
            schema,
            self._settings.log,
            prediction_log.root(),
            partial(counts.dropped, kind),
            partial(counts.waiting, kind),
            partial(counts.lives, kind),
        )

    def _model(self) -> dict[str, Any]:
        manifest, dataset = self._scorer.manifest, self._scorer.dataset
        return {
            **{name: manifest[name] for name in _TOLD},
            "dataset": dataset.model_dump(mode="json"),  # it also says how to read files
            "lineage": {name: value for name, value in manifest.items() if name not in _UNTOLD},
            "schema": self._reader.schemas["Customer"],
            "examples": manifest["examples"],
            "limits": self._settings.limits.model_dump(),
            "batches": [request.ROWS, request.COLUMNS],
        }

    def ready(self) -> Answer:
        """The model answers; a log whose writer has died is reported, but does not stop the answers."""
        logs = {kind: "alive" if log.alive else "dead" for kind, log in self._logs.items()}
        return Answer(to_json({"status": "ready", "logs": logs}))

    def _metrics(self) -> Answer:
        return Answer(self._instruments.exposition(), headers={"content-type": CONTENT_TYPE})


_TOLD = ("model_version", "data_version", "family", "threshold", "scores", "params")
_UNTOLD = {*_TOLD, "dataset", "examples", "background"}  # elsewhere in the answer, or internal
_PAGES = {"index.html": "/", "docs.html": "/docs"}


def _reasons(row: Row, gains: list[tuple[str, Any, float]]) -> list[dict[str, Any]]:
    return [{"field": name, "value": row[name], "contribution": gain} for name, _, gain in gains]


def _file(page: Path) -> Callable[[], Answer]:
    kind = mimetypes.guess_type(page)[0]
    return partial(Answer, page.read_bytes(), media_type=kind, headers=_PAGE if kind == "text/html" else None)


def _fixed(content: Any) -> Callable[[], Answer]:
    return partial(Answer, to_json(content))
