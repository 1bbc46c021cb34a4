"""``make find`` and ``make erase``: what is kept of one customer, and its removal."""

import argparse

import _flows  # noqa: F401 - first: it finds flows/
import base
from churn.settings.core import load
from churn.settings.dataset import Dataset
from churn.storage import s3


def main() -> None:
    """Run the command."""
    options = _options()
    with base.stopping():
        s3.check()
        from churn.privacy import erasure

        dataset = load(Dataset, base.dataset_file(options.dataset)).name if options.dataset else ""
        who, remove = erasure.subject(options.id, dataset), options.command == "erase"
        print("\n".join(erasure.report(who, erasure.sweep(who, remove), remove)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="", help="look in this data set only (default: in all)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("find", help="say where the customer's data lie").add_argument("id")
    commands.add_parser("erase", help="remove them").add_argument("id")
    return parser.parse_args()


if __name__ == "__main__":
    main()
