"""MonitorFlow: detect decay before labels arrive, and act on it.

``python flows/monitor_flow.py run [--analysis customers.csv]``
"""

from typing import Any

import base
from churn.settings.dataset import Dataset
from churn.settings.monitor import MonitorConfig
from metaflow import Parameter, card, current, step
from orchestration import launch, retraining


@base.deployed
class MonitorFlow(base.Flow):
    """Compare the champion's predictions with its holdout: drift, estimated and realised performance, and what to do."""

    settings = base.config("settings", "monitor.toml", MonitorConfig)
    description = base.config("description", "datasets/telco.toml", Dataset)
    analysis = Parameter("analysis", help="file of customers to analyse instead of the log", default="")
    labels = Parameter("labels", help="file of prediction_id and outcome, besides the service's feedback", default="")
    rows = Parameter(
        "rows", help="divide the log into windows of this many rows, instead of as the settings say", default=0
    )
    version = Parameter(
        "model-version", help="the model whose predictions are analysed (default: the champion)", default=""
    )
    until = Parameter("until", help="analyse the log as it was at this time (2026-11-25T06:00, UTC)", default="")
    retrain = Parameter("retrain", help="after an alert, run DataFlow and TrainFlow", is_flag=True, default=False)
    source = Parameter(
        "source", help="file for DataFlow to read then, instead of the sources in its settings", default=""
    )

    @step
    def start(self) -> None:
        """The reference of the champion and the windows to compare with it are loaded."""
        from churn.monitoring import assessment
        from churn.registry import synthetic_notice

        dataset = base.read(Dataset, self.description)
        self.config = assessment.cut(base.read(MonitorConfig, self.settings), self.rows)
        self.reference = assessment.compared(dataset, self.version)
        self.notice = launch.begin(synthetic_notice.model(self.reference.model, dataset.name))
        if self.retrain:
            retraining.check(dataset, self.source, synthetic_notice.learned_from_synthetic(self.reference.model))
        self.windows = assessment.collect(self.reference, self.config, self.analysis, self.labels, self.until)
        base.say(self.windows.notes)
        self.next(self.drift, self.performance)

    @step
    def drift(self) -> None:
        """The columns and predictions of each window are compared with the reference."""
        from churn.monitoring import assessment

        self.distances = assessment.drift(self.reference, self.windows, self.config)
        self.chunked = assessment.chunked(self.reference, self.windows, self.config)
        self.next(self.decide)

    @step
    def performance(self) -> None:
        """The scores are estimated, and computed where outcomes are known."""
        from churn.monitoring import assessment

        self.scores, self.realised, self.before = assessment.performance(self.reference, self.windows, self.config)
        self.next(self.decide)

    @card(type="blank", id="monitoring")
    @step
    def decide(self, inputs: Any) -> None:
        """The windows are assessed, and the card says why."""
        from churn.cards import monitoring_card
        from churn.monitoring import alerts, assessment

        self.merge_artifacts(inputs)
        self.judged, self.verdict = assessment.conclude(
            self.windows, self.distances, self.scores, self.realised, self.before, self.config
        )
        self.todo = retraining.typed(self.reference, self.source)
        results = (self.judged, self.realised, self.before, self.verdict, self.todo, self.chunked)
        base.render(current.card["monitoring"], monitoring_card.parts(self.reference, self.windows, *results))
        counts = (len(self.windows.damaged), self.windows.conflicts)
        measured = alerts.samples(self.judged[-1], self.realised, self.verdict, *counts)
        base.report(self.reference.dataset.name, measured)
        self.next(self.act)

    @step
    def act(self) -> None:
        """An alert is posted to the webhook, and its event published to the flows that wait for it."""
        from churn.monitoring import notify

        self.told = notify.post_alert(self.verdict, self.reference.model, self.todo)
        if self.verdict.severity == "alert":
            retraining.announce("DataFlow", {"columns": ",".join(self.verdict.columns)})
        self.next(self.end)

    @step
    def end(self) -> None:
        """The assessment is printed; after an alert with --retrain, a new model is champion if it is better."""
        print(self.verdict, *filter(None, [self.told]), f"Card: {base.card('decide')}", sep="\n")
        if self.verdict.severity == "alert" and self.retrain:
            launch.both(retraining.flow, retraining.description(), self.source)
        elif self.verdict.severity == "alert":
            print(f"Train on newer customers: {self.todo}")


if __name__ == "__main__":
    launch.flow(MonitorFlow, retraining.asked)
