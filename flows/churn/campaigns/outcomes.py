"""The outcomes of a campaign's customers, from a file, a data version or the service's feedback; or of an external trial."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from churn.campaigns import campaign_log
from churn.data import casting, snapshots, sources, tables
from churn.errors import ChurnError
from churn.files import header_lines
from churn.monitoring import labels
from churn.serving import prediction_log
from churn.settings import commands
from churn.settings.dataset import Dataset
from churn.settings.description.spelling import fold
from churn.settings.score import CampaignConfig, Judgement, RandomisedTrial
from churn.storage import keyed_ids

if TYPE_CHECKING:
    import pandas as pd

MOST_LEVELS = 50  # of a text covariate: each becomes a column


@dataclass(frozen=True)
class Experiment:
    """A randomised trial of n customers whose outcomes are known.

    ``arm`` has the arms' names, shape (n,), and ``control`` is the one left alone. ``lost`` is what a contact should lower: churn
    (bool), or a number; ``good`` means that the outcome should rise and its sign is flipped. ``stratum`` (int), ``covariates``
    (n, k), ``delivered`` (bool), and the models' ``risk`` and ``uplift`` are None if unknown. ``cost`` is each customer's.
    Beyond the n customers, ``waiting`` counts those too early to judge, until ``due``; ``unknown`` counts, by arm, those who
    should have an outcome; ``elsewhere`` those held back whom another campaign contacted. ``closed`` means that no outcomes
    will be added.
    """

    arm: np.ndarray
    control: str
    lost: np.ndarray
    cost: np.ndarray
    good: bool = False
    stratum: np.ndarray | None = None
    covariates: np.ndarray | None = None
    delivered: np.ndarray | None = None
    risk: np.ndarray | None = None
    uplift: np.ndarray | None = None
    waiting: int = 0
    due: str = ""
    unknown: dict[str, int] = field(default_factory=dict)
    elsewhere: int = 0
    closed: bool = False

    @property
    def outstanding(self) -> int:
        """Outcomes that may still come."""
        return 0 if self.closed else self.waiting + sum(self.unknown.values())

    @property
    def treatments(self) -> list[str]:
        """The contacted arms."""
        return sorted(set(self.arm.tolist()) - {self.control})


def experiment(
    campaign: str, dataset: Dataset, rule: CampaignConfig, until: str = "", file: str = "", version: str = ""
) -> Experiment:
    """The trial in the settings, if there is one, else the campaign in the log as of ``until`` (see ``judged_at``)."""
    at = judged_at(until)
    if rule.trial is not None:
        return from_trial(rule.trial, dataset)
    return from_campaign(campaign, dataset, rule.report, at, file, version)


def judged_at(until: str) -> datetime:
    """``until`` as a time (ISO 8601, UTC; "": now). Raises ChurnError if it is not one."""
    try:
        at = datetime.fromisoformat(until) if until else datetime.now(UTC)
    except ValueError:
        raise ChurnError(f"until: {until!r} is not a time; write it as 2026-11-25 or 2026-11-25T06:00 (UTC)") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def trial_table(trial: RandomisedTrial, dataset: Dataset) -> "tuple[pd.DataFrame, np.ndarray, np.ndarray]":
    """The trial's table, each customer's arm, and whether arm and outcome are known (bool).

    Raises ChurnError for a missing column or level.
    """
    table = header_lines.drop_repeated(
        tables.from_bytes(sources.read(sources.named(trial.path), dataset)[0]), trial.path
    )[0]
    wanted = [trial.arm, trial.outcome, *trial.covariates, *([trial.delivered] if trial.delivered else [])]
    if missing := [name for name in wanted if name not in table]:
        raise ChurnError(
            f"{trial.path}: no column {', '.join(missing)}, which [trial] of {commands.settings('campaign.toml')} names; "
            f"the file has: {', '.join(map(str, table.columns))}"
        )
    texts = casting.as_text(table[trial.arm])
    complete = (texts.notna() & table[trial.outcome].notna()).to_numpy(dtype=bool)
    arm = texts.astype("str").to_numpy(dtype=object)
    levels = sorted(set(arm[complete]))
    if trial.control not in levels or len(levels) < 2:
        raise ChurnError(
            f"{trial.path}: column {trial.arm} has the levels {', '.join(map(repr, levels[:9]))}; control = {trial.control!r} "
            "must be one of them, and not the only one"
        )
    return table, arm, complete


def from_trial(trial: RandomisedTrial, dataset: Dataset) -> Experiment:
    """The trial in a file. Raises ChurnError for a missing column, level or outcome."""
    table, arm, complete = trial_table(trial, dataset)
    lost = trial_outcome(table[trial.outcome][complete], trial)
    delivered = _affirmed(table[trial.delivered][complete]) if trial.delivered else None
    unknown = {str(level): int((~complete & (arm == level)).sum()) for level in np.unique(arm[complete])}
    return Experiment(
        arm[complete],
        trial.control,
        lost,
        np.where(arm[complete] == trial.control, 0.0, trial.cost),
        trial.good,
        covariates=_covariates(table[complete], trial),
        delivered=delivered,
        unknown={level: count for level, count in unknown.items() if count},
        closed=True,
    )


def trial_outcome(values: "pd.Series", trial: RandomisedTrial) -> np.ndarray:
    """The outcome, signed so that a contact should lower it; bool where it is 0 or 1."""
    import pandas as pd

    words = casting.as_text(values).map(lambda text: fold(str(text)))
    if trial.positive:
        if not (words == fold(trial.positive)).any():
            raise ChurnError(
                f"{trial.path}: {trial.outcome} is never {trial.positive!r}; correct 'positive' of [trial]"
            )
        outcome = (words == fold(trial.positive)).to_numpy(dtype=np.float64)
    else:
        numbers = pd.to_numeric(words.replace({"true": "1", "false": "0"}), errors="coerce")
        if numbers.isna().any():
            bad = values[numbers.isna()].iloc[0]
            raise ChurnError(
                f'{trial.path}: {trial.outcome}: {bad!r} is not a number; say which word counts as 1: positive = "..." of [trial]'
            )
        outcome = numbers.to_numpy(dtype=np.float64)
    if np.isin(outcome, (0.0, 1.0)).all():
        return outcome == (0.0 if trial.good else 1.0)
    return outcome * (-1.0 if trial.good else 1.0)


def _covariates(table: "pd.DataFrame", trial: RandomisedTrial) -> np.ndarray | None:
    """Numeric covariates as they are, text as one column per level; missing values become the mean.

    Raises ChurnError for text with more than MOST_LEVELS levels.
    """
    import pandas as pd

    if not trial.covariates:
        return None
    # Text files have no types: a column is numeric if every cell is a number.
    texts = {name: casting.as_text(table[name]).astype("object") for name in trial.covariates}
    numbers = {name: pd.to_numeric(column, errors="coerce").astype("float64") for name, column in texts.items()}
    words = [name for name, column in texts.items() if (column.notna() & numbers[name].isna()).any()]
    for name in words:
        if (levels := texts[name].nunique()) > MOST_LEVELS:
            raise ChurnError(
                f"{trial.path}: {name} has {levels:,} different texts, and a covariate of text at most {MOST_LEVELS}; name "
                "others as covariates of [trial], or write numbers in this column"
            )
    columns = pd.DataFrame({name: (texts if name in words else numbers)[name] for name in trial.covariates})
    coded = pd.get_dummies(columns, columns=words, drop_first=True, dtype=float).astype("float64")
    coded = coded.loc[:, coded.nunique() > 1]
    return coded.fillna(coded.mean()).to_numpy() if len(coded.columns) else None


def _affirmed(values: "pd.Series") -> np.ndarray:
    words = casting.as_text(values).fillna("").map(lambda text: fold(str(text)))
    return ~words.isin(("", "no", "n", "false", "0", "0.0")).to_numpy(dtype=bool)


def from_campaign(
    campaign: str, dataset: Dataset, rule: Judgement, until: datetime, file: str = "", version: str = ""
) -> Experiment:
    """The campaign in the log, with outcomes from ``file`` or the data version ``version``, else from the service's feedback.

    Raises ChurnError if there is no such campaign, or its outcomes cannot be read.
    """
    log, column = campaign_log.read(dataset), campaign_log.identifier(dataset)
    assigned = log[(log.campaign == campaign) & (log.time <= until)]
    if assigned.empty:
        campaigns = ", ".join(sorted(set(log.campaign))) or "none yet"
        again = commands.say("campaign", NAME=campaign, SOURCE=commands.FILE, DATASET=dataset.name)
        raise ChurnError(
            f"the log of data set {dataset.name} has no campaign {campaign!r}; it has: {campaigns}. Plan it: {again}"
        )
    known_outcomes = told_outcomes(assigned, column, dataset, rule, until, file, version)
    ripe = (assigned.time + timedelta(days=rule.horizon_days) <= until).to_numpy()
    rows = assigned[ripe].merge(known_outcomes, how="left", on=column)
    lacking = rows.outcome.isna().to_numpy()
    known_rows = rows[~lacking]
    others = log[(log.campaign != campaign) & (log.arm == campaign_log.CONTACT) & (log.time <= until)]
    both = known_rows[known_rows.arm == campaign_log.CONTROL].merge(
        others[[column, "time"]], on=column, suffixes=("", "_other")
    )
    soon = (both.time_other >= both.time) & (both.time_other <= both.time + timedelta(days=rule.horizon_days))
    several = known_rows.offer[known_rows.arm == campaign_log.CONTACT].nunique() > 1
    arm = known_rows.offer if several else known_rows.arm
    arm = arm.where(known_rows.arm == campaign_log.CONTACT, campaign_log.CONTROL)
    due = assigned.time[~ripe].max() + timedelta(days=rule.horizon_days) if not ripe.all() else None
    return Experiment(
        arm.to_numpy(dtype=object),
        campaign_log.CONTROL,
        known_rows.outcome.to_numpy(dtype=bool),
        known_rows.cost.to_numpy(dtype=np.float64),
        stratum=known_rows.stratum.to_numpy(),
        covariates=known_rows[["probability"]].to_numpy(dtype=np.float64),
        delivered=_affirmed(known_rows[rule.delivered]) if rule.delivered in known_rows else None,
        risk=known_rows.probability.to_numpy(dtype=np.float64),
        uplift=None if known_rows.uplift.isna().any() else known_rows.uplift.to_numpy(dtype=np.float64),
        waiting=int((~ripe).sum()),
        due=f"{due:%Y-%m-%d}" if due is not None else "",
        unknown={str(name): int(count) for name, count in rows.arm[lacking].value_counts().items()},
        elsewhere=int(both[soon][column].nunique()),
    )


def told_outcomes(
    assigned: "pd.DataFrame", column: str, dataset: Dataset, rule: Judgement, until: datetime, file: str, version: str
) -> "pd.DataFrame":
    """Keyed id, ``outcome`` (bool: churned within the horizon) and, from a file, whether the contact was delivered."""
    if file:
        outcomes = _from_file(assigned, column, dataset, rule, file)
    elif version:
        outcomes = _keyed(_from_version(version, dataset), column)
    else:
        outcomes = _from_feedback(assigned, column, rule, until)
    return outcomes.drop_duplicates(column, keep="last")


def _keyed(table: "pd.DataFrame", column: str) -> "pd.DataFrame":
    key = campaign_log.secret()
    texts = casting.as_text(table[column])
    table = table[texts.notna()].copy()
    table[column] = [keyed_ids.keyed(str(one), key) for one in texts.dropna()]
    return table


def _from_file(assigned: "pd.DataFrame", column: str, dataset: Dataset, rule: Judgement, file: str) -> "pd.DataFrame":
    table = header_lines.drop_repeated(tables.from_bytes(sources.read(sources.named(file), dataset)[0]), file)[0]
    outcome = next((name for name in ("outcome", dataset.target) if name in table), None)
    names = [name for name in (column, "prediction_id") if name in table]
    if outcome is None or not names:
        raise ChurnError(
            f"{file}: a file of outcomes needs {column} (or prediction_id) and {dataset.target} (or outcome); this one has: "
            f"{', '.join(map(str, table.columns))}"
        )
    more = [rule.delivered] if rule.delivered in table else []
    table = table[table[outcome].notna()][[names[0], outcome, *more]]
    churned = labels.outcomes(table[outcome], dataset, f"{file}: {outcome}")
    table = table.drop(columns=outcome).assign(outcome=churned)
    if names[0] == column:
        return _keyed(table, column)
    return table.astype({"prediction_id": "str"}).merge(assigned[["prediction_id", column]], on="prediction_id")


def _from_version(version: str, dataset: Dataset) -> "pd.DataFrame":
    import pandas as pd

    data = snapshots.load(version)
    if data.dataset.name != dataset.name:
        raise ChurnError(
            f"data version {version} is of data set {data.dataset.name}, the campaign of {dataset.name}; name another"
        )
    customers = pd.concat([data.train, data.holdout])
    if dataset.time is not None:
        customers = customers.sort_values(dataset.time, kind="stable")
    return customers[[campaign_log.identifier(dataset)]].assign(
        outcome=customers[dataset.target] == data.dataset.positive
    )


def _from_feedback(assigned: "pd.DataFrame", column: str, rule: Judgement, until: datetime) -> "pd.DataFrame":
    """Customers who left after the horizon count as having stayed; a report of staying before its end decides nothing."""
    feedback = prediction_log.read_feedback(assigned.time.min().to_pydatetime(), until)
    feedback = feedback.astype({"prediction_id": "str"}).merge(
        assigned[["prediction_id", column, "time"]], on="prediction_id", suffixes=("", "_of")
    )
    late = feedback.time > feedback.time_of + timedelta(days=rule.horizon_days)
    left = feedback.outcome.astype(bool)
    return feedback.assign(outcome=left & ~late)[left | late][[column, "outcome"]]
