"""EffectFlow: did the campaign help? Compare both arms' outcomes, with intervals and a verdict in words.

``python flows/effect_flow.py run --name spring [--outcomes outcomes.csv]``
"""

import base
from churn.settings.dataset import Dataset
from churn.settings.score import CampaignConfig
from metaflow import Parameter, card, current, step
from orchestration import launch


@base.deployed
class EffectFlow(base.Flow):
    """Join the outcomes of a campaign's customers, estimate the effect of the contacts, and report it."""

    settings = base.config("settings", "campaign.toml", CampaignConfig)
    description = base.config("description", "datasets/telco.toml", Dataset)
    campaign = Parameter("name", help="name of the campaign", default="")
    outcomes = Parameter("outcomes", help="file of ids and outcomes, instead of the service's feedback", default="")
    version = Parameter("data-version", help="data version that says who left, instead of a file", default="")
    until = Parameter("until", help="judge as of this time (2026-11-25T06:00, UTC; default: now)", default="")

    @step
    def start(self) -> None:
        """The customers of both arms have their outcomes; those that are not due yet are counted."""
        from churn.campaigns import outcomes

        rule, dataset = base.read(CampaignConfig, self.settings), base.read(Dataset, self.description)
        self.experiment = outcomes.experiment(self.campaign, dataset, rule, self.until, self.outcomes, self.version)
        self.next(self.judge)

    @card(type="blank", id="effect")
    @step
    def judge(self) -> None:
        """Each contacted arm is compared with the control group, and the card explains the result."""
        from churn.campaigns import outcomes, report, verdicts
        from churn.cards import effect_card

        rule, dataset = base.read(CampaignConfig, self.settings).report, base.read(Dataset, self.description)
        self.comparisons = report.compare_arms(self.experiment, rule)
        self.lines = effect_card.headline(self.campaign, self.comparisons, self.experiment)
        effects = verdicts.arm_effects(self.comparisons, self.experiment)
        verdicts.keep_verdict(dataset, self.campaign, self.lines, effects, outcomes.judged_at(self.until))
        kept = verdicts.kept_verdicts(dataset)
        base.report(dataset.name, verdicts.samples(kept))
        base.render(
            current.card["effect"], effect_card.parts(self.campaign, self.comparisons, self.experiment, rule, kept)
        )
        self.next(self.end)

    @step
    def end(self) -> None:
        """The verdict is printed."""
        base.say([*self.lines, f"Card: {base.card('judge')}"])


if __name__ == "__main__":
    launch.flow(EffectFlow)
