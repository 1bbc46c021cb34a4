"""``make predict FILE=customers.csv``: rank the file's customers with a running service; ID=... for one it knows."""

import argparse
import json
import os
from pathlib import Path

import _flows  # noqa: F401 - first: it finds flows/
import base
from churn.files import formulas
from churn.serving import client
from churn.settings.environment import private

SHOWN = 10


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", default="")
    parser.add_argument("--id", help="a customer of ScoreFlow's newest list of a data set made of events", default="")
    parser.add_argument("--url", default=client.USUAL)
    parser.add_argument("--out", help="the ranked CSV (default: FILE.ranked.csv, here)")
    options = parser.parse_args()
    out = Path(options.out or f"{Path(options.file).stem}.ranked.csv")
    url = (options.url if "://" in options.url else f"http://{options.url}").rstrip("/")
    key = os.environ.get("CHURNFLOW_API_KEY", "")
    with base.stopping():
        if options.id:
            print(json.dumps(client.ask_by_id(options.id, url, key), indent=1))
            return
        ranked, notes = client.rank(options.file, url, key)
        try:
            with open(out, "wb", opener=private) as file:
                file.write(formulas.csv(ranked))
        except OSError as error:
            raise base.ChurnError(
                f"{out}: cannot be written ({error.strerror or error}); name another with --out"
            ) from error
    base.say(notes)
    print(ranked.head(SHOWN).drop(columns="prediction_id").iloc[:, :8].to_string(index=False))
    print(f"\n{len(ranked)} customers, {ranked.decision.sum()} count as churning: {out}")


if __name__ == "__main__":
    main()
