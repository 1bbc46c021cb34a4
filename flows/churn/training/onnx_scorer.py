"""The model as it is served and scored: an ONNX graph behind the one feature function, described by a manifest."""

import itertools
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from churn import format_version
from churn.data import features
from churn.errors import ChurnError
from churn.settings.core import check
from churn.settings.dataset import Dataset, read
from churn.settings.train import Worth
from churn.training import expected_profit

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

MODEL, MANIFEST, FORMAT = "model.onnx", "manifest.json", 1
PARITY = 1e-5
SHARE = 256  # rows worth a thread of their own


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Scorer:
    """Raw columns in, probability out, and the decision. ``manifest`` holds the data set, the threshold, what a customer is
    ``worth`` (None: nobody said) and where the model comes from.

    With ``threads`` above 1, many customers at once are shared out among threads.
    """

    def __init__(self, folder: str | Path, threads: int = 1) -> None:
        import onnxruntime

        self.manifest = manifest(folder)
        self.dataset: Dataset = read(self.manifest["dataset"])
        self.threshold: float = self.manifest["threshold"]
        worth = self.manifest.get("value")
        self.worth = check(Worth, worth, MANIFEST) if worth else None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # it would remember one for every number of rows it has seen
        self._session = onnxruntime.InferenceSession(str(Path(folder, MODEL)), options, ["CPUExecutionProvider"])
        # In the order of ``features.build``; their names are not always the columns' (ONNX allows no blanks, for one).
        self._inputs = [given.name for given in self._session.get_inputs()]
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "churn-score") if threads > 1 else None

    def probability(self, raw: Mapping[str, np.ndarray]) -> np.ndarray:
        """Churn probability of n customers, float32 of shape (n,); ``raw`` as ``features.from_rows`` makes it."""
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
        """``value.decide`` by this model's threshold and ``worth``."""
        return expected_profit.decide(self.worth, raw, probability, self.threshold)

    def table(self, table: "pd.DataFrame") -> np.ndarray:
        """``probability`` of a table's rows."""
        return self.probability(features.from_frame(self.dataset, table))


def manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a model's folder. Raises ChurnError if a newer release wrote it."""
    return format_version.opened(json.loads(Path(folder, MANIFEST).read_text(encoding="utf-8")), FORMAT, MANIFEST)


def write(folder: str | Path, pipeline: "Pipeline", described: Mapping[str, Any]) -> None:
    """Write the model's folder, ``described`` in its manifest (see ``Scorer``). ``pipeline`` starts at the model inputs (see
    ``models.build``).
    """
    from churn.training import onnx_export

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / MODEL).write_bytes(onnx_export.convert(pipeline, read(described["dataset"])))
    (target / MANIFEST).write_text(json.dumps(format_version.stamped(described, FORMAT), indent=1), encoding="utf-8")


def check_parity(scorer: Scorer, whole: "Pipeline", table: "pd.DataFrame", seed: int) -> float:
    """Largest difference between ONNX and the scikit-learn pipeline (see ``models.whole``) on the table's rows, and on
    the same rows with missing and unseen values strewn in. Raises ChurnError above PARITY.
    """
    worst = 0.0
    for rows in (table, _damaged(table, scorer.dataset, seed)):
        expected = whole.predict_proba(rows)[:, 1]
        worst = max(worst, float(np.abs(scorer.table(rows) - expected).max()))
    if worst > PARITY:
        raise ChurnError(
            f"{MODEL}: differs from the scikit-learn pipeline by {worst:.1e} (allowed: {PARITY:.0e}); "
            "it is not packaged. Impute missing values and do not scale trees for this model family."
        )
    return worst


def _damaged(table: "pd.DataFrame", dataset: Dataset, seed: int) -> "pd.DataFrame":
    rng = np.random.default_rng(seed)
    damaged = table.copy()
    for name, column in dataset.raw.items():
        hit = rng.random(len(table)) < 0.05
        if column.numeric:
            damaged[name] = damaged[name].astype("float64").mask(hit)
        else:
            damaged[name] = damaged[name].mask(hit).mask(rng.random(len(table)) < 0.05, "never seen before")
    return damaged
