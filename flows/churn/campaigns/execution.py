"""From a file of customers to the lists of a campaign: the candidates, and the output, with the log before any list."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from churn.campaigns import campaign_log, planning
from churn.campaigns.planning import CampaignPlan
from churn.data import casting, sources, tables
from churn.errors import ChurnError
from churn.files import formulas, header_lines
from churn.registry.model_registry import Registered
from churn.serving import batch_scoring, prediction_log
from churn.settings import commands
from churn.settings.data import Source
from churn.settings.dataset import Dataset
from churn.settings.description.spelling import fold
from churn.settings.score import CampaignConfig, Score
from churn.storage import keyed_ids
from churn.training.onnx_scorer import Scorer
from churn.uplift import registration

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

CONTACTS, HELD_BACK = "contacts", "held_back"  # separate folders of the lists: exporting one never includes the other
_OWN = ("campaign", "rank", "offer", "cost", "probability", "prediction_id")
_FREE = ("", "no", "n", "false", "0", "0.0")  # values of a suppression column that permit a contact


def require_source(source: str, campaign: str, dataset: Dataset) -> None:
    """Raise ChurnError, before any work, if the customers, the campaign's name, the ids or their key are missing."""
    planning.require_campaign_name(campaign)
    if not source:
        again = commands.say("campaign", NAME=campaign, SOURCE=commands.FILE, DATASET=dataset.name)
        raise ChurnError(f"a campaign needs customers; give a file of them: {again}")
    sources.named(source)
    campaign_log.identifier(dataset)
    campaign_log.secret()


def plan(model: Registered, source: str, campaign: str, rule: CampaignConfig, run: str, now: int) -> CampaignPlan:
    """The plan of the campaign for the customers at ``source``, at ``now`` (microseconds since 1970); nothing is written.

    ``members`` have the key of the id as ``key``, and a ``prediction_id``. Raises ChurnError for a bad file or setting.
    """
    import pandas as pd

    scorer, key = batch_scoring.scorer(model), campaign_log.secret()
    column, place = campaign_log.identifier(scorer.dataset), sources.named(source)
    table, _, notes = batch_scoring.screen([place], scorer.dataset, Score(quarantine=rule.targeting.quarantine))
    for note in notes:
        logger.warning("%s", note)
    if scorer.dataset.time is not None:
        table = table.sort_values(scorer.dataset.time, kind="stable")
    table = table[~casting.as_text(table[column]).duplicated(keep="last")].reset_index(drop=True)
    by_uplift = registration.uplift_champion(scorer.dataset)
    scored = batch_scoring.with_uplift(batch_scoring.score(scorer, table, f"{run}/campaign"), table, by_uplift)
    candidates = _candidates(scorer, table, scored, place, rule)
    candidates["key"] = [keyed_ids.keyed(one, key) for one in candidates.id]
    log = campaign_log.read(scorer.dataset)
    logged, others = log[log.campaign == campaign], log[(log.campaign != campaign) & (log.arm == campaign_log.CONTACT)]
    since = datetime.fromtimestamp(now / 1e6, UTC) - timedelta(days=rule.policy.days_between)
    candidates["recent"] = candidates.key.isin(others[others.time > since][column])
    names = candidates.set_index("key").id
    assigned = logged.assign(id=logged[column].map(names).fillna(logged[column]))[
        ["id", "arm", "offer", "cost", "share", "stratum", "probability", "uplift", "prediction_id"]
    ]
    drafted = planning.draft(candidates, assigned, campaign, rule)
    return replace(drafted, scored=pd.concat([table, scored], axis=1))


def _candidates(
    scorer: Scorer, table: "pd.DataFrame", scored: "pd.DataFrame", place: Source, rule: CampaignConfig
) -> "pd.DataFrame":
    """The candidates for ``planning.draft``, without ``recent``."""
    dataset = scorer.dataset
    candidates = scored.reindex(columns=["probability", "uplift", "prediction_id"]).assign(
        id=casting.as_text(table[dataset.id]).astype("str")
    )
    cells = _cells(place, dataset, table, candidates.id, rule)
    candidates["worth"] = _worth(scored, cells, rule, dataset)
    candidates["group"] = casting.as_text(cells(rule.policy.quota_column)).fillna("") if rule.policy.quota else ""
    candidates["suppressed"] = False
    if rule.policy.suppression_column:
        marks = casting.as_text(cells(rule.policy.suppression_column)).fillna("").map(lambda text: fold(str(text)))
        candidates["suppressed"] |= ~marks.isin(_FREE)
    if rule.policy.suppression:
        candidates["suppressed"] |= candidates.id.isin(_listed(rule.policy.suppression, dataset))
    return candidates


def _cells(
    place: Source, dataset: Dataset, table: "pd.DataFrame", ids: "pd.Series", rule: CampaignConfig
) -> "Callable[[str], pd.Series]":
    """A column of the customers by name: typed by the description, or untyped if only the file has it."""
    import pandas as pd

    wanted = {rule.policy.suppression_column, rule.policy.quota_column}
    wanted |= {rule.targeting.uplift_column}
    if not wanted - {"", *table.columns}:
        return lambda name: table[name]
    source = header_lines.drop_repeated(tables.from_bytes(sources.read(place, dataset)[0]), place.name)[0]
    if missing := sorted(wanted - {"", *table.columns, *source.columns}):
        raise ChurnError(
            f"{place.name}: no column {', '.join(missing)}, which {commands.settings('campaign.toml')} names; the file has: "
            f"{', '.join(map(str, source.columns))}"
        )
    rows = source.set_index(casting.as_text(source[dataset.id]).astype("str"))
    rows = rows[~rows.index.duplicated(keep="last")]
    return lambda name: table[name] if name in table else pd.Series(rows[name].reindex(ids).to_numpy(), table.index)


def _worth(
    scored: "pd.DataFrame", cells: "Callable[[str], pd.Series]", rule: CampaignConfig, dataset: Dataset
) -> "pd.Series":
    import pandas as pd

    if rule.targeting.uplift_column and rule.targeting.ranking == "uplift":
        return pd.to_numeric(cells(rule.targeting.uplift_column), errors="coerce").astype("float64")
    if rule.targeting.ranking == "expected_value" and scored.expected_value.isna().all():
        raise ChurnError(
            f'ranking = "expected_value" in {commands.settings("campaign.toml")} [targeting] needs a champion that knows what a '
            f"customer is worth; add [value] to {commands.settings('train.toml')} and train again, or rank by probability"
        )
    if rule.targeting.ranking not in scored:
        raise ChurnError(
            f'ranking = "uplift" in {commands.settings("campaign.toml")} [targeting] needs a champion of uplift; add [uplift] to '
            f"{commands.settings('train.toml')} and train again, or name a column of the source: uplift_column"
        )
    return scored[rule.targeting.ranking]


def _listed(file: str, dataset: Dataset) -> "pd.Series":
    """The ids in a file: the data set's id column, or the only column."""
    table = header_lines.drop_repeated(tables.from_bytes(sources.read(sources.named(file), dataset)[0]), file)[0]
    if dataset.id not in table and len(table.columns) != 1:
        raise ChurnError(
            f"{file}: no column {dataset.id}; a suppression list is a file with the ids in a column of this name"
        )
    return casting.as_text(table[dataset.id if dataset.id in table else table.columns[0]])


def write_campaign(plan: CampaignPlan, model: Registered, dataset: Dataset, now: int) -> tuple[str, ...]:
    """Write the predictions, the log, then both lists; return the lists' addresses: contacts, held back.

    If it is killed midway, the next run reads the assigned customers from the log and writes the same lists. Raises ChurnError
    if anything cannot be written.
    """
    import pandas as pd

    column, fresh = campaign_log.identifier(dataset), plan.members[plan.members.new.astype(bool)]
    if len(fresh):
        if plan.scored is not None:
            scorer = batch_scoring.scorer(model)
            batch_scoring.log(scorer, model, plan.scored, plan.scored, now, f"campaign-{plan.campaign}")
        rows = fresh.drop(columns=column, errors="ignore").assign(
            campaign=plan.campaign,
            dataset=dataset.name,
            model_version=model.version,
            data_version=model.tags["data_version"],
            time=pd.Timestamp(now, unit="us", tz="UTC"),
        )
        rows[column] = fresh.key
        campaign_log.append(dataset, rows, now, plan.campaign)
    may = ~plan.members.suppressed.astype(bool)
    contacted = plan.members.arm == campaign_log.CONTACT
    call, leave = (plan.members[rows].reset_index(drop=True) for rows in (contacted & may, ~contacted))
    return (
        _list(
            plan,
            call.assign(**_why(plan, model, call, column)),
            f"{CONTACTS}/{dataset.name}-{plan.campaign}.csv",
            column,
        ),
        _list(plan, leave, f"{HELD_BACK}/{dataset.name}-{plan.campaign}.csv", column),
    )


def _why(plan: CampaignPlan, model: Registered, call: "pd.DataFrame", column: str) -> "dict[str, pd.Series]":
    """The reasons for the top contacts' risk and uplift."""
    if plan.scored is None:
        return {}
    first = _customers(plan, call, column).head(Score().explained)
    uplift = registration.beside(model.name)
    return batch_scoring.reason_columns(batch_scoring.scorer(model), first, Score().reasons, uplift)


def _customers(plan: CampaignPlan, rows: "pd.DataFrame", column: str) -> "pd.DataFrame":
    """The customers' own columns, in the order of the members ``rows``."""
    import pandas as pd

    if plan.scored is None:
        return pd.DataFrame(index=rows.index)
    ids = casting.as_text(plan.scored[column]).astype("str")
    columns = plan.scored.drop(columns=[column, *batch_scoring.OWN, *batch_scoring.UPLIFT], errors="ignore")
    return columns.set_axis(ids, axis=0).loc[rows.id.tolist()].reset_index(drop=True)


def _list(plan: CampaignPlan, rows: "pd.DataFrame", name: str, column: str) -> str:
    import pandas as pd

    table = rows.assign(rank=np.arange(1, len(rows) + 1), campaign=plan.campaign).rename(columns={"id": column})
    more = [one for one in table if str(one).startswith(("reason_", "uplift"))]
    assignment = table[[column, *_OWN, *more]].dropna(axis="columns", how="all")
    customers = _customers(plan, rows, column)
    assignment = assignment.drop(columns=[one for one in customers if one in assignment])
    listed = formulas.csv(pd.concat([assignment, customers], axis=1))
    try:
        prediction_log.store(batch_scoring.root(), name, listed)
    except OSError as error:
        raise ChurnError(
            f"the list {batch_scoring.root()}/{name} cannot be written: {error}; correct CHURNFLOW_SCORES and run this again: "
            "everybody keeps their arm"
        ) from None
    return f"{batch_scoring.root()}/{name}"
