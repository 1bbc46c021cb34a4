"""``make report``: the newest registry version's leaderboard as Markdown, compared with another state's (such as main's).

The other state is a JSON file that ``--json`` wrote, so it may come from another release and another machine.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _flows  # noqa: F401 - first: it finds flows/
import base
from churn.registry import model_registry
from churn.serving import release
from churn.settings.core import load
from churn.settings.dataset import Dataset

SCORES = ("roc_auc", "pr_auc", "brier", "ece", "lift_10")


def newest(dataset: str) -> dict[str, Any]:
    """The record of the newest version: families, scores on the holdout and the verdict. Empty if there is none."""
    name = load(Dataset, base.dataset_file(dataset)).model
    versions = model_registry.client().search_model_versions(f"name = '{name}'")
    if not versions:
        return {}
    model = model_registry.by_version(name, str(max(int(one.version) for one in versions)))
    recorded = release.record(model)
    return {key: recorded.get(key) for key in ("metric", "families", "scores", "summary")} | {"version": model.version}


def lines(now: dict[str, Any], other: dict[str, Any] | None) -> Iterator[str]:
    """The report, line by line."""
    yield "## Leaderboard"
    yield ""
    if not now:
        yield "No model was registered: the gate is closed, or the run failed before it. The run's log says why."
        return
    before = {family["name"]: family for family in (other or {}).get("families") or ()}
    yield f"| family | {now['metric']} (95 %) | brier | seconds | main's {now['metric']} | change |"
    yield "|---|---|---|---|---|---|"
    for family in sorted(now["families"], key=lambda one: -one["score"]):
        low, high = family["interval"]
        was = before.get(family["name"])
        change = f"{was['score']:.4f} | {family['score'] - was['score']:+.4f}" if was else "- | new"
        shown = f"{family['score']:.4f} ({low:.4f} to {high:.4f}) | {family['brier']:.4f} | {family['seconds']:.0f}"
        yield f"| {family['name']} | {shown} | {change} |"
    yield ""
    yield "| on the holdout | here | main |"
    yield "|---|---|---|"
    main = (other or {}).get("scores") or {}
    for name in SCORES:
        if name in now["scores"]:
            yield f"| {name} | {now['scores'][name]:.4f} | {f'{main[name]:.4f}' if name in main else '-'} |"
    yield ""
    yield now["summary"]


def main() -> None:
    """Write the report, or the JSON for a later comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="telco")
    parser.add_argument("--against", help="what --json wrote of the other state")
    parser.add_argument("--json", help="write the leaderboard to this file instead")
    parser.add_argument("--out", default="report.md", help="the file to write")
    options = parser.parse_args()
    with base.stopping():
        current = newest(options.dataset)
    if options.json:
        Path(options.json).write_text(json.dumps(current), encoding="utf-8")
        return
    against = Path(options.against) if options.against else None
    other = json.loads(against.read_text(encoding="utf-8")) if against and against.is_file() else None
    text = "\n".join(lines(current, other)) + "\n"
    Path(options.out).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
