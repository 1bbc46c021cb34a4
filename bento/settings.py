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
    """Of one request: rows, bytes and seconds; of all: connections, and large bodies at once."""

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
    """The file that CHURNFLOW_SERVE_CONFIG names, else the one packed into the Bento.

    Raises ChurnError, also for a key of ids that is too short.
    """
    keyed_ids.key()
    return load(ServeConfig, os.environ.get("CHURNFLOW_SERVE_CONFIG") or Path(__file__).with_name(FILE))
