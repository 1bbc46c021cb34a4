"""``make find``, ``make erase`` and ``make prune``: find one customer's data, erase them, and remove old data."""

import argparse
from collections.abc import Iterable

import _flows  # noqa: F401 - first: it finds flows/
import base
from churn.settings import commands
from churn.settings.core import load
from churn.settings.dataset import Dataset
from churn.settings.retention import Retention
from churn.storage import s3


def _customer(options: argparse.Namespace) -> Iterable[str]:
    """Find or erase."""
    from churn.privacy import erasure

    dataset = load(Dataset, base.dataset_file(options.dataset)).name if options.dataset else ""
    who, remove = erasure.subject(options.id, dataset), options.command == "erase"
    return erasure.report(who, erasure.sweep(who, remove), remove)


def _prune(options: argparse.Namespace) -> Iterable[str]:
    """List what is old, and remove it if confirmed."""
    from churn.privacy import lineage, retention

    rules = load(Retention, base.ROOT / "config" / "retention.toml").changed(options.keep, options.days)
    items = retention.items(lineage.known())
    gone = retention.outdated(items, rules)
    if options.confirm:
        retention.remove(gone)
    yield from retention.report(items, gone, options.confirm)
    if gone and not options.confirm:
        limits = {name.upper(): str(getattr(options, name) or "") for name in ("keep", "days")}
        yield f"Nothing is removed yet; to remove it: {commands.say('prune', **limits, CONFIRM='1')}"


def main() -> None:
    """Run the command."""
    options = _options()
    with base.stopping():
        s3.check_access()
        print("\n".join((_prune if options.command == "prune" else _customer)(options)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="", help="look in this data set only (default: in all)")
    words = parser.add_subparsers(dest="command", required=True)
    words.add_parser("find", help="say where the customer's data lie").add_argument("id")
    words.add_parser("erase", help="remove them").add_argument("id")
    prune = words.add_parser("prune", help="name what is old, or remove it")
    prune.add_argument("--keep", type=int, help="the newest of each kind (default: config/retention.toml)")
    prune.add_argument("--days", type=int, help="the oldest age (default: config/retention.toml)")
    prune.add_argument("--confirm", action="store_true", help="remove it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
