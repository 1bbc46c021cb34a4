"""DeployFlow: roll out a registered model's Bento, or roll back to the previous one.

``python flows/deploy_flow.py run``
"""

import base
from churn.settings.dataset import Dataset
from metaflow import Parameter, card, current, step
from orchestration import deploying, launch


@base.deployed
class DeployFlow(base.Flow):
    """Verify -> roll out -> smoke -> watch -> keep or roll back."""

    description = base.config("description", "datasets/telco.toml", Dataset)
    requested = Parameter("model-version", help="registry version to serve (default: the champion)", default="")
    bento = Parameter("bento", help="a Bento that is already built, by tag or address, instead of its own", default="")
    breaking = Parameter("breaking", help="even if it refuses what callers may send now", is_flag=True, default=False)
    port = Parameter("port", help="of the service, if several run on this machine", default="")

    image = Parameter("image", help="serving image of the cluster, instead of the one that serves", default="")

    @step
    def start(self) -> None:
        """The Bento to serve is verified, or there is nothing to do."""
        from churn.deployment import record, rollout, verification
        from churn.registry import synthetic_notice

        dataset, run = base.read(Dataset, self.description), f"{current.flow_name}/{current.run_id}"
        target = deploying.target(dataset, run, self.port, self.image)
        base.say(filter(None, [rollout.finish(target, run)]))
        request = verification.Request(self.requested, self.bento, self.breaking, current.get("trigger") is None)
        self.verified = verification.verify(target, dataset, request)
        record.settle_kept(self.verified.plan)
        self.notice = launch.begin(synthetic_notice.model(self.verified.plan.model, dataset.name))
        self.nothing_to_do = bool(self.verified.nothing)
        self.next(self.roll_out)

    @card(type="blank", id="deployment")
    @base.skippable
    @step
    def roll_out(self) -> None:
        """The Bento is rolled out, tested, watched, and kept or rolled back, in one step: whatever starts a rollout ends it."""
        from churn.cards import deployment_card

        dataset, run = base.read(Dataset, self.description), f"{current.flow_name}/{current.run_id}"
        target = deploying.target(dataset, run, self.port, self.image)
        self.outcome = deploying.carry_out(target, self.verified, run, current.retry_count)
        base.render(current.card["deployment"], deployment_card.parts(self.verified.plan, self.outcome))
        self.next(self.conclude)

    @base.skippable
    @step
    def conclude(self) -> None:
        """The outcome is in the registry, the metrics and the webhook; the run fails unless the new version was kept."""
        from churn.deployment import record

        plan, name = self.verified.plan, base.read(Dataset, self.description).name
        base.report(name, list(record.samples(self.outcome, deploying.count(self.outcome.verdict))))
        base.say(filter(None, [record.post_outcome(plan, self.outcome)]))
        deploying.require(plan, self.outcome, base.card("roll_out"))
        self.next(self.end)

    @step
    def end(self) -> None:
        """The version is served."""
        print(self.verified.nothing or self.outcome.reason)


if __name__ == "__main__":
    launch.flow(DeployFlow)
