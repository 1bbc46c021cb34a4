"""DataFlow: from customer data to a data version. ``python flows/data_flow.py run [--source customers.csv]``"""

import base
from churn.config import DataConfig
from churn.dataset import Dataset
from metaflow import FlowSpec, Parameter, card, current, step


@base.plain_errors
class DataFlow(FlowSpec):
    """Ingest customers, check them, derive features, split off a holdout, and version the snapshot."""

    settings = base.config("settings", "data.toml", DataConfig)
    description = base.config("description", "datasets/telco.toml", Dataset)
    source = Parameter(
        "source", help="CSV or Parquet file to read instead of the sources in config/data.toml", default=""
    )

    @step
    def start(self):
        """The sources are known and the settings are valid."""
        from churn.sources import choose

        self.sources = choose(base.read(DataConfig, self.settings), self.source)
        self.made_up = any(source.kind == "generate" for source in self.sources)
        self.next(self.ingest, foreach="sources")

    @step
    def ingest(self):
        """One source is read; its rows are as they were found."""
        from churn import sources

        self.origin = self.input.name
        self.table = sources.to_bytes(sources.read(self.input, base.read(Dataset, self.description)))
        self.next(self.validate)

    @card(type="blank", id="data")
    @step
    def validate(self, inputs):
        """All rows are in one table with the data set's columns and types, and no check of severity error failed."""
        from churn import cards, quality, sources

        self.merge_artifacts(inputs, include=["made_up"])
        dataset, limits = base.read(Dataset, self.description), base.read(DataConfig, self.settings).quality
        self.origin = ", ".join(given.origin for given in inputs)
        frame = sources.concatenate([given.table for given in inputs])
        typed, self.quality = quality.validate(frame, dataset, limits, self.origin)
        base.show(current.card["data"], cards.data(typed, dataset, self.quality, self.origin))
        self.quality.require(self.origin)
        self.table = sources.to_bytes(typed)
        self.next(self.features)

    @step
    def features(self):
        """The table carries its derived features."""
        from churn import features, sources

        self.table = sources.to_bytes(
            features.add(base.read(Dataset, self.description), sources.from_bytes(self.table))
        )
        self.next(self.split)

    @step
    def split(self):
        """Train and holdout are apart: nothing is ever fitted on the holdout."""
        from churn import sources, versioning

        settings = base.read(DataConfig, self.settings).split
        tables = versioning.split(sources.from_bytes(self.table), base.read(Dataset, self.description), settings)
        self.train, self.holdout = map(sources.to_bytes, tables)
        self.rows = tuple(map(len, tables))
        self.next(self.version)

    @step
    def version(self):
        """The snapshot is in the DVC remote; its hash is the data version."""
        from churn import versioning

        self.saved = versioning.save(self.train, self.holdout, base.read(Dataset, self.description), self.made_up)
        self.data_version = self.saved.version
        self.next(self.end)

    @step
    def end(self):
        """The data version is known."""
        stored = "stored" if self.saved.uploaded else "already stored: nothing uploaded"
        print(f"Data version {self.saved.version} ({stored}): {self.rows[0]} rows to train, {self.rows[1]} held out")


if __name__ == "__main__":
    DataFlow()
