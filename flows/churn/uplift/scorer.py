"""The uplift model for serving and batch scoring: an ONNX graph behind the one feature function, with a manifest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from churn import format_version
from churn.data import features
from churn.errors import ChurnError
from churn.settings.dataset import Dataset, from_dump
from churn.training import onnx_scorer, shapley

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

MODEL, MANIFEST, FORMAT = "uplift.onnx", "uplift.json", 1
FILES = (MODEL, MANIFEST)
CONTACT, LEAVE_ALONE = "contact", "leave alone"


class UpliftScorer:
    """Raw columns in, uplift and recommendation out; ``manifest`` holds the data set, the threshold and the origin."""

    def __init__(self, folder: str | Path) -> None:
        """Load the model in ``folder``. Raises ChurnError if a newer release wrote it."""
        import onnxruntime

        self.manifest: dict[str, Any] = format_version.opened(
            json.loads(Path(folder, MANIFEST).read_text(encoding="utf-8")), FORMAT, MANIFEST
        )
        self.dataset: Dataset = from_dump(self.manifest["dataset"])
        self.threshold: float = self.manifest["threshold"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # it would keep a pattern for every batch size seen
        self._session = onnxruntime.InferenceSession(str(Path(folder, MODEL)), options, ["CPUExecutionProvider"])
        self._inputs = [node.name for node in self._session.get_inputs()]

    def uplift(self, raw: Mapping[str, np.ndarray]) -> np.ndarray:
        """By how much a contact raises the probability of staying of n customers, float32 of shape (n,)."""
        columns = features.build(self.dataset, raw).values()
        inputs = {name: values.reshape(-1, 1) for name, values in zip(self._inputs, columns, strict=True)}
        return self._session.run(None, inputs)[0][:, 0]

    def recommend(self, uplift: np.ndarray) -> list[str]:
        """CONTACT where the uplift reaches the threshold, else LEAVE_ALONE."""
        return [CONTACT if one else LEAVE_ALONE for one in (uplift >= self.threshold).tolist()]

    def table(self, table: "pd.DataFrame") -> np.ndarray:
        """The ``uplift`` of each row in a table, float64."""
        return self.uplift(features.from_frame(self.dataset, table)).astype(np.float64)

    def explainer(self) -> shapley.Explainer:
        """An explainer of the uplift; its contributions add up to it."""
        return shapley.Explainer(self.dataset, self.uplift, self.manifest[shapley.BACKGROUND])


def write_uplift(folder: str | Path, pipeline: "Pipeline", described: Mapping[str, Any]) -> None:
    """Write a model for ``UpliftScorer`` to ``folder``: a pipeline over model inputs, and ``described`` as its manifest."""
    from churn.uplift import onnx_graph

    target = Path(folder)
    (target / MODEL).write_bytes(onnx_graph.convert_uplift(pipeline, from_dump(described["dataset"])))
    (target / MANIFEST).write_text(json.dumps(format_version.stamped(described, FORMAT), indent=1), encoding="utf-8")


def check_uplift_parity(scorer: UpliftScorer, pipeline: "Pipeline", table: "pd.DataFrame", seed: int) -> None:
    """Raise ChurnError unless ONNX and the scikit-learn pipeline agree, also on missing and unseen values."""
    for rows in (table, onnx_scorer.with_damage(table, scorer.dataset, seed)):
        worst = float(np.abs(scorer.table(rows) - pipeline.predict(rows)).max())
        if worst > onnx_scorer.PARITY:
            raise ChurnError(
                f"{MODEL}: differs from the scikit-learn pipeline by {worst:.1e} (allowed: {onnx_scorer.PARITY:.0e}); it is "
                "not registered. Impute missing values and do not scale trees for this model family."
            )
