"""config/data.toml: where customers come from, how they are split, and the limits a table must satisfy."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from churn.errors import masked
from churn.settings.core import Strict, from_dict
from pydantic import Field, ValidationInfo, field_validator, model_validator

EXPANDED_MEGABYTES = 2048  # for any file, unless its [[source]] says otherwise


class Synthetic(Strict):
    """Synthetic customers, generated from the data set's [synthetic] table; earlier releases called this kind ``generate``."""

    kind: Literal["synthetic", "generate"]
    rows: int = Field(default=10_000, ge=10, le=100_000_000)
    seed: int = Field(default=42, ge=0)

    @property
    def name(self) -> str:
        """What messages and cards call this source."""
        return f"synthetic ({self.rows} rows, seed {self.seed})"

    @field_validator("kind")
    @classmethod
    def _present_name(cls, kind: str) -> str:
        return "synthetic"


class _Place(Strict):
    """The keys that all external sources share.

    ``join`` adds the source's columns by id instead of its rows; ``retries`` counts attempts after the first; ``timeout``
    limits each connection and each wait for data, in seconds.
    """

    join: bool = False
    retries: int = Field(default=3, ge=0, le=20)
    timeout: float = Field(default=30, gt=0)


class _Files(_Place):
    """Sources that are files: ``expanded_megabytes`` limits the memory that a file takes once unpacked."""

    expanded_megabytes: int = Field(default=EXPANDED_MEGABYTES, ge=1)

    @property
    def most_bytes(self) -> int:
        return self.expanded_megabytes << 20


class File(_Files):
    """A CSV, Excel or Parquet file at ``path``, compressed or not, or a folder of them."""

    kind: Literal["file"]
    path: str = Field(min_length=1)

    @property
    def name(self) -> str:
        """What messages and cards call this source."""
        return self.path


class Bucket(_Files):
    """An object, or all objects below a ``url`` with a trailing slash, in an object store.

    The ``kind`` is Amazon's (s3), Google's (gs, extra gs) or Azure's (az, extra az). Endpoint and keys come from the environment,
    as for the store's own tools.
    """

    kind: Literal["s3", "gs", "az"]
    url: str = Field(pattern=r"^(s3|gs|az)://[^/@]+/.+")

    @property
    def name(self) -> str:
        """What messages and cards call this source."""
        return self.url

    @field_validator("url")
    @classmethod
    def _of_its_kind(cls, url: str, info: ValidationInfo) -> str:
        if "kind" in info.data and not url.startswith(f"{info.data['kind']}://"):
            raise ValueError(f"the url of kind '{info.data['kind']}' begins with {info.data['kind']}://")
        return url


class Http(_Files):
    """A file of at most ``max_megabytes`` at the ``url`` of a web server.

    ``bearer`` names the environment variable that holds the token, if one is needed; it is sent only to the origin of ``url``.
    A redirect may lead to ``private_hosts``, but to no other host with a private address.
    """

    kind: Literal["http"]
    url: str = Field(pattern=r"^https?://[^/@?#]+([/?]|$)")
    bearer: str = ""
    max_megabytes: int = Field(default=2048, ge=1)
    private_hosts: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What messages and cards call this source."""
        return masked(self.url)  # a signed address is a secret


class Sql(_Place):
    """A database query.

    ``${NAME}`` in the SQLAlchemy ``url`` is replaced by the environment variable, verbatim: passwords stay out of files and need
    no %-escapes.
    """

    kind: Literal["sql"]
    url: str = Field(pattern=r"^[a-z0-9+]+://")
    query: str = Field(min_length=1)

    @property
    def name(self) -> str:
        """What messages and cards call this source."""
        return f"{masked(self.url)} ({' '.join(self.query.split())[:60]})"

    @field_validator("url")
    @classmethod
    def _no_secret(cls, url: str) -> str:
        place, _, query = url.partition("://")[2].partition("?")
        account, at, _ = place.rpartition("@") if not place.startswith("/") else ("", "", "")  # a path, for SQLite
        secret = re.search(r"(?i)(password|passwd|pwd|secret|token)=(?!\$\{\w+\}(&|$))", query)
        if secret or (at and not re.fullmatch(r"[^/:@]*(:\$\{\w+\})?", account)):
            raise ValueError("the password does not belong in a file; write ${NAME} and set NAME in the environment")
        return url


Files = File | Bucket | Http  # sources that are files, here or after a download


def source_at(path: str) -> Files:
    """The source at a local path, or at an s3://, gs://, az:// or https:// address. Raises ChurnError for any other."""
    scheme, address, _ = path.partition("://")
    if address and scheme in ("s3", "gs", "az"):
        return from_dict(Bucket, {"kind": scheme, "url": path}, path)
    if address and scheme in ("http", "https"):
        return from_dict(Http, {"kind": "http", "url": path}, masked(path))
    return File(kind="file", path=path)


class Events(Strict):
    """A description's event tables, turned into customers at its snapshots; not a kind of [[source]] in config/data.toml.

    ``path`` replaces the tables' own sources (see ``events.staging``); only rows known at ``as_of`` are used (empty: now); with
    ``now`` the only snapshot is at the newest event.
    """

    kind: Literal["events"] = "events"
    path: str = ""
    as_of: str = ""
    now: bool = False
    synthetic: bool = False

    @property
    def name(self) -> str:
        """What messages call this source."""
        return f"events in {self.path}" if self.path else "the description's tables of events"


Source = Annotated[Synthetic | Files | Sql, Field(discriminator="kind")]


Origin = Source | Events  # where a flow reads customers from


def any_synthetic(sources: Sequence[Origin]) -> bool:
    """Whether any source generates synthetic customers."""
    return any(source.kind == "synthetic" or (source.kind == "events" and source.synthetic) for source in sources)


class Split(Strict):
    """The share of customers (with a time column: of rows) held out; ``seed`` and the id decide which."""

    holdout: float = Field(default=0.2, gt=0, lt=1)
    seed: int = Field(default=42, ge=0)


class Quality(Strict):
    """Limits that the whole table must satisfy.

    ``min_rows`` and ``min_class_rows`` are the fewest rows in total and of either class; a share of churners outside
    ``churn_share`` is a warning; ``max_age_days`` is the largest age of the newest row; ``quarantine`` is the largest share of
    rows that may be set aside; ``drift`` is the largest Jensen-Shannon distance of a column from the previous data version.
    ``stale``, ``leakage`` and ``drifted`` set whether such a finding stops the run; ``unlabelled`` sets whether rows without an
    outcome stop it or are dropped.
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
    """Where to write the .dvc file of the newest version, relative to the root (empty ``pointer``: nowhere)."""

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
