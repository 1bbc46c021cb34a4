"""What ``make run`` ends with: the newest DataFlow and TrainFlow runs in a few lines."""

import os
from typing import Any

import base
from metaflow import Flow, namespace


def lines() -> list[str]:
    """The summary, line by line. Raises MetaflowNotFound if a flow has not run yet."""
    namespace(None)
    data, last = (Flow(name).latest_successful_run for name in ("DataFlow", "TrainFlow"))
    model = last.data.champion.name  # of this data set: the newest training may be of another one
    train = next(
        run
        for run in Flow("TrainFlow")
        if run.successful and not run.data.nothing_to_do and run.data.champion.name == model
    )
    found, served = train.data, last.data
    held_out = len(found.evaluation.outcome)
    scores = "  ".join(f"{name} {value:.4f}" for name, value in found.evaluation.scores.items())
    stored = "" if data.data.saved.uploaded else "; stored already, nothing uploaded"
    serve = f"make serve DATASET={data.data.description['name']}"
    return [
        "",
        f"Data       {found.data_version}  ({found.rows:,} rows to train, {held_out:,} held out{stored})",
        *(f"{'Families' if i == 0 else '':<10} {_family(candidate)}" for i, candidate in enumerate(found.board)),
        f"Holdout    {scores}",
        f"Verdict    {getattr(served, 'known', None) or found.verdict.summary}",
        f"Champion   version {served.champion.version} ({served.champion.tags['family']})",
        f"Bento      {served.bento}, served and compared with the model on holdout rows: largest difference {served.parity:.0e}",
        f"Cards      {base.python()} flows/data_flow.py card view {data.id}/validate",
        f"           {base.python()} flows/train_flow.py card view {train.id}/gate",
        f"Serve      {serve}    # or: BENTOML_HOME={os.environ['BENTOML_HOME']} bentoml serve {served.bento}",
        "",
    ]


def _family(candidate: Any) -> str:
    best, (low, high) = candidate.best.scores, candidate.interval
    return (
        f"{candidate.family.name:<22} roc_auc {best['roc_auc']:.4f} ({low:.4f} to {high:.4f})  "
        f"brier {-best['neg_brier_score']:.4f}  {candidate.seconds:.0f} s"
    )


if __name__ == "__main__":
    print("\n".join(lines()))
