"""Strict, frozen settings read from TOML. An unknown key or a bad value is refused with file, key and reason."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from churn.errors import ChurnError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator


class Strict(BaseModel):
    """Base of every settings model: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Model = TypeVar("Model", bound=Strict)


def parse(model: type[Model], text: str, file: str | Path) -> Model:
    """Read TOML ``text`` as ``model``; ``file`` only names it in errors. Raises ChurnError naming file and key."""
    try:
        return check(model, tomllib.loads(text), file)
    except tomllib.TOMLDecodeError as error:
        raise ChurnError(f"{file}: not valid TOML: {error}") from error


def load(model: type[Model], file: str | Path) -> Model:
    """Read ``file`` as ``model``. Raises ChurnError if it is missing, not TOML, or not as the model wants it."""
    return parse(model, text(Path(file)), file)


def text(file: Path) -> str:
    """What is in a config file. Raises ChurnError naming those there are, or why it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.toml"))) or "none"
        if file.parent.name == "datasets":
            from churn import commands, dataset  # not in a Bento, which describes nothing

            new = commands.say("dataset", SOURCE=commands.FILE, NAME=dataset.plain(file.stem))
            reason = f"no such data set; there are: {known}. Describe a new one with: {new}"
        else:
            reason = f"no such config file; there are, in {file.parent}: {known}"
        raise ChurnError(f"{file}: {reason}") from error
    except UnicodeDecodeError as error:
        raise ChurnError(f"{file}: not UTF-8 (byte {error.start + 1}); save it as UTF-8") from error
    except OSError as error:
        raise ChurnError(f"{file}: cannot be read: {error.strerror}") from error


def check(model: type[Model], values: dict[str, Any], file: str | Path) -> Model:
    """Build ``model`` from ``values``. Raises ChurnError with one line per bad key."""
    try:
        return model.model_validate_json(_json(values))
    except ValidationError as error:
        lines = [_reason(model, problem) for problem in error.errors(include_url=False)]
        raise ChurnError("\n".join(f"{file}: {line}" for line in lines)) from None


def _json(values: dict[str, Any]) -> str:
    # JSON mode lets strict models take lists for tuples, as TOML has no tuples.
    import json

    return json.dumps(values, default=str)


def _reason(model: type[BaseModel], problem: Any) -> str:
    # pydantic names the kind of a [[source]] after its number; in the file there is no such key.
    parts = [str(part) for part in problem["loc"] if not (problem["loc"][0] == "source" and part in KINDS)]
    key = ".".join(parts) or "top level"
    if problem["type"] == "extra_forbidden":
        known = ", ".join(sorted(model.model_fields)) if len(problem["loc"]) == 1 else ""
        return f"unknown key '{key}'" + (f"; known keys are: {known}" if known else "; check its spelling or remove it")
    if problem["type"] == "missing":
        return f"key '{key}' is missing"
    reason = problem["msg"].removeprefix("Value error, ")
    value = problem.get("input")
    return f"{key}: {reason}" + (f" (got {value!r})" if isinstance(value, str | int | float | bool) else "")


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
    first attempt; ``timeout`` in seconds of one connection or pause."""

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


KINDS = ("generate", "file", "s3", "http", "sql")
Source = Annotated[Generate | File | S3 | Http | Sql, Field(discriminator="kind")]


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


class Range(Strict):
    """A search range: ``low`` to ``high`` (inclusive for integers), on a log scale if ``log``."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("a range needs low < high, and low > 0 on a log scale")
        return self


Choice = str | int | float | bool
Value = Choice | None


BLEND = "blend"  # the name of the mean of several families on the leaderboard


class Family(Strict):
    """A model family: an estimator's import path, its fixed parameters, and the space that is searched."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    estimator: str = Field(pattern=r"^[\w.]+\.\w+$")
    iterations: int = Field(default=10, ge=1)
    impute: bool = False
    scale: bool = False
    fixed: dict[str, Value] = {}
    search: dict[str, tuple[Value, ...] | Range] = {}


class Search(Strict):
    """What all families share: the folds (see ``folds``, the same for all), the seed, the metric that decides, and how
    the search runs. ``seconds`` is each family's time budget; ``cpus`` what one family's step may use (0: the machine's
    share); ``backend`` is joblib's. With ``blend`` the mean of several families may win (see ``selection.blend``)."""

    folds: int = Field(default=5, ge=2)
    seed: int = Field(default=42, ge=0)
    metric: Literal["roc_auc", "average_precision", "neg_brier_score", "neg_log_loss"] = "roc_auc"
    strategy: Literal["random", "halving"] = "random"
    factor: int = Field(default=3, ge=2)
    seconds: float | None = Field(default=None, gt=0)
    cpus: int = Field(default=0, ge=0)
    backend: Literal["loky", "threading", "ray"] = "loky"
    blend: bool = True


class Worth(Strict):
    """What keeping a customer is worth: ``margin`` in money, or ``margin_column`` (money a month) times ``horizon`` (months),
    and then ``margin`` only where that is missing (by default the median of the training rows).

    ``contact_cost`` is paid for everyone contacted, ``offer_cost`` for everyone who takes the offer, ``success_rate`` is
    the share of contacted churners who stay. ``budget`` is the share of customers that can be contacted, for the report.
    """

    contact_cost: float = Field(ge=0)
    offer_cost: float = Field(default=0.0, ge=0)
    success_rate: float = Field(gt=0, le=1)
    margin: float | None = Field(default=None, gt=0)
    margin_column: str | None = None
    horizon: float = Field(default=12.0, gt=0)
    budget: float = Field(default=0.1, gt=0, le=1)

    @model_validator(mode="after")
    def _one_margin(self) -> "Worth":
        if self.margin is None and self.margin_column is None:
            raise ValueError("[value] needs 'margin' or 'margin_column'")
        return self


class Slices(Strict):
    """Groups are judged on their own from ``min_rows`` customers and ``min_class_rows`` of each outcome. A score that is
    worse than the whole's by more than ``gap`` is a warning; one surely below ``least`` closes the gate: the better end of
    its 99 % interval (see ``scores.interval``) decides."""

    min_rows: int = Field(default=50, ge=1)
    min_class_rows: int = Field(default=20, ge=1)
    gap: dict[str, float] = {"roc_auc": 0.1, "ece": 0.1}
    least: dict[str, float] = {"roc_auc": 0.55}


class Promotion(Strict):
    """The challenger replaces the champion if a gain of holdout ROC-AUC above ``margin`` is certain by ``confidence``, or
    by more where the same customers have been looked at before (see ``comparison.needed``). The interval shown is of
    ``resamples`` paired bootstrap samples."""

    margin: float = Field(default=0.0, ge=0, lt=1)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    resamples: int = Field(default=1000, ge=100)


class TrainConfig(Strict):
    """config/train.toml. ``leakage`` is the ROC-AUC that no column alone may exceed."""

    experiment: str = "churn"
    leakage: float = Field(default=0.98, gt=0.5, le=1)
    search: Search = Search()
    gate: dict[str, float] = {}
    slices: Slices = Slices()
    value: Worth | None = None
    promotion: Promotion = Promotion()
    model: tuple[Family, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> "TrainConfig":
        names = [family.name for family in self.model]
        if len(set(names)) < len(names):
            raise ValueError(f"two [[model]] tables have the same name: {', '.join(names)}")
        if BLEND in names:
            raise ValueError(f"no [[model]] may be named {BLEND!r}: the mean of several families has that name")
        return self
