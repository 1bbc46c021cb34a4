"""The model for serving and batch scoring: an ONNX graph behind the one feature function, described by a manifest."""

import itertools
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from churn import format_version
from churn.data import features
from churn.errors import ChurnError
from churn.settings.core import from_dict
from churn.settings.dataset import Dataset, from_dump
from churn.settings.train import Worth
from churn.training import expected_profit

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

MODEL, MANIFEST, FORMAT = "model.onnx", "manifest.json", 1
FILES = (MODEL, MANIFEST)
PARITY = 1e-5
SHARE = 256  # the fewest rows that are worth a thread


class Scorer:
    """Raw columns in, probability and decision out.

    ``manifest`` holds the data set, the threshold, the ``worth`` of a customer (None if not configured), and the model's origin.
    """

    def __init__(self, folder: str | Path, threads: int = 1) -> None:
        """Load the model in ``folder``; with ``threads`` above 1, large batches are split among threads."""
        import onnxruntime

        self.manifest = manifest(folder)
        self.dataset: Dataset = from_dump(self.manifest["dataset"])
        self.threshold: float = self.manifest["threshold"]
        worth = self.manifest.get("value")
        self.worth = from_dict(Worth, worth, MANIFEST) if worth else None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # it would keep a pattern for every batch size seen
        self._session = onnxruntime.InferenceSession(str(Path(folder, MODEL)), options, ["CPUExecutionProvider"])
        # In the order of ``features.build``; names may differ from the columns' (ONNX allows no blanks, for example).
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "churn-score") if threads > 1 else None

    def probability(self, raw: Mapping[str, np.ndarray]) -> np.ndarray:
        """Churn probabilities of n customers, float32 of shape (n,); ``raw`` as ``features.from_rows`` returns it."""
        columns = features.build(self.dataset, raw).values()
        inputs = {name: values.reshape(-1, 1) for name, values in zip(self._inputs, columns, strict=True)}
        rows = len(next(iter(inputs.values())))
        shares = min(self._threads, rows // SHARE)
        if self._pool is None or shares < 2:
            return self._run(inputs)
        edges = [rows * i // shares for i in range(shares + 1)]
        parts = [{name: v[a:b] for name, v in inputs.items()} for a, b in itertools.pairwise(edges)]
        return np.concatenate(list(self._pool.map(self._run, parts)))

    def _run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return self._session.run(["probabilities"], inputs)[0][:, 1]

    def decide(self, raw: Mapping[str, np.ndarray], probability: np.ndarray) -> np.ndarray:
        """``expected_profit.decide`` with this model's threshold and ``worth``."""
        return expected_profit.decide(self.worth, raw, probability, self.threshold)

    def table(self, table: "pd.DataFrame") -> np.ndarray:
        """The ``probability`` of each row in a table."""
        return self.probability(features.from_frame(self.dataset, table))


def manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of the model in ``folder``.

    Raises:
        ChurnError: A newer release wrote it.
    """
    return format_version.opened(json.loads(Path(folder, MANIFEST).read_text(encoding="utf-8")), FORMAT, MANIFEST)


def write(folder: str | Path, pipeline: "Pipeline", described: Mapping[str, Any]) -> None:
    """Write a model for ``Scorer`` to ``folder``: a pipeline over model inputs, and ``described`` as its manifest."""
    from churn.training import onnx_export

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / MODEL).write_bytes(onnx_export.convert(pipeline, from_dump(described["dataset"])))
    (target / MANIFEST).write_text(json.dumps(format_version.stamped(described, FORMAT), indent=1), encoding="utf-8")


def check_parity(scorer: Scorer, pipeline: "Pipeline", table: "pd.DataFrame", seed: int) -> float:
    """The largest difference between the probabilities of ONNX and of the scikit-learn pipeline (see ``estimators.whole``).

    Compares them on the rows of ``table``, and on the same rows with random missing and unseen values.

    Raises:
        ChurnError: The difference is above PARITY.
    """
    worst = 0.0
    for rows in (table, with_damage(table, scorer.dataset, seed)):
        expected = pipeline.predict_proba(rows)[:, 1]
        worst = max(worst, float(np.abs(scorer.table(rows) - expected).max()))
    if worst > PARITY:
        raise ChurnError(
            f"{MODEL}: differs from the scikit-learn pipeline by {worst:.1e} (allowed: {PARITY:.0e}); "
            "it is not packaged. Impute missing values and do not scale trees for this model family."
        )
    return worst


def with_damage(table: "pd.DataFrame", dataset: Dataset, seed: int) -> "pd.DataFrame":
    """The same customers with random missing and unseen values."""
    rng = np.random.default_rng(seed)
    harmed = table.copy()
    for name, column in dataset.raw.items():
        hit = rng.random(len(table)) < 0.05
        if column.numeric:
            harmed[name] = harmed[name].astype("float64").mask(hit)
        else:
            harmed[name] = harmed[name].mask(hit).mask(rng.random(len(table)) < 0.05, "never seen before")
    return harmed
