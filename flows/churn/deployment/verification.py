"""Before anything is rolled out: is this Bento what the registry says, may it be served, and do its callers still fit?"""

import tempfile
from collections.abc import Iterator

from churn.deployment import request_schema
from churn.deployment.checks import Check
from churn.errors import ChurnError
from churn.registry import gate, made_up
from churn.registry.model_registry import Registered
from churn.serving import packaging, reference
from churn.training import onnx_scorer

KEPT_ROWS = 500


def licence(model: Registered, served: Registered | None) -> Iterator[Check]:
    """Whether the version may be served: it was judged, and a model of made-up customers does not follow one of real ones."""
    judged = model.tags.get(gate.SUMMARY) or model.tags.get("promotion", "")
    yield Check("gate", bool(judged), judged or "there is no evidence of a gate; only TrainFlow's models are served")
    real = served is not None and made_up.was(model) and not made_up.was(served)
    yield Check(
        "made-up customers",
        not real,
        f"the model learned from made-up customers, version {served.version} from real ones"
        if real and served is not None
        else "no model of real customers is replaced by one of made-up ones",
    )


def answers(model: Registered, tag: str, served_url: str, breaking: bool) -> Iterator[Check]:
    """Serve a copy of the Bento, and look at what it answers on kept rows and at what it takes, beside the service at
    ``served_url``, if there is one."""
    kept = reference.load(model)
    rows = kept.table.head(KEPT_ROWS)
    with tempfile.TemporaryDirectory() as log:
        try:
            with packaging.served(tag, CHURNFLOW_PREDICTIONS=log, CHURNFLOW_API_KEYS="") as url:
                schema = request_schema.of(url)
                expected = rows["probability"].to_numpy()
                worst = packaging.differ(url, packaging.json_rows(kept.dataset, rows), expected)
        except ChurnError as error:
            yield Check("start", False, str(error))
            return
    yield Check("parity", worst <= onnx_scorer.PARITY, f"largest difference on {len(rows)} kept rows: {worst:.0e}")
    yield _compatible(schema, served_url, breaking)


def _compatible(schema: request_schema.Schema, served_url: str, breaking: bool) -> Check:
    if not served_url:
        return Check("request schema", True, "nothing is served yet")
    changes = request_schema.breaking(request_schema.of(served_url), schema)
    said = "; ".join(changes) or "takes all that the served one takes"
    if changes and not breaking:
        said += " (deploy with --breaking if no caller sends that)"
    return Check("request schema", breaking or not changes, said)
