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

KEPT = ["model", "uplift_model", "synthetic", "scoring_id", "moment", "quarantined", "notes"]


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
        """Valid customers are in shards, each an artifact of its own (``customers_`` and its first row); others in quarantine."""
        from churn.serving import batch_scoring
        from churn.serving.ranking import shards
        from churn.validation import ingestion

        dataset, rule = batch_scoring.scorer(self.model).dataset, base.read(ScoreConfig, self.settings).score
        screened = shards.screen(self.sources, dataset, rule)
        self.quarantined, self.notes, self.shards = screened.quarantined, screened.notes, screened.ranges
        base.say([*self.notes, *ingestion.write_quarantine(self.quarantined, f"{dataset.name}-{self.scoring_id}")[1]])
        base.keep(self, screened.artifacts)
        self.next(self.score, foreach="shards")

    @step
    def score(self) -> None:
        """The customers of one shard are scored, and their predictions logged."""
        from churn.serving import batch_scoring
        from churn.serving.ranking import shards

        scorer, first = batch_scoring.scorer(self.model), self.input[0]
        customers = shards.customers(getattr(self, shards.ARTIFACT.format(first)), first, scorer.dataset)
        scored = batch_scoring.score(scorer, customers, self.scoring_id)
        self.scored = batch_scoring.with_uplift(scored, customers, self.uplift_model)
        self.by_value = bool(scored["expected_value"].notna().any())
        if base.read(ScoreConfig, self.settings).score.log and not self.synthetic:
            name = f"score-{self.scoring_id}-{first}"
            batch_scoring.log(scorer, self.model, customers, self.scored, self.moment, name)
        self.next(self.rank)

    @card(type="blank", id="list")
    @step
    def rank(self, inputs: Any) -> None:
        """The list is written, the most likely to churn or most profitable first, with reasons for the first customers."""
        from churn.cards import ranking_card
        from churn.serving import batch_scoring
        from churn.serving.ranking import listing, shards

        self.merge_artifacts(inputs, include=KEPT)
        scorer, rule = batch_scoring.scorer(self.model), base.read(ScoreConfig, self.settings).score
        name, by_value = f"{scorer.dataset.name}-{self.scoring_id}", any(shard.by_value for shard in inputs)
        scored = shards.taken(inputs, scorer.dataset)
        self.ranked = listing.rank(scorer, scored, by_value, rule, name, self.uplift_model)
        base.say(shards.keep_features(scorer, inputs) if rule.log and not self.synthetic else ())
        base.render(current.card["list"], ranking_card.parts(self.ranked, self.model, self.quarantined, self.notes))
        self.next(self.end)

    @step
    def end(self) -> None:
        """The path of the list is printed."""
        print(f"{self.ranked}: {self.ranked.place}")


if __name__ == "__main__":
    launch.flow(ScoreFlow, lambda: launch.customers("score"))
