"""What ``make bench-serve`` measures the service against, each as its own documentation shows it, with the same pipeline.

``python -m tests.bench.rivals fastapi MODEL PORT`` serves the MLflow model MODEL. ``bentoml serve`` runs ``Constant``.
"""

import sys
from typing import Any

import bentoml


@bentoml.service(
    name="constant",
    workers=1,
    traffic={"timeout": 11},
    tracing={"excluded_urls": ".*"},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Constant:
    """The settings of ``bento.service``, and no work at all."""

    @bentoml.api
    async def predict(self, customer: dict[str, Any], /) -> dict[str, float]:
        """One probability for all."""
        return {"probability": 0.5}


def fastapi_service(model: str, port: int) -> None:
    """FastAPI over the scikit-learn pipeline: a data frame a request, no access log, uvicorn's C parser."""
    import mlflow
    import pandas as pd
    import uvicorn
    from fastapi import FastAPI

    pipeline, app = mlflow.sklearn.load_model(model), FastAPI()

    @app.post("/predict")
    async def predict(customer: dict[str, Any]) -> dict[str, float]:
        return {"probability": float(pipeline.predict_proba(pd.DataFrame([customer]))[0, 1])}

    @app.get("/readyz")
    async def ready() -> str:
        return "ready"

    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, loop="uvloop", http="httptools")


if __name__ == "__main__":
    _, _, given, at = sys.argv
    fastapi_service(given, int(at))
