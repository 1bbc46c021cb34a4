"""``make predict FILE=customers.csv``: the file's customers, ranked by a running service."""

import argparse
import os
import sys
from pathlib import Path

import base
from churn import client

SHOWN = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--url", default=client.USUAL)
    parser.add_argument("--out", help="the ranked CSV (default: FILE.ranked.csv, here)")
    options = parser.parse_args()
    out = Path(options.out or f"{Path(options.file).stem}.ranked.csv")
    url = options.url if "://" in options.url else f"http://{options.url}"
    try:
        ranked, notes = client.rank(options.file, url.rstrip("/"), os.environ.get("CHURNFLOW_API_KEY", ""))
        ranked.to_csv(out, index=False)
    except (base.ChurnError, OSError) as error:
        sys.exit(str(error))
    base.say(notes)
    print(ranked.head(SHOWN).drop(columns="prediction_id").iloc[:, :8].to_string(index=False))
    print(f"\n{len(ranked)} customers, {ranked.decision.sum()} count as churning: {out}")


if __name__ == "__main__":
    main()
