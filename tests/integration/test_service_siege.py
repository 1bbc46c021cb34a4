"""The champion's service under hostile callers, and what its end costs those who keep their connections."""

import http.client
import json
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from churn.serving import bento_server

from tests.bench import common
from tests.bench.siege import MEGABYTES, siege

pytestmark = pytest.mark.long


def test_hostile_callers_neither_grow_the_worker_nor_keep_others_waiting(
    trained: SimpleNamespace, tmp_path: Path
) -> None:
    """A tenth of ``make siege``, whose figures are for a machine of its own; others may load this one."""
    with bento_server.served(trained.train.bento, CHURNFLOW_PREDICTIONS=str(tmp_path)) as url:
        before = {worker.pid for worker in common.workers(url)}
        for one in siege(url, scale=0.1, seconds=1.0):
            assert one.failed == 0, one
            assert one.megabytes < MEGABYTES, one
            assert sorted(one.latencies)[len(one.latencies) // 2] < 0.5, one
        assert {worker.pid for worker in common.workers(url)} == before


def test_sigterm_loses_no_request_of_a_connection_that_is_kept(trained: SimpleNamespace, tmp_path: Path) -> None:
    """Busy and idle callers, those who come back once they are told to close, and those who do not."""
    answered, told, refused, lost = [], [], [], []

    def call(host: str, pause: float) -> None:
        connection = http.client.HTTPConnection(host, timeout=20)
        while True:
            try:
                connection.connect()
            except OSError:
                refused.append(host)
                return
            closing = False
            while not closing:
                try:
                    connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    answered.append(json.loads(answer.read())["prediction_id"])
                except (OSError, http.client.HTTPException) as error:
                    lost.append((pause, error))
                    return
                closing = answer.headers.get("Connection") == "close"
                time.sleep(pause)
            told.append(pause)
            connection.close()

    with bento_server.served(trained.train.bento, CHURNFLOW_PREDICTIONS=str(tmp_path)) as url:
        body = json.dumps(common.get(f"{url}/model")["examples"][0])
        (parent,) = {worker.ppid() for worker in common.workers(url)}
        pauses = [0.0] * 6 + [0.02] * 6 + [0.3] * 6
        callers = [threading.Thread(target=call, args=(urlsplit(url).netloc, pause)) for pause in pauses]
        for caller in callers:
            caller.start()
        time.sleep(1.5)
        os.kill(parent, signal.SIGTERM)
        for caller in callers:
            caller.join()
    assert lost == []
    assert len(refused) == len(callers), "the port is closed at once, before the connections are"
    assert len(told) >= len(callers)
    assert len(set(answered)) == len(answered) > len(callers)
