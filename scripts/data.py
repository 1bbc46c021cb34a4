"""``make dataset``, ``make data-pull`` and ``make data-diff``: describe a new file, get a version back, compare two."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import _flows  # noqa: F401 - first: it finds flows/
import base
from churn.errors import ChurnError
from churn.settings import commands, dataset
from churn.settings import core as settings

if TYPE_CHECKING:
    import pandas as pd


def describe(options: argparse.Namespace) -> str:
    """Write config/datasets/NAME.toml from a file; say what a person has to decide and how to go on."""
    from churn.data import sources, tables
    from churn.schema_inference import infer

    dataset.require_name(options.name)
    path = base.ROOT / "config" / "datasets" / f"{options.name}.toml"
    if path.exists():
        raise ChurnError(f"{commands.shown(path)}: exists already; remove it first, or give another NAME")
    paths = options.source.split()
    if len(paths) > 1 and not Path(options.source).expanduser().exists():
        return _of_events({source: _loaded(source) for source in paths}, options.name, path)
    with sources.at_hand(options.source) as files:
        data, notes = tables.to_parquet(files[0])
    if len(files) > 1:
        notes = (*notes, f"{files[0]}: described is the first of {len(files)} files")
    base.say(notes)  # even if the file is then refused
    hints = (options.target, options.positive, options.leave_out)
    try:
        description = infer.describe(tables.from_bytes(data), options.name, options.source, *hints)
    except ChurnError as error:
        if any(hints) or len(files) > 1:
            raise
        try:
            return _of_events(
                {str(files[0]): tables.from_bytes(data)}, options.name, path
            )  # a log in one file has no column that says who left
        except ChurnError:
            raise error from None
    path.write_text(description.text, encoding="utf-8")
    described = description.dataset
    left = " or ".join(map(repr, described.columns[described.target].left))
    return "\n".join(
        [
            f"Wrote {commands.shown(path)}: target '{described.target}' ({left} means left), "
            f"id {described.id or 'none'}, {len(described.raw)} of {len(described.columns)} columns are features.",
            *([f"Left out: {', '.join(description.left_out)}."] if description.left_out else []),
            *([f"Columns left out: {', '.join(description.aside)}."] if description.aside else []),
            *(["Decide, there:"] if description.decisions else []),
            *(f"  {note}" for note in description.decisions),
            f"Then: {commands.say('run', DATASET=options.name, SOURCE=options.source)}",
        ]
    )


def _loaded(source: str) -> "pd.DataFrame":
    from churn.data import sources, tables

    with sources.at_hand(source) as files:
        data, notes = tables.to_parquet(files[0])
    base.say(notes)
    return tables.from_bytes(data)


def _of_events(frames: "dict[str, pd.DataFrame]", name: str, path: Path) -> str:
    """The same from tables of events, by file."""
    from churn.schema_inference import infer_events

    text, events, decisions = infer_events.describe(frames, name)
    path.write_text(text, encoding="utf-8")
    assert events.label is not None
    return "\n".join(
        [
            f"Wrote {commands.shown(path)}: tables {', '.join(events.tables)}; "
            f"label '{events.label.kind}' of '{events.label.table}', "
            f"{len(events.raw)} columns from {len(events.aggregates)} aggregates.",
            "Decide, there:",
            *(f"  {note}" for note in decisions),
            f"Then: {commands.say('run', DATASET=name)}",
        ]
    )


def pull(options: argparse.Namespace) -> str:
    """Restore a version into a folder, byte for byte."""
    from churn.data import snapshots
    from churn.storage import s3

    s3.check_access()
    folder = Path(options.to or base.ROOT / "data" / options.version.removesuffix(".dir"))
    return f"Restored to {snapshots.restore(snapshots.whole_name(options.version), folder)}"


def diff(options: argparse.Namespace) -> str:
    """Rows added, removed and changed from version A to version B, and how far each column moved."""
    from churn.data import snapshots
    from churn.storage import s3
    from churn.validation import version_diff

    s3.check_access()
    before, after = (snapshots.load(snapshots.whole_name(version)) for version in (options.a, options.b))
    return version_diff.render(version_diff.diff(before, after))


def sql(options: argparse.Namespace) -> str:
    """The statement that makes customers at moments of a description's tables, for the moments until now."""
    from datetime import datetime

    from churn.data.events import engine, statement

    described = settings.load(dataset.Dataset, base.dataset_file(options.dataset))
    if not described.tables:
        raise ChurnError(
            f"data set '{described.name}' has no [tables] of events: its customers come from a table as they are"
        )
    return statement.compiled(described, engine.snapshots(described, datetime.now()))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    add = commands.add_parser("describe", help=describe.__doc__)
    add.add_argument("source", help="CSV, Excel or Parquet file")
    add.add_argument("name", help="of the data set: small letters, digits and _")
    add.add_argument("--target", default="", help="the column that says who left, where it cannot be told")
    add.add_argument("--positive", default="", help="its value that means that the customer left, or several: A,B")
    add.add_argument("--leave-out", default="", help="its values whose rows are no examples: A,B")
    add.set_defaults(run=describe)
    add = commands.add_parser("pull", help=pull.__doc__)
    add.add_argument("version")
    add.add_argument("--to", help="folder to make (default: data/VERSION)")
    add.set_defaults(run=pull)
    add = commands.add_parser("diff", help=diff.__doc__)
    add.add_argument("a")
    add.add_argument("b")
    add.set_defaults(run=diff)
    add = commands.add_parser("sql", help=sql.__doc__)
    add.add_argument("dataset", help="a data set of config/datasets, or a file that describes one")
    add.set_defaults(run=sql)
    options = parser.parse_args()
    with base.stopping():
        print(options.run(options))


if __name__ == "__main__":
    main()
