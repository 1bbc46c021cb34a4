"""A service is asked only if its model is the one that was packed, and answers as it did then."""

import asyncio
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from churn.data import features, synthetic
from churn.errors import ChurnError
from churn.serving import packaging
from churn.settings.dataset import Dataset
from churn.storage import checksums
from churn.training import onnx_scorer

from bento import self_test


@pytest.fixture(scope="module")
def packed(telco: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with its examples, and its proof beside it."""
    from churn.settings.train import Family
    from churn.training import estimators
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    folder = tmp_path_factory.mktemp("packed")
    table = synthetic.generate(telco, 400, 1)
    family = Family(name="lr", estimator="sklearn.linear_model.LogisticRegression", impute=True, scale=True)
    pipeline: Pipeline = estimators.build_pipeline(family, telco, 0, {"max_iter": 200})
    assert isinstance(pipeline.steps[-1][1], LogisticRegression)
    pipeline.fit(features.frame(telco, table), features.outcome(telco, table))
    described = {"dataset": telco.model_dump(mode="json"), "threshold": 0.5, "examples": packaging.examples(telco)}
    onnx_scorer.write(folder / "model", pipeline, described)
    scorer = onnx_scorer.Scorer(folder / "model")
    found = scorer.probability(features.from_rows(telco, described["examples"]))
    proof = {"files": checksums.folder_sha256(folder / "model"), "probability": found.astype(np.float64).tolist()}
    (folder / self_test.FILE).write_text(json.dumps(proof))
    return folder


@pytest.fixture
def own(packed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(packed, tmp_path / "own"))


def _opened(folder: Path) -> onnx_scorer.Scorer:
    return self_test.proven_scorer(folder / "model", folder / self_test.FILE, 1)


def _flips(folder: Path, number: int, seed: int) -> None:
    """Each time one bit of a file of the model: it is not served, and the file is named."""
    rng = random.Random(seed)
    for _ in range(number):
        file = folder / "model" / rng.choice(onnx_scorer.FILES)
        content = file.read_bytes()
        changed, bit = bytearray(content), rng.randrange(8 * len(content))
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        with pytest.raises(ChurnError, match=f"^{file.name} in .* not as it was packed"):
            _opened(folder)
        file.write_bytes(content)
    _opened(folder)


def test_no_flipped_bit_is_served(own: Path) -> None:
    _flips(own, 20, 0)


@pytest.mark.slow
def test_none_of_a_thousand_flipped_bits_is_served(own: Path) -> None:
    _flips(own, 1000, 1)


@pytest.mark.parametrize("off", [2e-5, float("nan")])
def test_a_model_that_answers_otherwise_here_is_not_served(own: Path, off: float) -> None:
    """Other packages, or another processor: the same bytes."""
    file = own / self_test.FILE
    proof = json.loads(file.read_text())
    proof["probability"][3] += off
    file.write_text(json.dumps(proof))
    with pytest.raises(ChurnError, match="answers its examples differently from when it was packed"):
        _opened(own)


def _asked(app: Callable[..., Any], path: str, method: str = "GET") -> tuple[int, bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "path": path, "method": method, "headers": []}, None, send))
    return sent[0]["status"], sent[1]["body"]


def test_a_service_that_is_not_ready_says_why_and_is_alive() -> None:
    app = self_test.Unready("model.onnx: not as it was packed")
    for path in ("/readyz", "/predict", "/metrics"):
        status, body = _asked(app, path)
        assert (status, json.loads(body)["error"]) == (503, "model.onnx: not as it was packed")
    assert _asked(app, "/livez") == (200, b'{"status": "alive"}')
    assert _asked(app, "/readyz", "HEAD") == (503, b"")
