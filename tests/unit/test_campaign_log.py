"""Who is in which arm is known, or a campaign does not go on."""

import random
from pathlib import Path

import pandas as pd
import pytest
from churn.campaigns import campaign_log
from churn.errors import ChurnError
from churn.settings.dataset import Dataset
from churn.storage import keyed_ids
from test_checksums import flipped

AT = 1_795_000_000_000_000


@pytest.fixture
def part(telco: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a campaign of 20, in two parts: the second."""
    monkeypatch.setenv("CHURNFLOW_PREDICTIONS", str(tmp_path))
    for number in range(2):
        rows = pd.DataFrame({name: [None] * 10 for name in campaign_log.log_columns(telco).names})
        rows["customerID"] = [f"key {10 * number + row}" for row in range(10)]
        rows = rows.assign(
            campaign="spring", dataset="telco", arm="contact", time=pd.Timestamp(AT, unit="us", tz="UTC")
        )
        campaign_log.append(telco, rows, AT + number, "spring")
    assert len(campaign_log.read(telco)) == 20
    return max(tmp_path.rglob("*.parquet"))


def _flips(part: Path, telco: Dataset, number: int) -> None:
    content, rng = part.read_bytes(), random.Random(number)
    for bit in rng.sample(range(8 * len(content)), number):
        part.write_bytes(flipped(content, bit))
        with pytest.raises(ChurnError, match=f"the campaign log is damaged: {part}; restore it"):
            campaign_log.read(telco)
    part.write_bytes(content)
    assert len(campaign_log.read(telco)) == 20


def test_no_flipped_bit_assigns_anybody_anew(part: Path, telco: Dataset) -> None:
    _flips(part, telco, 15)


@pytest.mark.slow
def test_none_of_five_hundred_flipped_bits_assigns_anybody_anew(part: Path, telco: Dataset) -> None:
    _flips(part, telco, 500)


def test_another_key_than_the_logs_is_refused(telco: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its customers would not be recognised, and would be contacted again."""
    monkeypatch.setenv("CHURNFLOW_PREDICTIONS", str(tmp_path))
    monkeypatch.setenv(keyed_ids.KEY, "0123456789abcdef")
    rows = pd.DataFrame({name: [None] for name in campaign_log.log_columns(telco).names})
    for number in range(2):
        campaign_log.append(
            telco, rows.assign(customerID=str(number), campaign="spring", dataset="telco"), AT, "spring"
        )
    assert campaign_log.secret() == b"0123456789abcdef"
    monkeypatch.setenv(keyed_ids.KEY, "0123456789abcdeg")
    with pytest.raises(ChurnError, match=r"^CHURNFLOW_ID_KEY is not the key that the campaign log .* was written with"):
        campaign_log.secret()
    (tmp_path / campaign_log.FINGERPRINT).unlink()  # as in a log of an earlier release
    campaign_log.secret()
