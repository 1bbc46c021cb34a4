"""The line that a command on synthetic customers begins and ends with. Empty for real ones.

``dataset`` is a data set's name.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from churn.settings import commands
from churn.settings.data import Events, Origin, Synthetic

if TYPE_CHECKING:
    from churn.registry.model_registry import Registered


def sources(chosen: Sequence[Origin], dataset: str, target: str) -> str:
    """Of a command that reads customers; ``target`` is what would read the reader's own (see ``commands.say``)."""
    if any(isinstance(source, Events) and source.synthetic for source in chosen):
        return _line(f"the synthetic tables of data set '{dataset}'", dataset, target)
    rows = sum(source.rows for source in chosen if isinstance(source, Synthetic))
    return _line(f"{rows:,} rows from [synthetic] of data set '{dataset}'", dataset, target) if rows else ""


def data_version(name: str, dataset: str, synthetic: bool) -> str:
    """Of a training on the data version ``name``."""
    return _line(f"data version {name}", dataset, "run") if synthetic else ""


def model(registered: "Registered", dataset: str) -> str:
    """Of a command that uses the model."""
    learned = f"{registered.name} version {registered.version} learned from them"
    return _line(learned, dataset, "run") if learned_from_synthetic(registered) else ""


def learned_from_synthetic(model: "Registered") -> bool:
    """Whether the model learned from synthetic customers; earlier releases' tag is ``made_up``."""
    return model.tags.get("synthetic", model.tags.get("made_up")) == "True"


def _line(what: str, dataset: str, target: str) -> str:
    yours = commands.say(target, DATASET=dataset, SOURCE=commands.FILE)
    return f"Synthetic customers, none of yours: {what}. For yours: {yours}"
