"""ScoreFlow: from customers to a ranked list with reasons.

``python flows/score_flow.py run --source customers.csv``
"""

from typing import Any

import base
from churn.settings.data import any_synthetic
from churn.settings.dataset import Dataset
from churn.settings.score import ScoreConfig
from metaflow import Parameter, card, current, step
from orchestration import launch

KEPT = ["model", "uplift_model", "synthetic", "scoring_id", "moment", "table", "quarantined", "notes"]


@base.deployed
class ScoreFlow(base.Flow):
    """Rank customers by the champion's probability, or by the expected profit of contacting them, with reasons."""

    settings = base.config("settings", "score.toml", ScoreConfig)
    description = base.config("description", "datasets/telco.toml", Dataset)
    source = Parameter(
        "source",
        help="CSV, Excel or Parquet file, or a folder of them, instead of the sources in config/score.toml",
        default="",
    )

    @step
    def start(self) -> None:
        """The champion and the sources are loaded."""
        import time

        from churn.data import sources
        from churn.registry import synthetic_notice
        from churn.serving import release

        dataset = base.read(Dataset, self.description)
        self.sources = sources.choose(base.read(ScoreConfig, self.settings).source, self.source, dataset, "score")
        (self.model, self.uplift_model), self.synthetic = release.champions(dataset), any_synthetic(self.sources)
        self.notice = synthetic_notice.sources(self.sources, dataset.name, "score") or launch.begin(
            synthetic_notice.model(self.model, dataset.name)
        )
        # A step that is retried or resumed writes the same predictions under the same names at the same time.
        self.scoring_id, self.moment = str(current.run_id), time.time_ns() // 1000
        self.next(self.screen)

    @step
    def screen(self) -> None:
        """Valid customers are in one table, divided into shards; invalid rows are quarantined."""
        from churn.data import tables
        from churn.serving import batch_scoring
        from churn.validation import ingestion

        dataset, rule = batch_scoring.scorer(self.model).dataset, base.read(ScoreConfig, self.settings).score
        table, self.quarantined, self.notes = batch_scoring.screen(self.sources, dataset, rule)
        base.say([*self.notes, *ingestion.write_quarantine(self.quarantined, f"{dataset.name}-{self.scoring_id}")[1]])
        self.table, self.shards = tables.to_bytes(table), batch_scoring.shards(len(table), rule.shard_rows)
        self.next(self.score, foreach="shards")

    @step
    def score(self) -> None:
        """The customers of one shard are scored, and their predictions logged."""
        from churn.data import tables
        from churn.serving import batch_scoring

        scorer, (first, end) = batch_scoring.scorer(self.model), self.input
        customers = tables.typed(self.table, scorer.dataset).iloc[first:end]
        self.scored = batch_scoring.with_uplift(
            batch_scoring.score(scorer, customers, self.scoring_id), customers, self.uplift_model
        )
        if base.read(ScoreConfig, self.settings).score.log and not self.synthetic:
            batch_scoring.log(
                scorer, self.model, customers, self.scored, self.moment, f"score-{self.scoring_id}-{first}"
            )
        self.next(self.rank)

    @card(type="blank", id="list")
    @step
    def rank(self, inputs: Any) -> None:
        """The list is written, the most likely to churn or most profitable first, with reasons for the first customers."""
        from churn.cards import ranking_card
        from churn.data import tables
        from churn.serving import batch_scoring

        self.merge_artifacts(inputs, include=KEPT)
        scorer, rule = batch_scoring.scorer(self.model), base.read(ScoreConfig, self.settings).score
        scored, name = [shard.scored for shard in inputs], f"{scorer.dataset.name}-{self.scoring_id}"
        table = tables.typed(self.table, scorer.dataset)
        self.ranked = batch_scoring.rank(scorer, table, scored, rule, name, self.uplift_model)
        base.say(batch_scoring.keep_features(scorer, table) if rule.log and not self.synthetic else ())
        base.render(current.card["list"], ranking_card.parts(self.ranked, self.model, self.quarantined, self.notes))
        self.next(self.end)

    @step
    def end(self) -> None:
        """The path of the list is printed."""
        print(f"{self.ranked}: {self.ranked.place}")


if __name__ == "__main__":
    launch.flow(ScoreFlow, lambda: launch.customers("score"))
