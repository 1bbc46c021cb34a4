"""A model of another company's customers (blanks and umlauts in names, gaps, a date) behind the service's own ASGI
application: what BentoML would start, without its processes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import other_data
from churn.data import casting, features, synthetic, tables
from churn.schema_inference import infer
from churn.serving import packaging
from churn.settings.train import Family
from churn.training import estimators, onnx_scorer, shapley

from tests.bench import common


@contextmanager
def served(folder: Path) -> Iterator[SimpleNamespace]:
    """Its url, dataset, table and pipeline; the model's files lie in ``folder``."""
    import uvicorn

    from bento.endpoints import Endpoints
    from bento.settings import ServeConfig

    frame = other_data.narrow(600, seed=1)
    dataset = infer.describe(frame, "bank", "bank.csv").dataset
    table = tables.from_bytes(tables.to_bytes(casting.cast(frame, dataset)[0]))
    family = Family(name="linear", estimator="sklearn.linear_model.LogisticRegression", impute=True, scale=True)
    pipeline = estimators.build_pipeline(family, dataset, 0, {}).fit(
        features.frame(dataset, table), features.outcome(dataset, table)
    )
    manifest = {
        "dataset": dataset.model_dump(mode="json"), "threshold": 0.3, "model_version": "1", "data_version": "other",
        "family": "linear", "scores": {}, "params": {}, shapley.BACKGROUND: shapley.background(dataset, table, 0),
        "examples": packaging.json_rows(dataset, synthetic.generate(dataset, 5, 0)),
    }  # fmt: skip
    onnx_scorer.write(folder, pipeline, manifest)
    settings = ServeConfig.model_validate({"log": {"enabled": False}, "input": {"unknown_category": "unseen"}})
    port = common.free_port()
    app = Endpoints(onnx_scorer.Scorer(folder), settings).app()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield SimpleNamespace(url=f"http://127.0.0.1:{port}", dataset=dataset, table=table, pipeline=pipeline)
    server.should_exit = True
    thread.join()
