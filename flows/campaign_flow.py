"""CampaignFlow: choose whom to contact, and hold back a control group to measure the effect.

``python flows/campaign_flow.py run --name spring --source customers.csv [--dry]``
"""

import base
from churn.settings.dataset import Dataset
from churn.settings.score import CampaignConfig
from metaflow import Parameter, card, current, step
from orchestration import launch


@base.deployed
class CampaignFlow(base.Flow):
    """Choose customers within budget and policy, hold back a control group, and write the log and both lists."""

    settings = base.config("settings", "campaign.toml", CampaignConfig)
    description = base.config("description", "datasets/telco.toml", Dataset)
    campaign = Parameter("name", help="name of the campaign; who is in its log already keeps the arm", default="")
    source = Parameter("source", help="CSV, Excel or Parquet file of customers, or its address", default="")
    dry = Parameter("dry", help="show sizes, costs and power; write nothing", is_flag=True, default=False)

    @step
    def start(self) -> None:
        """The champion is loaded, and the time of the assignment is fixed."""
        import time

        from churn.campaigns import execution
        from churn.registry import synthetic_notice
        from churn.serving import release

        dataset = base.read(Dataset, self.description)
        execution.require_source(self.source, self.campaign, dataset)
        self.model = release.champion(dataset)
        self.notice = launch.begin(synthetic_notice.model(self.model, dataset.name))
        self.moment = time.time_ns() // 1000  # a retried step logs at the same time
        self.next(self.assign)

    @card(type="blank", id="campaign")
    @step
    def assign(self) -> None:
        """The arms are in the campaign log and both lists are written, except in a dry run."""
        from churn.campaigns import execution
        from churn.cards import campaign_card, manager_page

        rule, run = base.read(CampaignConfig, self.settings), f"{current.flow_name}/{current.run_id}"
        plan = execution.plan(self.model, self.source, self.campaign, rule, run, self.moment)
        dataset = base.read(Dataset, self.description)
        self.places = () if self.dry else execution.write_campaign(plan, self.model, dataset, self.moment)
        self.page = "" if self.dry else manager_page.manager_page(plan, self.model, dataset, rule)
        self.summary = str(plan)
        base.render(current.card["campaign"], campaign_card.parts(plan, rule, self.places))
        self.next(self.end)

    @step
    def end(self) -> None:
        """Sizes, costs, power and the location of the lists are printed."""
        print(self.summary)
        base.say(
            [f"Contacts: {self.places[0]}", f"Held back: {self.places[1]}", f"Page: {self.page}"]
            if self.places
            else ["Dry run: nothing written"]
        )
        print(f"Card: {base.card('assign')}")


if __name__ == "__main__":
    launch.flow(CampaignFlow)
