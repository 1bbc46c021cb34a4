"""The training data of uplift models: logged campaigns with known outcomes, or a trial assigned elsewhere."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from churn.campaigns import campaign_log, outcomes
from churn.data import casting
from churn.errors import ChurnError
from churn.serving import prediction_log
from churn.settings import commands
from churn.settings.dataset import Dataset
from churn.settings.score import Judgement
from churn.settings.train import UpliftRule
from churn.uplift import outcome_rows

if TYPE_CHECKING:
    import pandas as pd


def gather_outcomes(rule: UpliftRule | None, dataset: Dataset) -> tuple[bytes | None, list[str]]:
    """The customers with arm and outcome, in the form of ``outcome_rows``, and a description of their number.

    None without [uplift], or if an arm has fewer than ``least`` customers who stayed or who churned: only churn is trained then.
    Raises ChurnError for a file that cannot be read.
    """
    if rule is None:
        return None, []
    gathered = _of_trial(rule, dataset) if rule.trial is not None else _of_log(rule, dataset)
    if gathered is None:
        return None, ["Uplift: the campaign log has no customers whose outcome is known; churn alone is trained"]
    table, arrays = gathered
    content = outcome_rows.rows_to_bytes(table, **arrays)
    rows = outcome_rows.rows_from_bytes(content, dataset)
    summary = f"Uplift: outcomes of {len(table):,} customers, {int(rows.contacted.sum()):,} of them contacted"
    if rows.fewest() < rule.least:
        fewest = f"in one arm only {rows.fewest():,} stayed or churned, [uplift] least = {rule.least}"
        return None, [f"{summary}; {fewest}: churn alone is trained"]
    return content, [summary]


def _of_trial(rule: UpliftRule, dataset: Dataset) -> "tuple[pd.DataFrame, dict[str, np.ndarray]]":
    trial = rule.trial
    assert trial is not None
    table, arm, complete = outcomes.trial_table(trial, dataset)
    wanted = [*([dataset.id] if dataset.id is not None else []), *dataset.raw]
    place = commands.settings("train.toml")
    if missing := [name for name in wanted if name not in table]:
        raise ChurnError(
            f"{trial.path}: no column {', '.join(missing)}, which the data set {dataset.name} has; the trial of [uplift] in "
            f"{place} needs the columns that the model learns from"
        )
    if missing := sorted(set(rule.arms) - set(arm[complete]) | set(rule.arms) & {trial.control}):
        raise ChurnError(
            f"{trial.path}: [uplift] arms in {place}: {', '.join(missing)} is not a contacted arm of column {trial.arm}; it has "
            f"{', '.join(sorted(set(arm[complete]) - {trial.control}))}"
        )
    complete = complete & np.isin(arm, [trial.control, *(rule.arms or arm[complete])])
    lost = outcomes.trial_outcome(table[trial.outcome][complete], trial)
    if lost.dtype != bool:
        raise ChurnError(f"{trial.path}: {trial.outcome} is not a yes-or-no outcome, which [uplift] in {place} needs")
    contacted = arm[complete] != trial.control
    customers = casting.cast(table[complete].reset_index(drop=True), dataset)[0][wanted]
    share = np.full(len(lost), contacted.mean())
    return customers, _own(~lost, contacted, share, np.full(len(lost), np.nan))


def _of_log(rule: UpliftRule, dataset: Dataset) -> "tuple[pd.DataFrame, dict[str, np.ndarray]] | None":
    """The customers of all campaigns whose features were logged."""
    import pandas as pd

    log, column = campaign_log.read(dataset), campaign_log.identifier(dataset)
    now, judged = datetime.now(UTC), Judgement(horizon_days=rule.horizon_days)
    ripe = log[log.time + timedelta(days=rule.horizon_days) <= now]
    if ripe.empty:
        return None
    parts = []
    for _, one in ripe.groupby("campaign", sort=True):
        known_outcomes = outcomes.told_outcomes(one, column, dataset, judged, now, rule.outcomes, rule.data_version)
        parts.append(one.merge(known_outcomes[[column, "outcome"]], on=column).dropna(subset=["outcome"]))
    customers = pd.concat(parts)
    rows = customers.merge(_logged(customers, dataset), on="prediction_id")
    if rows.empty:
        return None
    contacted = (rows.arm == campaign_log.CONTACT).to_numpy()
    arrays = _own(~rows.outcome.to_numpy(dtype=bool), contacted, 1 - rows.share.to_numpy(), rows.probability.to_numpy())
    return casting.cast(rows, dataset)[0][[column, *dataset.raw]], arrays


def _logged(customers: "pd.DataFrame", dataset: Dataset) -> "pd.DataFrame":
    """The prediction ids of the customers, and their raw columns as the prediction log has them."""
    from pyarrow import dataset as arrow

    mine = arrow.field("prediction_id").isin(customers.prediction_id.tolist())
    first, last = customers.time.min().to_pydatetime(), customers.time.max().to_pydatetime() + timedelta(seconds=1)
    rows = prediction_log.rows_between(
        prediction_log.PREDICTIONS, prediction_log.schema(dataset), first, last, prediction_log.root(), None, mine
    )
    rows = rows.astype({"prediction_id": "str"}).drop_duplicates("prediction_id")
    return rows[["prediction_id", *dataset.raw]]


def _own(kept: np.ndarray, contacted: np.ndarray, share: np.ndarray, risk: np.ndarray) -> dict[str, np.ndarray]:
    return {"kept": kept.astype(float), "contacted": contacted.astype(float), "share": share, "risk": risk}
