"""TrainFlow: from a data version to a champion behind an endpoint. ``python flows/train_flow.py run``"""

import base
import launch
import runs
from churn.config import TrainConfig
from metaflow import Parameter, card, current, step

KEPT = ["nothing_to_do", "data_version", "rows", "training", "lineage", "mlflow_run", "challenger", "config_files"]


def _checked(config: TrainConfig, file: str) -> None:
    from churn import models

    models.check(config, file)


@base.deployed
class TrainFlow(base.Flow):
    """Tune the model families side by side, choose one, judge it on the holdout, register and package it."""

    settings = base.config("settings", "train.toml", TrainConfig, _checked)
    requested = Parameter("data-version", help="data version to train on (default: the newest of DataFlow)", default="")
    force = Parameter("force", help="train even if a version has this data and config", is_flag=True, default=False)

    @step
    def start(self):
        """The data version is read back and checked, and the training has its MLflow run - if there is anything to train."""
        from churn import promotion, tracking, versioning

        config = base.read(TrainConfig, self.settings)
        self.data_version, origin = runs.upstream(self.requested)
        data = versioning.load(self.data_version)
        self.notice = runs.begin(data, origin)
        promotion.check(data, config)
        self.rows, self.families = len(data.train), list(config.model)
        self.training = f"{current.flow_name}/{current.run_id}"  # kept by a resume: it names the training, not the run
        self.lineage = promotion.lineage(self.data_version, self.training, config)
        self.challenger = None if self.force else promotion.unchanged(data.dataset, self.lineage)
        self.nothing_to_do = self.challenger is not None
        new = not self.nothing_to_do
        self.mlflow_run = tracking.open_run(config.experiment, self.training, self.lineage) if new else ""
        self.next(self.tune, foreach="families")

    @base.skippable
    @step
    def tune(self):
        """One family is searched."""
        from churn import tuning, versioning

        search, data = base.read(TrainConfig, self.settings).search, versioning.load(self.data_version)
        jobs = tuning.jobs(search, len(self.families))
        self.candidate = tuning.tune(self.input, search, data.dataset, data.train, jobs)
        self.next(self.select)

    @base.skippable
    @step
    def select(self, inputs):
        """The best family, or blend of families, is fitted on all training rows; calibration and threshold come from
        out-of-fold predictions."""
        from churn import selection, versioning

        self.merge_artifacts(inputs, include=KEPT)
        config, data = base.read(TrainConfig, self.settings), versioning.load(self.data_version)
        self.board = selection.board([one.candidate for one in inputs], config.search, data.dataset, data.train)
        worth = config.value or data.dataset.value
        self.chosen = selection.choose(self.board[0], config.search, data.dataset, data.train, worth)
        self.pipeline, self.threshold = self.chosen.pipeline, self.chosen.threshold
        self.next(self.evaluate)

    @base.skippable
    @step
    def evaluate(self):
        """The holdout has been read, once."""
        from churn import evaluation, models, versioning

        config, data = base.read(TrainConfig, self.settings), versioning.load(self.data_version)
        whole = models.whole(self.pipeline, data.dataset)
        seed, worth = config.search.seed, self.chosen.worth
        self.evaluation = evaluation.read_holdout(whole, self.threshold, data, seed, config.slices, worth)
        self.next(self.gate)

    @card(type="blank", id="training")
    @base.skippable
    @step
    def gate(self):
        """The trials are in MLflow; the bounds are checked and the champion is compared on rows unseen by both."""
        from churn import promotion, tracking, training_card, versioning

        config, data = base.read(TrainConfig, self.settings), versioning.load(self.data_version)
        tracking.log_board(self.mlflow_run, self.board, config.search.metric)
        self.verdict = promotion.judge(self.evaluation, data, config, self.training)
        base.show(current.card["training"], training_card.parts(self._training(data)))
        self.next(self.register)

    @card(type="blank", id="model")
    @base.skippable
    @step
    def register(self):
        """The model is in the registry as challenger with its card, and champion if the verdict says so."""
        from churn import modelcard, promotion, training, versioning

        data = versioning.load(self.data_version)
        ways = (self.config_files["settings"], base.again(self), runs.anew(data))
        self.verdict.require(base.card("gate"), training.other_bounds(self.verdict, data.dataset, *ways))
        self.challenger, self.verdict = promotion.register(self._training(data), self.mlflow_run)
        base.show(current.card["model"], modelcard.keep(self._training(data), self.challenger))
        self.next(self.package)

    @step
    def package(self):
        """The champion is a Bento, and a served copy of it has answered as the model did."""
        from churn import promotion, publish, versioning

        dataset = versioning.load(self.data_version).dataset
        self.champion, self.bento, self.parity = promotion.package(dataset)
        base.report(dataset.name, publish.champion(self.champion))
        self.next(self.end)

    @step
    def end(self):
        """There is a champion to serve."""
        from churn import training

        verdict = None if self.nothing_to_do else self.verdict
        print(training.ending(self.champion, self.challenger, self.bento, verdict, base.again(self, True)))

    def _training(self, data):
        """The training so far, as cards and registry take it."""
        from churn.training import Training

        config = base.read(TrainConfig, self.settings)
        return Training(data, config, self.lineage, self.board, self.chosen, self.evaluation, self.verdict)


if __name__ == "__main__":
    launch.flow(TrainFlow)
