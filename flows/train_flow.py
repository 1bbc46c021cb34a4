"""TrainFlow: from a data version to a champion behind an endpoint. ``python flows/train_flow.py run``"""

import base
from churn.config import TrainConfig
from metaflow import FlowSpec, Parameter, card, current, step


def _checked(config: TrainConfig, file: str) -> None:
    from churn import models

    models.check(config, file)


@base.plain_errors
class TrainFlow(FlowSpec):
    """Tune the model families side by side, choose one, judge it on the holdout, register and package it."""

    settings = base.config("settings", "train.toml", TrainConfig, _checked)
    requested = Parameter("data-version", help="data version to train on (default: the newest of DataFlow)", default="")

    @step
    def start(self):
        """The data version is chosen and read back, and the training has its MLflow run."""
        from churn import tracking, versioning

        config = base.read(TrainConfig, self.settings)
        self.data_version = base.upstream_version(self.requested)
        self.rows = len(versioning.load(self.data_version).train)
        self.training = f"{current.flow_name}/{current.run_id}"  # kept by a resume: it names the training, not the run
        self.lineage = {
            "data_version": self.data_version,
            "metaflow_run": self.training,
            **tracking.git_state(),
        }
        self.mlflow_run = tracking.open_run(config.experiment, self.training, self.lineage)
        self.families = list(config.model)
        self.next(self.tune, foreach="families")

    @step
    def tune(self):
        """One family is searched and its trials are in MLflow."""
        from churn import tracking, tuning, versioning

        search = base.read(TrainConfig, self.settings).search
        data = versioning.load(self.data_version)
        self.candidate = tuning.tune(self.input, search, data.dataset, data.train)
        tracking.log_family(self.mlflow_run, self.candidate, search.metric)
        self.next(self.select)

    @step
    def select(self, inputs):
        """The best family is fitted on all training rows; its threshold comes from out-of-fold predictions."""
        from churn import tuning, versioning

        self.merge_artifacts(inputs, include=["data_version", "rows", "training", "lineage", "mlflow_run"])
        search = base.read(TrainConfig, self.settings).search
        data = versioning.load(self.data_version)
        self.board = tuning.leaderboard([branch.candidate for branch in inputs], search.metric)
        self.pipeline, self.threshold = tuning.fit(self.board[0], search, data.dataset, data.train)
        self.next(self.evaluate)

    @step
    def evaluate(self):
        """The holdout has been read, once."""
        from churn import evaluation, models, versioning

        data = versioning.load(self.data_version)
        seed = base.read(TrainConfig, self.settings).search.seed
        whole = models.whole(self.pipeline, data.dataset)
        self.evaluation = evaluation.read_holdout(whole, self.threshold, data.dataset, data.holdout, seed)
        self.next(self.gate)

    @card(type="blank", id="training")
    @step
    def gate(self):
        """The least scores are checked and the champion, if there is one, is compared on rows unseen by both."""
        from churn import cards, promotion, versioning

        config, data = base.read(TrainConfig, self.settings), versioning.load(self.data_version)
        self.verdict = promotion.judge(self.evaluation, data, config)
        base.show(
            current.card["training"],
            cards.training(self.board, config, self.evaluation, self.verdict, self.data_version),
        )
        self.next(self.register)

    @step
    def register(self):
        """The model is in the registry as challenger, and champion if the verdict says so."""
        from churn import promotion, versioning

        config, data = base.read(TrainConfig, self.settings), versioning.load(self.data_version)
        self.verdict.require()
        manifest = promotion.manifest(self.board[0], self.evaluation, self.lineage, data.dataset)
        self.challenger = promotion.register(config, self.mlflow_run, self.pipeline, manifest, data, self.verdict)
        self.next(self.package)

    @step
    def package(self):
        """The champion is a Bento, and a served copy of it has answered as the model did."""
        from churn import promotion, versioning

        self.champion, self.bento, self.parity = promotion.package(versioning.load(self.data_version).dataset)
        self.next(self.end)

    @step
    def end(self):
        """There is a champion to serve."""
        print(f"Champion: version {self.champion.version} as {self.bento}; {self.verdict.summary}")


if __name__ == "__main__":
    TrainFlow()
