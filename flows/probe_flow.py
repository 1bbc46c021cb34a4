"""ProbeFlow: does an event arrive? Hourly it sends one, which starts it again: then it says that one has arrived."""

import base
from metaflow import current, step
from orchestration import launch, retraining


@base.deployed
class ProbeFlow(base.Flow):
    """Send an event round: a sensor that has lost its subscription looks healthy, and starts nothing."""

    @step
    def start(self) -> None:
        """The event is sent; or the one that started this run is known to have arrived."""
        from churn.telemetry import push

        if current.get("trigger") is None:
            retraining.announce("ProbeFlow", {})
        else:
            base.say(push.send({"flow": str(current.flow_name)}, push.arrival_samples()))
        self.next(self.end)

    @step
    def end(self) -> None:
        """One more round."""


if __name__ == "__main__":
    launch.flow(ProbeFlow)
