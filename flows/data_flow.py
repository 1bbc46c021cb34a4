"""DataFlow: from customer data to a data version.

``python flows/data_flow.py run [--source customers.csv]``
"""

from pathlib import Path
from typing import Any

import base
from churn.settings.data import DataConfig, any_synthetic
from churn.settings.dataset import Dataset
from metaflow import Parameter, card, current, step
from orchestration import launch, runs


@base.deployed
class DataFlow(base.Flow):
    """Ingest customers, check them, derive features, split off a holdout, and version the snapshot."""

    settings = base.config("settings", "data.toml", DataConfig)
    description = base.config("description", "datasets/telco.toml", Dataset)
    source = Parameter(
        "source",
        help="CSV, Excel or Parquet file, or a folder of them, to read instead of the sources in config/data.toml",
        default="",
    )

    as_of = Parameter("as-of", help="read tables of events as they were known at this date (default: now)", default="")

    @step
    def start(self) -> None:
        """The sources are known and the settings are valid."""
        from churn.data import sources
        from churn.registry import synthetic_notice

        dataset = base.read(Dataset, self.description)
        configured = base.read(DataConfig, self.settings).source
        self.sources = sources.choose(configured, self.source, dataset, "data", self.as_of)
        self.synthetic = any_synthetic(self.sources)
        self.notice = synthetic_notice.sources(self.sources, dataset.name, "data")
        self.path = str(Path(self.source).expanduser().resolve()) if self.source else ""
        self.next(self.ingest, foreach="sources")

    @step
    def ingest(self) -> None:
        """All rows of one source are read as text, and notes on how they were read are printed."""
        from churn.data import sources

        self.table, self.notes, self.lineage = sources.read_with_lineage(
            self.input, base.read(Dataset, self.description)
        )
        base.say(self.notes)
        self.next(self.validate)

    @card(type="blank", id="data")
    @step
    def validate(self, inputs: Any) -> None:
        """All rows are in one table with the data set's columns and types, and the card shows the checks."""
        from churn.cards import data_card
        from churn.telemetry import push
        from churn.validation import ingestion

        self.merge_artifacts(inputs, include=["synthetic", "sources", "path", "lineage"])
        dataset, limits = base.read(Dataset, self.description), base.read(DataConfig, self.settings).quality
        previous = runs.previous_profile(dataset.name, self.synthetic)
        ingested = ingestion.ingest(self.sources, [(one.table, one.notes) for one in inputs], dataset, limits, previous)
        base.render(current.card["data"], data_card.data(ingested, dataset, self.lineage))
        base.report(dataset.name, push.quality_samples(ingested.report))
        self.quality, self.profile_json, self.origin = ingested.report, ingested.profile_json, ingested.origin
        self.quarantine, notes = ingestion.set_aside(ingested, f"{dataset.name}-{current.run_id}")
        base.say(notes)
        self.table = ingested.stored.result()
        self.next(self.features)

    @step
    def features(self) -> None:
        """No check of severity error failed; every customer has the derived features and a side of the split.

        Nothing is ever fitted on the holdout.
        """
        from churn.validation import ingestion

        self.quality.require(self.origin)  # here, because a failed step leaves no card
        dataset, settings = base.read(Dataset, self.description), base.read(DataConfig, self.settings).split
        self.derived, self.sides, self.rows = ingestion.derive_and_split(self.table, dataset, settings)
        self.unused = len(self.sides) - sum(self.rows)
        del self.table  # only read: as in the next step, it is passed on and not saved again
        self.next(self.version)

    @step
    def version(self) -> None:
        """The snapshot is in the DVC remote; its hash is the data version."""
        from churn.validation import ingestion

        dataset, settings = base.read(Dataset, self.description), base.read(DataConfig, self.settings).version
        self.saved = ingestion.save(
            self.table, self.derived, self.sides, dataset, self.synthetic, settings, self.lineage
        )
        self.data_version = self.saved.version
        del self.table, self.derived, self.sides
        self.next(self.end)

    @step
    def end(self) -> None:
        """The data version is printed."""
        from churn.validation import ingestion

        if self.as_of:
            print(runs.late(self.description["name"], self.data_version))
        print(ingestion.summary(self.saved, self.rows, self.unused, self.synthetic, self.quality.left_out))

    def tags(self) -> list[str]:
        """The data set and its version; for a backfill also the date, since it is not the newest version to train on."""
        backfill = [f"{runs.AS_OF}{self.as_of}"] if self.as_of else []
        return [f"{runs.DATASET}{self.description['name']}", f"{runs.VERSION}{self.data_version}", *backfill]


if __name__ == "__main__":
    launch.flow(DataFlow, lambda: launch.customers("data"))
