"""PruneFlow: remove old, unused data, weekly on a cluster. ``make prune`` does the same on demand."""

import base
from churn.settings.retention import Retention
from metaflow import step
from orchestration import launch


@base.deployed
class PruneFlow(base.Flow):
    """Keep the newest runs, data versions, trials, Bentos and log days, and everything that champions depend on."""

    settings = base.config("settings", "retention.toml", Retention)

    @step
    def start(self) -> None:
        """Old, unused data is removed, and its size reported."""
        from churn.privacy import lineage, retention

        items = retention.items(lineage.known())
        gone = retention.outdated(items, base.read(Retention, self.settings))
        retention.remove(gone)
        self.said, self.notice = list(retention.report(items, gone, removed=True)), ""
        self.next(self.end)

    @step
    def end(self) -> None:
        """The sizes are printed."""
        base.say(self.said)


if __name__ == "__main__":
    launch.flow(PruneFlow)
