"""The success rate of contacts as randomised campaigns measured it: of those who would churn, the share that a contact keeps."""

import numpy as np
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.dataset import Dataset
from churn.settings.train import Worth
from churn.uplift import outcome_rows
from churn.uplift.outcome_rows import OutcomeRows

TENTHS = 10
LEAST = 1e-6  # of a rate: where contacts kept nobody, none pays


def measured(worth: Worth | None, outcomes: bytes | None, dataset: Dataset) -> Worth | None:
    """``worth`` with its success rate as a number, and with ``evidence`` where it is to be "measured" by the ``outcomes``.

    Raises ChurnError if there are no outcomes to measure it by.
    """
    if worth is None or worth.success_rate != "measured":
        return worth
    if outcomes is None:
        raise ChurnError(
            f'[value] success_rate = "measured": there are not enough outcomes of campaigns; {commands.settings("train.toml")} '
            "[uplift] says where they come from, and how many it takes; give a number as success_rate until then"
        )
    rows = outcome_rows.rows_from_bytes(outcomes, dataset)
    everybody = np.ones(len(rows.kept), dtype=bool)
    evidence = [(1.0, *success_rate(rows, everybody))]
    if not np.isnan(rows.risk).any():
        tenth = np.argsort(np.argsort(rows.risk, kind="stable")) * TENTHS // len(rows.risk)
        parts = [tenth == number for number in range(TENTHS)]
        usable = [part for part in parts if rows.of(part).fewest() > 0]
        evidence += [(float(rows.risk[part].max()), *success_rate(rows, part)) for part in usable]
    rate = float(np.clip(evidence[0][1], LEAST, 1))
    return worth.model_copy(update={"success_rate": rate, "evidence": tuple(evidence)})


def success_rate(rows: OutcomeRows, among: np.ndarray) -> tuple[float, float, float]:
    """One less the ratio of both arms' churn ``among`` customers (bool of shape (n,)), with its 95 % interval.

    The arms are weighted by the probability of being drawn; the interval is that of the logarithm (Katz et al. 1978).
    """
    lost, arms = 1 - rows.kept[among], (rows.contacted[among], ~rows.contacted[among])
    chances = (rows.share[among], 1 - rows.share[among])
    churn = [float(np.average(lost[arm], weights=1 / chance[arm])) for arm, chance in zip(arms, chances, strict=True)]
    error = np.sqrt(sum((1 - p) / (p * arm.sum()) for p, arm in zip(churn, arms, strict=True)))
    ratio, factor = churn[0] / churn[1], float(np.exp(1.96 * error))
    return 1 - ratio, 1 - ratio * factor, 1 - ratio / factor
