"""config/data.toml: where customers come from, how they are split, and which limits a table must keep."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from churn.settings.core import Strict
from pydantic import Field, field_validator, model_validator


class Generate(Strict):
    """Rows made up from the data set's [generate] table."""

    kind: Literal["generate"]
    rows: int = Field(default=10_000, ge=10, le=100_000_000)
    seed: int = Field(default=42, ge=0)

    @property
    def name(self) -> str:
        return f"generated ({self.rows} rows, seed {self.seed})"


class _Place(Strict):
    """What sources outside have in common: ``join`` adds their columns by id instead of their rows; ``retries`` after the
    first attempt; ``timeout`` in seconds of one connection or pause.
    """

    join: bool = False
    retries: int = Field(default=3, ge=0, le=20)
    timeout: float = Field(default=30, gt=0)


class File(_Place):
    """A CSV or Parquet file, gzipped or not, or a folder of them."""

    kind: Literal["file"]
    path: str = Field(min_length=1)

    @property
    def name(self) -> str:
        return self.path


class S3(_Place):
    """An object, or with a trailing slash all objects below; endpoint and keys from AWS_* in the environment."""

    kind: Literal["s3"]
    url: str = Field(pattern=r"^s3://[^/]+/.+")

    @property
    def name(self) -> str:
        return self.url


class Http(_Place):
    """A file on a web server. ``bearer`` names the environment variable that holds the token, if one is needed."""

    kind: Literal["http"]
    url: str = Field(pattern=r"^https?://[^/@]+(/|$)")
    bearer: str = ""
    max_megabytes: int = Field(default=2048, ge=1)

    @property
    def name(self) -> str:
        return self.url


class Sql(_Place):
    """A query to a database. ``${NAME}`` in the SQLAlchemy ``url`` is read from the environment: no password in a file."""

    kind: Literal["sql"]
    url: str = Field(pattern=r"^[a-z0-9+]+://")
    query: str = Field(min_length=1)

    @property
    def name(self) -> str:
        return f"{self.url} ({' '.join(self.query.split())[:60]})"

    @field_validator("url")
    @classmethod
    def _no_secret(cls, url: str) -> str:
        if re.search(r"://[^/@]*:(?!\$\{\w+\}@)[^/@]+@", url):
            raise ValueError("the password does not belong into a file; write ${NAME} and set NAME in the environment")
        return url


Source = Annotated[Generate | File | S3 | Http | Sql, Field(discriminator="kind")]


def any_made_up(sources: Sequence[Source]) -> bool:
    """Whether a source makes its customers up."""
    return any(source.kind == "generate" for source in sources)


class Split(Strict):
    """Share of the customers (with a time column: of the rows) held out, and the seed that, with the id, draws them."""

    holdout: float = Field(default=0.2, gt=0, lt=1)
    seed: int = Field(default=42, ge=0)


class Quality(Strict):
    """Limits the whole table must keep: fewest rows, fewest rows of either class, the usual share of churn (a warning),
    the largest age of the newest row in days, the largest share of rows that may go to quarantine, and the largest
    Jensen-Shannon distance of a column from the previous data version. ``stale``, ``leakage`` and ``drifted`` say
    whether such a finding stops the run, ``unlabelled`` whether rows without an outcome do, or are left out.
    """

    min_rows: int = Field(default=100, ge=10)
    min_class_rows: int = Field(default=20, ge=5)
    unlabelled: Literal["drop", "error"] = "drop"
    churn_share: tuple[float, float] = (0.01, 0.6)
    max_age_days: int | None = Field(default=None, ge=0)
    stale: Literal["error", "warning"] = "warning"
    leakage: Literal["error", "warning"] = "warning"
    quarantine: float = Field(default=0.0, ge=0, lt=1)
    drift: float = Field(default=0.1, gt=0, le=1)
    drifted: Literal["error", "warning"] = "warning"


class Versioning(Strict):
    """``pointer``: where to write the .dvc file of the newest version, relative to the root (empty: nowhere)."""

    pointer: str = ""


class DataConfig(Strict):
    """config/data.toml."""

    source: tuple[Source, ...]
    split: Split = Split()
    quality: Quality = Quality()
    version: Versioning = Versioning()

    @model_validator(mode="after")
    def _has_rows(self) -> "DataConfig":
        if not self.source:
            raise ValueError("there is no [[source]]")
        if all(getattr(source, "join", False) for source in self.source):
            raise ValueError("every [[source]] has join = true; one must give the rows that the others are joined to")
        return self
