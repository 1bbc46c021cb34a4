"""Callers of a service: half of them keep their connection, half open one for each request."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Traffic:
    """What came back: versions that answered, whatever was no answer, and seconds."""

    versions: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@contextmanager
def calling(url: str, row: dict[str, Any], rate: float = 50, callers: int = 4) -> Iterator[Traffic]:
    """``rate`` requests a second to /predict, as long as the context lasts."""
    found, stop, lock = Traffic(), threading.Event(), threading.Lock()
    place, body = urlsplit(url).netloc, json.dumps(row)

    def once(line: http.client.HTTPConnection) -> None:
        began = time.perf_counter()
        try:
            line.request("POST", "/predict", body, {"Content-Type": "application/json"})
            answer = line.getresponse()
            content = answer.read()
            said = json.loads(content)["model_version"] if answer.status == 200 else ""
        except (OSError, http.client.HTTPException) as error:
            line.close()
            answer, content, said = None, repr(error).encode(), ""
        with lock:
            found.seconds.append(time.perf_counter() - began)
            if said:
                found.versions[said] += 1
            else:
                found.lost.append(f"{answer.status if answer else ''} {content[:200]!r}")
        stop.wait(max(0.0, callers / rate - (time.perf_counter() - began)))

    def caller(keep: bool) -> None:
        line = http.client.HTTPConnection(place, timeout=30)
        while not stop.is_set():
            once(line)
            if not keep:
                line.close()
        line.close()

    threads = [threading.Thread(target=caller, args=(number % 2 == 0,)) for number in range(callers)]
    for one in threads:
        one.start()
    try:
        yield found
    finally:
        stop.set()
        for one in threads:
            one.join()
