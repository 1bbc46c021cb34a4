"""TrainFlow: from a data version to a champion that is ready to serve.

``python flows/train_flow.py run``
"""

from typing import TYPE_CHECKING, Any

import base
from churn.settings.train import TrainConfig
from metaflow import Parameter, card, current, step
from orchestration import launch, progress, runs

if TYPE_CHECKING:
    from churn.data.snapshots import Snapshot
    from churn.registry.training_record import Training

KEPT = ["nothing_to_do", "data_version", "rows", "training_id", "lineage", "mlflow_run", "challenger", "config_files",
        "outcomes"]  # fmt: skip


def _checked(config: TrainConfig, file: str) -> None:
    from churn.training import estimators

    estimators.check(config, file)


@base.deployed
class TrainFlow(base.Flow):
    """Tune the model families in parallel, select the best, evaluate it on the holdout, register and package it."""

    settings = base.config("settings", "train.toml", TrainConfig, _checked)
    requested = Parameter("data-version", help="data version to train on (default: the newest of DataFlow)", default="")
    force = Parameter("force", help="train even if a version has this data and config", is_flag=True, default=False)
    challenger: Any  # a Registered, once there is one

    @step
    def start(self) -> None:
        """The data version is loaded and checked; if there is anything to train, an MLflow run is started."""
        from churn.data import snapshots
        from churn.serving import release

        config = base.read(TrainConfig, self.settings)
        requested, origin = runs.upstream(self.requested)
        data = snapshots.load(requested)
        self.data_version, self.notice = data.version, runs.introduce(data, origin)
        release.check_before_training(data, config)
        self.rows, self.families = len(data.train), self._branches(config, data)
        self.training_id = f"{current.flow_name}/{current.run_id}"  # of the first run: a resume keeps it
        self.lineage = release.lineage(self.data_version, self.training_id, config, self.outcomes)
        self.challenger, self.mlflow_run = release.start_run(data, config, self.lineage, self.force)
        self.champion_parameters = release.parameters(data, config)
        self.nothing_to_do = self.challenger is not None
        self.next(self.tune, foreach="families")

    @base.skippable
    @step
    def tune(self) -> None:
        """The hyperparameters of one family are tuned, for churn or for uplift."""
        from churn.data import snapshots
        from churn.training import hyperparameter_search
        from churn.uplift import candidates

        config, data = base.read(TrainConfig, self.settings), snapshots.load(self.data_version)
        jobs = hyperparameter_search.jobs(config.search, len(self.families))
        options = jobs, self.champion_parameters, self.training_id, progress.lines(f"{self.input.name}: trials")
        self.candidate = candidates.tune_branch(self.input, config, data, self.outcomes, *options)
        self.next(self.select)

    @base.skippable
    @step
    def select(self, inputs: Any) -> None:
        """The best family, or blend of families, is fitted on all training rows.

        Its calibration and threshold come from out-of-fold predictions.
        """
        from churn.data import snapshots
        from churn.training import selection
        from churn.uplift import candidates, success

        self.merge_artifacts(inputs, include=KEPT)
        config, data = base.read(TrainConfig, self.settings), snapshots.load(self.data_version)
        tuned, self.uplift_board = candidates.parted([one.candidate for one in inputs])
        self.board = selection.board(tuned, config.search, data.dataset, data.train)
        worth = success.measured(config.value or data.dataset.value, self.outcomes, data.dataset)
        self.chosen = selection.finalize(self.board[0], config.search, data.dataset, data.train, worth)
        self.pipeline, self.threshold = self.chosen.pipeline, self.chosen.threshold
        self.next(self.evaluate)

    @base.skippable
    @step
    def evaluate(self) -> None:
        """The model is evaluated on the holdout, which is read only here; the uplift model is evaluated on its own holdout."""
        from churn.data import snapshots
        from churn.training import estimators, evaluation
        from churn.uplift import holdout

        config, data = base.read(TrainConfig, self.settings), snapshots.load(self.data_version)
        pipeline = estimators.whole(self.pipeline, data.dataset)
        search, worth = config.search, self.chosen.worth
        slices, threshold = config.slices, self.threshold
        self.evaluation = evaluation.read_holdout(pipeline, threshold, data, search.seed, slices, worth, search)
        self.uplift_model = holdout.evaluate_uplift(self.uplift_board, self.outcomes, data.dataset, config, worth)
        self.next(self.gate)

    @card(type="blank", id="training")
    @base.skippable
    @step
    def gate(self) -> None:
        """The trials are in MLflow, the bounds are checked, and the champion is compared on rows that neither model has seen."""
        from churn.cards import training_card, uplift_card
        from churn.data import snapshots
        from churn.registry import tracking
        from churn.serving import release
        from churn.uplift import registration

        config, data = base.read(TrainConfig, self.settings), snapshots.load(self.data_version)
        tracking.log_board(self.mlflow_run, self.board, config.search.metric)
        tracking.log_baselines(self.mlflow_run, self.evaluation.baselines)
        self.gate_result = release.judge(self.evaluation, data, config, self.training_id)
        inputs = self.outcomes, data.dataset, config, self.training_id
        self.uplift_gate = registration.judge_uplift(self.uplift_model, *inputs)
        shown = uplift_card.parts(self.uplift_model, self.uplift_gate)
        base.render(current.card["training"], [*training_card.parts(self._training(data)), *shown])
        self.next(self.register)

    @card(type="blank", id="model")
    @base.skippable
    @step
    def register(self) -> None:
        """The model is registered as challenger with its card, and promoted to champion if the verdict says so."""
        from churn.cards import model_card
        from churn.data import snapshots
        from churn.registry import training_record
        from churn.serving import release
        from churn.uplift import registration

        data = snapshots.load(self.data_version)
        ways = (self.config_files["settings"], base.again(self), runs.anew(data))
        self.gate_result.require(base.card("gate"), training_record.other_bounds(self.gate_result, data.dataset, *ways))
        self.challenger, self.gate_result = release.register(self._training(data), self.mlflow_run)
        base.say(registration.register_uplift(self.uplift_model, self.uplift_gate, self.outcomes, self._training(data)))
        base.render(current.card["model"], model_card.keep(self._training(data), self.challenger))
        self.next(self.package)

    @step
    def package(self) -> None:
        """The champion is packaged as a Bento, and a served copy reproduces the model's predictions."""
        from churn.data import snapshots
        from churn.serving import release
        from churn.telemetry import push

        dataset = snapshots.load(self.data_version).dataset
        self.champion, self.bento, self.parity = release.package_champion(dataset)
        base.report(dataset.name, push.champion_samples(self.champion))
        self.next(self.end)

    @step
    def end(self) -> None:
        """The result is printed: there is a champion to serve."""
        from churn.registry import training_record

        result = None if self.nothing_to_do else self.gate_result
        print(training_record.ending(self.champion, self.challenger, self.bento, result, base.again(self, True)))

    def _branches(self, config: TrainConfig, data: "Snapshot") -> list[Any]:
        """The branches of the foreach; sets ``outcomes``, from which uplift models are trained, if there are any."""
        from churn.campaigns import uplift_outcomes
        from churn.uplift import candidates

        self.outcomes, notes = uplift_outcomes.gather_outcomes(config.uplift, data.dataset)
        base.say(notes)
        return candidates.branches(config, self.outcomes)

    def _training(self, data: "Snapshot") -> "Training":
        """The training so far, as cards and the registry expect it."""
        from churn.registry.training_record import Training

        config = base.read(TrainConfig, self.settings)
        return Training(data, config, self.lineage, self.board, self.chosen, self.evaluation, self.gate_result)


if __name__ == "__main__":
    launch.flow(TrainFlow, launch.trained)
