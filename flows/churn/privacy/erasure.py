"""Find or erase one customer in all stores.

A kill at any time leaves enough to continue from: stores that link the id to rows without it (lists, runs, data versions) are
erased after those rows.
"""

from collections.abc import Callable, Iterator

from churn.errors import ChurnError
from churn.privacy import data_versions, logged_rows, registered_models, run_store, written_files
from churn.privacy.subject import Subject
from churn.privacy.trace import Trace
from churn.settings import commands
from churn.settings.core import load
from churn.settings.dataset import Dataset
from churn.settings.environment import ROOT
from churn.storage import keyed_ids

STORES: tuple[Callable[[Subject, bool], Iterator[Trace]], ...] = (
    registered_models.sweep,
    registered_models.tags,
    logged_rows.sweep,
    logged_rows.newest_features,
    run_store.sweep,
    written_files.lists,
    written_files.quarantine,
    data_versions.sweep,
    written_files.restored,
    written_files.temporary,
    written_files.others,
)


def subject(customer: str, dataset: str = "") -> Subject:
    """The customer with that id, in the data set of that name or in all. Raises ChurnError for an invalid id."""
    if not customer.strip() or customer.encode(errors="ignore").decode() != customer:  # bytes in another encoding
        raise ChurnError("ID is empty or not UTF-8 text; give the customer's id as it is written in the data")
    described = [load(Dataset, file) for file in sorted((ROOT / "config" / "datasets").glob("*.toml"))]
    names = {one.id for one in described if one.id is not None and dataset in ("", one.name)}
    names |= {one.id for one in data_versions.descriptions() if one.id is not None and dataset in ("", one.name)}
    return Subject(customer.strip(), frozenset(names), dataset)


def sweep(who: Subject, remove: bool) -> list[Trace]:
    """All traces of the customer; removed if ``remove``."""
    return [trace for store in STORES for trace in store(who, remove)]


def report(who: Subject, traces: list[Trace], removed: bool) -> Iterator[str]:
    """What was found where, what is left to do, and what a search cannot find."""
    done = "erased" if removed else "found"
    yield f"{done.capitalize()} of customer {who.id}: " + (f"{len(traces)} places" if traces else "nothing")
    for store in dict.fromkeys(trace.store for trace in traces):
        yield f"  {store}"
        for trace in traces:
            if trace.store == store:
                yield f"    {trace.place}: {trace.what}"
                yield from (f"      {line}" for line in trace.values if not removed)
    todo = list(dict.fromkeys((trace.todo, trace.place) for trace in traces if trace.todo))
    if todo:
        yield "Left to do:" if removed else "To do afterwards:"
        for advice in dict.fromkeys(advice for advice, _ in todo):
            yield f"  {', '.join(place for other, place in todo if other == advice)}: {advice}"
    yield from _limits(who, bool(traces))
    if traces and not removed:
        yield f"Erase it: {commands.say('erase', ID=who.id, DATASET=who.dataset)}"


def _limits(who: Subject, known: bool) -> Iterator[str]:
    """What the search cannot see."""
    if who.keyed is None:
        yield f"Not looked for: keyed ids in the prediction log ({keyed_ids.KEY} is not set)"
    if who.short:
        yield f"Not looked for: an id as short as {who.id!r} in free text (cards, logs, tags)"
    if known:
        yield "Not seen from here: your sources, backups, old versions of a versioned bucket, and files that you copied"
