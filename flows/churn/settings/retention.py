"""config/retention.toml: how long the output of runs is kept."""

from churn.settings.core import Strict
from pydantic import Field


class Rule(Strict):
    """The rule for one store. Items beyond the newest ``keep``, or older than ``days``, are removed."""

    keep: int = Field(default=10, ge=1)
    days: int = Field(default=90, ge=1)


class Retention(Strict):
    """config/retention.toml, with a table for each store. The champion, its predecessor and their origins are always kept.

    ``log`` counts days; ``keep`` applies to each flow in ``runs``, to each data set in ``data_versions``, and to each experiment
    in ``trials``.
    """

    runs: Rule = Rule()
    data_versions: Rule = Rule()
    trials: Rule = Rule()
    bentos: Rule = Rule()
    log: Rule = Rule(keep=90)
    scores: Rule = Rule()
    quarantine: Rule = Rule()

    def changed(self, keep: int | None, days: int | None) -> "Retention":
        """A copy with these numbers, if given, in every table; in ``log`` only the days."""
        numbers = {name: value for name, value in (("keep", keep), ("days", days)) if value is not None}
        rules = {}
        for name in type(self).model_fields:
            applicable = numbers if name != "log" else {key: value for key, value in numbers.items() if key == "days"}
            rules[name] = getattr(self, name).model_dump() | applicable
        return Retention.model_validate(rules)
