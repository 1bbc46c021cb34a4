"""``make promote | rollback | compare | lineage``: manage the versions in the registry."""

import argparse
from collections.abc import Iterable

import _flows  # noqa: F401 - first: it finds flows/
import base
import run
from churn.deployment import record
from churn.registry import model_registry, versions
from churn.serving import release
from churn.settings.core import load
from churn.settings.dataset import Dataset
from churn.settings.train import TrainConfig
from churn.storage import s3
from orchestration import deploying


def main() -> None:
    """Run the command."""
    options = _options()
    with base.stopping():
        s3.check_access()
        description = load(Dataset, base.dataset_file(options.dataset))
        _print(_run(options, description.model))
        if options.command == "rollback" or versions.TARGETS.get(getattr(options, "to", "")) == model_registry.CHAMPION:
            release.publish(release.champion(description))
            deploying.champion(description, run.here)


def _run(options: argparse.Namespace, model: str) -> Iterable[str]:
    if options.command == "promote":
        return versions.promote(model, options.version, options.to, options.reason)
    if options.command == "rollback":
        bad, good = model_registry.rollback(model, options.reason)
        return [f"Champion: version {good.version} again, instead of version {bad.version}"]
    if options.command == "approve":
        return [record.approve(model_registry.by_version(model, options.version))]
    if options.command == "compare":
        rule = load(TrainConfig, base.ROOT / "config" / "train.toml").promotion
        return versions.compare(
            model_registry.by_version(model, options.a), model_registry.by_version(model, options.b), rule
        )
    return versions.lineage(model_registry.by_version(model, options.version))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="telco")
    commands = parser.add_subparsers(dest="command", required=True)
    promote = commands.add_parser("promote", help="make a version champion (Production) or challenger (Staging)")
    promote.add_argument("version")
    promote.add_argument("--to", default=model_registry.CHAMPION, choices=sorted(versions.TARGETS))
    promote.add_argument("--reason", default="by hand")
    rollback = commands.add_parser("rollback", help="make the previous champion the champion again")
    rollback.add_argument("--reason", required=True)
    commands.add_parser("approve", help="let a deployment that waits go on").add_argument("version")
    compare = commands.add_parser("compare", help="two versions on rows that neither has seen")
    compare.add_argument("a")
    compare.add_argument("b")
    commands.add_parser("lineage", help="where a version comes from").add_argument("version")
    return parser.parse_args()


def _print(lines: Iterable[str]) -> None:
    print("\n".join(lines))


if __name__ == "__main__":
    main()
