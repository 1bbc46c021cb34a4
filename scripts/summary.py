"""The summary at the end of ``make run``: its two runs in a few lines."""

import os
import shlex
from collections.abc import Iterator
from typing import Any

import _flows  # noqa: F401 - first: it finds flows/
from churn.serving import release
from churn.settings import commands
from orchestration import runs


def lines(data_run: str, train_run: str) -> Iterator[str]:
    """The summary of a DataFlow run and the TrainFlow run on its version, line by line."""
    data, train = runs.one("DataFlow", data_run).data, runs.one("TrainFlow", train_run).data
    champion, made = train.champion, train.challenger
    record = release.record(made)
    stored = "" if data.saved.uploaded else "; stored already, nothing uploaded"
    kind = "synthetic rows" if data.synthetic else "rows"
    yield f"Data       {data.data_version}  ({data.rows[0]:,} {kind} to train, {data.rows[1]:,} held out{stored})"
    for i, family in enumerate(record.get("families", [])):
        yield f"{'' if i else 'Families':<10} {_family(family, record['metric'])}"
    if "scores" in record:
        yield f"Holdout    {'  '.join(f'{name} {value:.4f}' for name, value in record['scores'].items())}"
    same = f"Nothing to train: version {made.version} has this data and config already."
    yield f"Verdict    {same if train.nothing_to_do else record['summary']}"
    if made.version != champion.version:
        yield f"Model      version {made.version} ({made.tags['family']})"
    yield f"Champion   version {champion.version} ({champion.tags['family']})"
    proof = f"compared with the champion on holdout rows: largest difference {train.parity:.0e}"
    yield f"Bento      {train.bento}, served and {proof}"
    yield f"Cards      {commands.say('card', FLOW='data', RUN=f'{data_run}/validate')}"
    yield f"           {commands.say('card', FLOW='train', RUN=f'{_trained(train, train_run)}/gate')}"
    serve = commands.say("serve", DATASET=data.description["name"])
    home = shlex.quote(os.environ["BENTOML_HOME"])
    yield f"Serve      {serve}    # or: BENTOML_HOME={home} bentoml serve --host 127.0.0.1 {train.bento}"


def _trained(train: Any, run: str) -> str:
    """The run with the training's card: an earlier one if there was nothing to train."""
    return train.challenger.tags["metaflow_run"].split("/")[1] if train.nothing_to_do else run


def _family(family: dict[str, Any], metric: str) -> str:
    low, high = family["interval"]
    return (
        f"{family['name']:<22} {metric} {family['score']:.4f} ({low:.4f} to {high:.4f})  "
        f"brier {family['brier']:.4f}  {family['seconds']:.0f} s"
    )
