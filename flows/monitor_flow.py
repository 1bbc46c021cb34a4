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
        """The champion's reference data and the windows to compare with it are loaded."""
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
        self.chunked_drift = assessment.chunked(self.reference, self.windows, self.config)
        self.next(self.decide)

    @step
    def performance(self) -> None:
        """The scores are estimated for all windows, and computed where outcomes are known."""
        from churn.monitoring import assessment

        self.estimated, self.realised, self.reference_scores = assessment.performance(
            self.reference, self.windows, self.config
        )
        self.next(self.decide)

    @card(type="blank", id="monitoring")
    @step
    def decide(self, inputs: Any) -> None:
        """The windows are assessed, and the card explains the assessment."""
        from churn.cards import monitoring_card
        from churn.monitoring import alerts, assessment

        self.merge_artifacts(inputs)
        measured = self.distances, self.estimated, self.realised, self.reference_scores
        self.window_results, self.assessment = assessment.conclude(self.windows, *measured, self.config)
        self.retrain_command = retraining.typed(self.reference, self.source)
        ending = self.assessment, self.retrain_command, self.chunked_drift
        results = self.window_results, self.realised, self.reference_scores
        base.render(current.card["monitoring"], monitoring_card.parts(self.reference, self.windows, *results, *ending))
        counts = len(self.windows.damaged), self.windows.conflicts
        samples = alerts.samples(self.window_results[-1], self.realised, self.assessment, *counts)
        base.report(self.reference.dataset.name, samples)
        self.next(self.act)

    @step
    def act(self) -> None:
        """An alert is posted to the webhook, and its event published to the flows that wait for it."""
        from churn.monitoring import notify

        self.notified = notify.post_alert(self.assessment, self.reference.model, self.retrain_command)
        if self.assessment.severity == "alert":
            retraining.announce("DataFlow", {"columns": ",".join(self.assessment.columns)})
        self.next(self.end)

    @step
    def end(self) -> None:
        """The assessment is printed; after an alert with --retrain, a new model becomes champion if it is better."""
        print(self.assessment, *filter(None, [self.notified]), f"Card: {base.card('decide')}", sep="\n")
        if self.assessment.severity == "alert" and self.retrain:
            launch.both(retraining.flow, retraining.description(), self.source)
        elif self.assessment.severity == "alert":
            print(f"Train on newer customers: {self.retrain_command}")


if __name__ == "__main__":
    launch.flow(MonitorFlow, retraining.asked)
