"""config/retention.toml: how long what runs leave behind is kept."""

from churn.settings.core import Strict
from pydantic import Field


class Rule(Strict):
    """Of one store. What is not among the newest ``keep``, or is older than ``days``, goes."""

    keep: int = Field(default=10, ge=1)
    days: int = Field(default=90, ge=1)


class Retention(Strict):
    """config/retention.toml, a table for each store. Kept in any case: the champion, its predecessor, and what they come from.

    ``log`` counts days; each ``keep`` of ``runs`` is of one flow, of ``data_versions`` of one data set, of ``trials`` of one
    experiment.
    """

    runs: Rule = Rule()
    data_versions: Rule = Rule()
    trials: Rule = Rule()
    bentos: Rule = Rule()
    log: Rule = Rule(keep=90)
    scores: Rule = Rule()
    quarantine: Rule = Rule()

    def changed(self, keep: int | None, days: int | None) -> "Retention":
        """The same with these numbers, where they are given, in every table; of ``log`` only the days."""
        numbers = {name: value for name, value in (("keep", keep), ("days", days)) if value is not None}
        rules = {}
        for name in type(self).model_fields:
            applicable = numbers if name != "log" else {key: value for key, value in numbers.items() if key == "days"}
            rules[name] = getattr(self, name).model_dump() | applicable
        return Retention.model_validate(rules)
