"""What ``make run`` ends with: the newest DataFlow and TrainFlow runs in a few lines."""

import os

import base
from churn import tuning
from metaflow import Flow, namespace


def lines() -> list[str]:
    """The summary, line by line. Raises MetaflowNotFound if a flow has not run yet."""
    namespace(None)
    data, train = (Flow(name).latest_successful_run for name in ("DataFlow", "TrainFlow"))
    found, metric = train.data, "roc_auc"
    board = tuning.leaderboard(found.board, metric)
    scores = "  ".join(f"{name} {value:.4f}" for name, value in found.evaluation.scores.items())
    return [
        "",
        f"Data       {found.data_version}  ({found.rows:,} rows to train, {len(found.evaluation.outcome):,} held out)",
        *(f"{'Families' if i == 0 else '':<10} {c.family.name:<22} {metric} {c.best.scores[metric]:.4f} +- {c.spread:.4f}  "
          f"brier {-c.best.scores['neg_brier_score']:.4f}  {c.seconds:.0f} s" for i, c in enumerate(board)),
        f"Holdout    {scores}",
        f"Verdict    {found.verdict.summary}",
        f"Champion   version {found.champion.version} ({found.champion.tags['family']})",
        f"Bento      {found.bento}, served and compared with the model on holdout rows: largest difference {found.parity:.0e}",
        f"Cards      {base.python()} flows/data_flow.py card view {data.id}/validate",
        f"           {base.python()} flows/train_flow.py card view {train.id}/gate",
        f"Serve      make serve    # or: BENTOML_HOME={os.environ['BENTOML_HOME']} bentoml serve {found.bento}",
        "",
    ]  # fmt: skip


if __name__ == "__main__":
    print("\n".join(lines()))
