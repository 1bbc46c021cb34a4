"""A service's self-test before it answers: the model's files are those packed, and predict the same as then."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from churn.data import features
from churn.errors import ChurnError
from churn.storage import checksums
from churn.training.onnx_scorer import PARITY, Scorer, manifest
from churn.uplift.scorer import UpliftScorer

FILE = "proof.json"  # in a Bento, beside this module: the files' checksums, and the probabilities for the manifest's examples


def proven_scorer(folder: Path, proof: Path, threads: int) -> Scorer:
    """The model in ``folder``, ready to score. Raises ChurnError if it is not the packed one."""
    noted = json.loads(proof.read_text(encoding="utf-8"))
    if harmed := checksums.mismatched(folder, noted["files"]):
        raise ChurnError(
            f"{', '.join(harmed)} in {folder}: not as it was packed; remove that folder and build the Bento again"
        )
    scorer = Scorer(folder, threads)
    answers = scorer.probability(features.from_rows(scorer.dataset, scorer.manifest["examples"]))
    off = float(np.abs(answers - np.array(noted["probability"])).max())
    if not off <= PARITY:  # also fails for NaN
        raise ChurnError(
            f"the model in {folder} answers its examples differently from when it was packed, by {off:.1e} (allowed: "
            f"{PARITY:.0e}): the packages or the processor differ; build the Bento again here"
        )
    return scorer


def proven_uplift(folder: Path, proof: Path) -> UpliftScorer | None:
    """The uplift model in ``folder``; None if none was packed. Raises ChurnError if it is not the packed one.

    ``proven_scorer`` has already compared the files.
    """
    noted = json.loads(proof.read_text(encoding="utf-8"))
    if "uplift" not in noted:
        return None
    scorer = UpliftScorer(folder)
    answers = scorer.uplift(features.from_rows(scorer.dataset, manifest(folder)["examples"]))
    off = float(np.abs(answers - np.array(noted["uplift"])).max())
    if not off <= PARITY:
        raise ChurnError(
            f"the model of uplift in {folder} answers its examples differently from when it was packed, by {off:.1e} (allowed: "
            f"{PARITY:.0e}); build the Bento again here"
        )
    return scorer


class Unready:
    """The application of a service that failed its self-test: 503 and the reason on every path but ``/livez``."""

    def __init__(self, reason: str) -> None:
        """``reason`` is returned to callers."""
        self._reason = reason

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one ASGI request."""
        alive = scope["path"] == "/livez"
        content = {"status": "alive"} if alive else {"status": 503, "error": self._reason, "problems": []}
        body = json.dumps(content).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200 if alive else 503, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
