"""ProbeFlow: check that events arrive. It sends one every hour, which starts it again to report the arrival."""

import base
from metaflow import current, step
from orchestration import launch, retraining


@base.deployed
class ProbeFlow(base.Flow):
    """Send an event through bus and sensor: a sensor that has lost its subscription looks healthy but starts nothing."""

    @step
    def start(self) -> None:
        """The event is sent; or, in a run that an event started, its arrival is recorded."""
        from churn.telemetry import push

        if current.get("trigger") is None:
            retraining.announce("ProbeFlow", {})
        else:
            base.say(push.send({"flow": str(current.flow_name)}, push.arrival_samples()))
        self.next(self.end)

    @step
    def end(self) -> None:
        """The round trip is complete, or under way."""


if __name__ == "__main__":
    launch.flow(ProbeFlow)
