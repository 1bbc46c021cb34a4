"""The service's settings, config/serve.toml."""

import os
from pathlib import Path

from churn.serving.request import InputSettings
from churn.settings.core import Strict, load
from churn.storage import keyed_ids
from pydantic import Field

from bento.log import LogSettings

FILE = "serve.toml"  # in a Bento, beside this module


class Limits(Strict):
    """Limits of one request (rows, bytes, seconds) and of all together (connections, concurrent large bodies)."""

    rows: int = Field(default=10_000, ge=1)
    customer_bytes: int = Field(default=65_536, ge=1024)
    batch_bytes: int = Field(default=16_777_216, ge=1024)
    file_bytes: int = Field(default=4_194_304, ge=1024)
    header_bytes: int = Field(default=32_768, ge=1024)
    seconds: int = Field(default=10, ge=1)
    connections: int = Field(default=500, ge=1)
    batches: int = Field(default=2, ge=1)


class ServeConfig(Strict):
    """config/serve.toml."""

    workers: int = Field(default=1, ge=1)
    limits: Limits = Limits()
    input: InputSettings = InputSettings()
    log: LogSettings = LogSettings()


def load_settings() -> ServeConfig:
    """Load the file named by CHURNFLOW_SERVE_CONFIG, else the one packed into the Bento.

    Raises ChurnError if it is not valid, or if the key for ids is too short.
    """
    keyed_ids.key()
    return load(ServeConfig, os.environ.get("CHURNFLOW_SERVE_CONFIG") or Path(__file__).with_name(FILE))
