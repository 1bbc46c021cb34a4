"""config/score.toml: whom ScoreFlow ranks, and how; config/campaign.toml: which of them a campaign contacts."""

from typing import Literal

from churn.settings.core import Strict
from churn.settings.data import Source
from pydantic import Field, model_validator


class Score(Strict):
    """The table [score] of config/score.toml.

    Each branch scores ``shard_rows`` customers, or a hundredth of all if that is more; the first ``explained`` in the ranking get
    ``reasons`` reasons each; a share of invalid rows above ``quarantine`` stops the run; ``log`` sets whether predictions for
    real customers are logged.
    """

    shard_rows: int = Field(default=100_000, ge=1)
    explained: int = Field(default=500, ge=0)
    reasons: int = Field(default=3, ge=1)
    quarantine: float = Field(default=0.05, ge=0, lt=1)
    log: bool = True


class ScoreConfig(Strict):
    """config/score.toml."""

    source: tuple[Source, ...] = Field(min_length=1)
    score: Score = Score()


class Targeting(Strict):
    """Whom a campaign chooses: the first in the ``ranking``, up to ``contacts`` customers or ``money`` spent on offers.

    The share ``control`` of the chosen is held back, by a hash of ``salt``, campaign and id. The ranking "uplift" uses the
    uplift champion, or the source's ``uplift_column``. A share of invalid rows above ``quarantine`` stops the run.
    """

    contacts: int | None = Field(default=None, ge=1)
    money: float | None = Field(default=None, gt=0)
    ranking: Literal["probability", "expected_value", "uplift"] = "probability"
    uplift_column: str = ""
    control: float = Field(default=0.1, gt=0, lt=1)
    salt: str = "churnflow"
    quarantine: float = Field(default=0.05, ge=0, lt=1)

    @model_validator(mode="after")
    def _a_budget(self) -> "Targeting":
        if self.contacts is None and self.money is None:
            raise ValueError("[targeting] needs a budget: 'contacts' or 'money'")
        return self


class Policy(Strict):
    """Who may not be contacted.

    Customers contacted by another campaign in the last ``days_between``, those in the file ``suppression`` (a column of ids), and
    those with anything but no, false, 0 or nothing in the source's ``suppression_column``. ``quota`` is the maximum number of
    contacts by level of the source's ``quota_column``.
    """

    days_between: float = Field(default=30, ge=0)
    suppression: str = ""
    suppression_column: str = ""
    quota_column: str = ""
    quota: dict[str, int] = {}

    @model_validator(mode="after")
    def _of_a_column(self) -> "Policy":
        if bool(self.quota) != bool(self.quota_column):
            raise ValueError("[policy] 'quota' and 'quota_column' come together")
        return self


class Offer(Strict):
    """An offer, and the cost of one contact with it; several offers are drawn at random, in proportion to ``share``."""

    name: str = Field(min_length=1)
    cost: float = Field(default=0.0, ge=0)
    share: float = Field(default=1.0, gt=0)


class Judgement(Strict):
    """How outcomes are evaluated.

    A customer's outcome counts ``horizon_days`` after the assignment; ``margin`` is the value of a kept customer; ``delivered``
    is the column in the outcome file that says whether the contact arrived; ``level`` is the confidence of the intervals.
    """

    horizon_days: float = Field(default=90, ge=0)
    margin: float | None = Field(default=None, gt=0)
    delivered: str = "delivered"
    level: float = Field(default=0.95, gt=0.5, lt=1)


class RandomisedTrial(Strict):
    """A trial assigned elsewhere: a file at ``path`` with one row for each customer.

    ``arm`` is the column with the arms and ``control`` its level that was left alone; ``outcome`` is a column of numbers, or of
    words of which ``positive`` counts as 1, and ``good`` sets whether more is better. ``covariates`` are the columns, known
    before the contact, for which the estimate is adjusted; ``cost`` is the cost of one contact.
    """

    path: str = Field(min_length=1)
    arm: str
    control: str
    outcome: str
    positive: str = ""
    good: bool = False
    covariates: tuple[str, ...] = ()
    delivered: str = ""
    cost: float = Field(default=0.0, ge=0)


class CampaignConfig(Strict):
    """config/campaign.toml."""

    targeting: Targeting = Targeting(contacts=500)
    policy: Policy = Policy()
    offer: tuple[Offer, ...] = Field(default=(Offer(name="contact"),), min_length=1)
    report: Judgement = Judgement()
    trial: RandomisedTrial | None = None

    @model_validator(mode="after")
    def _affordable(self) -> "CampaignConfig":
        names = [offer.name for offer in self.offer]
        if "control" in names:
            raise ValueError("no [[offer]] may be named 'control': that is the arm of those held back")
        if len(set(names)) < len(names):
            raise ValueError(f"two [[offer]] tables have the same name: {', '.join(names)}")
        if self.targeting.money is not None and not any(offer.cost for offer in self.offer):
            raise ValueError("a budget of 'money' needs an [[offer]] with a 'cost'")
        return self
