"""What each campaign's report said last, as JSON beside the lists: the retention manager's page shows it."""

import json
from datetime import UTC, datetime
from typing import Any

from churn import format_version
from churn.errors import ChurnError
from churn.serving import batch_scoring, prediction_log
from churn.settings.dataset import Dataset

FOLDER, FORMAT = "reports", 1


def keep_verdict(dataset: Dataset, campaign: str, lines: list[str]) -> None:
    """Keep the ``lines`` of a campaign's report, in place of those before. Raises ChurnError if they cannot be written."""
    content = {"campaign": campaign, "lines": lines, "day": f"{datetime.now(UTC):%Y-%m-%d}"}
    text = json.dumps(format_version.stamped(content, FORMAT))
    name = f"{FOLDER}/{dataset.name}/{campaign}.json"
    try:
        prediction_log.store(batch_scoring.root(), name, text.encode())
    except OSError as error:
        raise ChurnError(
            f"{batch_scoring.root()}/{name} cannot be written: {error}; correct CHURNFLOW_SCORES"
        ) from None


def kept_verdicts(dataset: Dataset) -> list[dict[str, Any]]:
    """Campaign, lines and day of each report of the data set, the latest first."""
    from pyarrow import fs

    store, folder = prediction_log.filesystem(batch_scoring.root())
    chosen = fs.FileSelector(f"{folder}/{FOLDER}/{dataset.name}", allow_not_found=True)
    reports = []
    for info in store.get_file_info(chosen):
        if info.path.endswith(".json"):
            with store.open_input_stream(info.path) as stream:
                reports.append(format_version.opened(json.loads(stream.read()), FORMAT, info.path))
    return sorted(reports, key=lambda one: (one["day"], one["campaign"]), reverse=True)
