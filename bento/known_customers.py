"""Customers known from ScoreFlow: their newest features by id, from the table beside the prediction log."""

import logging
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from churn.errors import ChurnError
from churn.serving import prediction_log
from churn.serving.request import Problem, Rejected, Row
from churn.settings import commands
from churn.settings.dataset import Dataset
from churn.storage import keyed_ids
from churn.storage.keyed_table import ENDING, FOLDER, KeyedTable
from churn.storage.places import Place
from pydantic_core import from_json

logger = logging.getLogger("bentoml.churn")

ID = "customer_id"  # besides the data set's own name for the column
LONGEST = 1024  # bytes of a request that may be only an id
SECONDS = 60  # between requests to an object store
OUTDATED = "outdated"


class KnownCustomers:
    """The feature table of an event-based data set; others have none."""

    def __init__(self, dataset: Dataset) -> None:
        """``dataset`` is that of the served model."""
        self._dataset, self._root, self._name = dataset, prediction_log.root(), f"{FOLDER}/{dataset.name}{ENDING}"
        self._path, self._secret = os.path.join(self._root, self._name), keyed_ids.key()  # noqa: PTH118 - each request's
        self._again = commands.say("score", DATASET=dataset.name)
        self._names = {name for name in (dataset.id, ID) if name is not None and name not in dataset.raw}
        self._table: KeyedTable | None = None
        self._state: Any = None
        self._asked, self._asking = 0.0, threading.Lock()
        self._wanted = set(dataset.raw)
        self._whole = [name for name, column in dataset.raw.items() if column.type == "integer"]
        self.offered = bool(dataset.tables)

    def asked_for(self, body: bytes) -> str | None:
        """The id, if the request is only ``{"customer_id": ...}``. Raises Rejected if it is not a valid id."""
        if not self.offered or len(body) > LONGEST:
            return None
        try:
            content = from_json(body)
        except ValueError:
            return None
        if not isinstance(content, dict) or len(content) != 1 or not self._names & set(content):
            return None
        ((name, customer),) = content.items()
        if isinstance(customer, int) and not isinstance(customer, bool):
            customer = str(customer)
        if not isinstance(customer, str) or not customer.strip():
            raise Rejected(422, "this is not an id", [Problem(name, "type", customer, "a text, or a whole number")])
        return customer.strip()

    def row(self, customer: str) -> tuple[Row, list[Problem]]:
        """The raw columns of the customer, with a warning if they are older than the description allows.

        Raises:
            Rejected: With 404 if the customer is not in the table or there is no table; with 409 if the table is outdated.
        """
        secret, name, again = self._secret, self._dataset.id or ID, self._again
        table = self._opened() if secret is not None else None
        if secret is None or table is None:
            why = f"{keyed_ids.KEY} is not set here" if secret is None else f"write it with: {again}"
            raise Rejected(404, f"there is no table of customers; {why}", [Problem(name, "unknown", customer, again)])
        if missing := sorted(self._wanted - table.names):
            why = f"the table of customers is another description's: it lacks {missing[0]!r}; write it again with: {again}"
            raise Rejected(409, why, [Problem(name, OUTDATED, customer, again)])
        stored = table.row(keyed_ids.keyed(customer, secret))
        if stored is None:
            message = f"no customer with this id at {table.about['snapshot']}"
            raise Rejected(404, message, [Problem(name, "unknown", customer, "an id of the newest list of ScoreFlow")])
        row = {column: stored[column] for column in self._wanted}
        return row | {c: int(row[c]) for c in self._whole if row[c] is not None}, self._age(table)

    def _age(self, table: KeyedTable) -> list[Problem]:
        rule, moment = self._dataset.snapshots, datetime.fromisoformat(table.about["snapshot"])
        days = (datetime.now(UTC).replace(tzinfo=None) - moment).days
        if rule is None or rule.max_age_days is None or days <= rule.max_age_days:
            return []
        old = Problem("snapshot", OUTDATED, moment.isoformat(), f"at most {rule.max_age_days} days old; {self._again}")
        if rule.outdated == "refuse":
            raise Rejected(
                409, f"the customer's features are {days} days old; compute them again with: {self._again}", [old]
            )
        return [old]

    def _opened(self) -> KeyedTable | None:
        if "://" not in self._root:
            self._map()
        elif time.monotonic() - self._asked > SECONDS and self._asking.acquire(blocking=False):
            first = self._asked == 0
            self._asked = time.monotonic()
            thread = threading.Thread(target=self._download, daemon=True)
            thread.start()
            if first:
                thread.join(SECONDS / 6)
        return self._table

    def _map(self) -> None:
        try:
            about = os.stat(self._path)  # noqa: PTH116
        except FileNotFoundError:
            self._table = self._state = None
            return
        state = (about.st_ino, about.st_mtime_ns, about.st_size)
        if state != self._state:
            self._table, self._state = _table(Path(self._path)), state

    def _download(self) -> None:
        try:
            content = Place.of(self._root).read(self._name)
            self._table = None if content is None else _table(content)
        except (ChurnError, OSError) as error:
            logger.error("%s/%s: cannot be read: %s", self._root, self._name, error)
        finally:
            self._asking.release()


def _table(source: Path | bytes) -> KeyedTable | None:
    import pyarrow as pa

    try:
        return KeyedTable(source)
    except pa.ArrowException as error:
        logger.error("the table of customers is damaged: %s", error)
        return None
