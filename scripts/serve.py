"""``make serve`` and ``make mlflow``: run the server, with this project's defaults in the environment."""

import argparse
import asyncio
import os
import sys
from functools import partial

import _flows  # noqa: F401 - first: it finds flows/
import base
from churn.local_server import listening
from churn.registry import mlflow_store
from churn.serving import api_keys, prediction_log, release
from churn.settings import commands
from churn.settings.core import load
from churn.settings.dataset import Dataset
from churn.storage import s3

LOOPBACK = "127.0.0.1"


def champion_tag(dataset: str) -> str:
    """The tag of the champion's Bento for a data set (see ``base.dataset_file``), built if it does not exist yet."""
    from churn.serving import packaging

    return packaging.build_bento(release.champion(load(Dataset, base.dataset_file(dataset))))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on; 0.0.0.0 is every one of this machine")
    parser.add_argument("--port", type=int, help="default: 3000, and 5000 for MLflow")
    parser.add_argument("--dataset", default="telco")
    parser.add_argument("--build", action="store_true", help="build the Bento, print its tag, and stop")
    parser.add_argument("--mlflow", action="store_true", help="serve MLflow's pages instead")
    options = parser.parse_args()
    with base.stopping():
        s3.check_access()
        if options.build:
            print(champion_tag(options.dataset))
            return
        port = options.port if options.port is not None else 5000 if options.mlflow else 3000
        listening.require_free(options.host, port, partial(_again, options))
        api_keys.rights()
        prediction_log.root()
        words = _mlflow() if options.mlflow else []
        if not listening.local(options.host):
            _warn(options.mlflow, port)
        if not options.mlflow:
            sys.exit(_serve(options, port))
    os.execv(sys.executable, [sys.executable, "-m", *words, "--host", options.host, "--port", str(port)])


def _serve(options: argparse.Namespace, port: int) -> int:
    from churn.deployment import record
    from churn.local_server.supervisor import Supervisor
    from churn.serving import packaging

    with base.stopping():
        dataset = load(Dataset, base.dataset_file(options.dataset))
        model, why = record.to_serve(dataset)
        tag = packaging.build_bento(model)
    say = partial(print, flush=True)
    if why:
        say(why)
    return asyncio.run(Supervisor(dataset.model, tag, options.host, port, say).run())


def _again(options: argparse.Namespace, port: int) -> str:
    """The command that listens on another port."""
    host = "" if options.host == LOOPBACK else options.host
    if options.mlflow:
        return commands.say("mlflow", HOST=host, PORT=str(port))
    return commands.say("serve", DATASET=options.dataset, HOST=host, PORT=str(port))


def _warn(mlflow: bool, port: int) -> None:
    if mlflow:
        what = "can read and change the registry: MLflow requires no password"
    elif api_keys.read(api_keys.PREDICT):
        return
    else:
        what = "can use the service: it requires no key; set CHURNFLOW_API_KEYS (docs/serving.md)"
    print(f"WARNING: anyone who reaches port {port} of this machine {what}", file=sys.stderr, flush=True)


def _mlflow() -> list[str]:
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if uri.startswith("http"):
        raise base.ChurnError(
            f"MLflow's pages are those of its server: open {mlflow_store.tracking_uri()} in the browser"
        )
    s3.check_state()
    mlflow_store.client()  # reports what is wrong with the store once; the server would repeat it in a loop
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri  # on the command line every local user would see its password
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # 13 processes and 2 GB otherwise
    return ["mlflow", "server"]


if __name__ == "__main__":
    main()
