"""``make soak``: half an hour of mixed traffic on the champion's service: what grows, and what fails.

Eight callers, each on its own connection, at a fixed rate: customers, batches, explanations, feedback, damaged requests
and the metrics. Memory is compared with what it was after the first tenth, when caches and buffers have their size.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from tests.bench import common, fuzz, load

CALLERS, EVERY = 8, 30.0  # connections; seconds between two looks at the memory


def traffic(rng: random.Random, url: str, examples: list[dict[str, Any]]) -> bytes:
    """One request: of a hundred, 80 customers, 5 batches, 5 explanations, 3 outcomes, 5 damaged, 2 for the metrics."""
    customer, kind = rng.choice(examples), rng.random()
    if kind < 0.80:
        return load.request(f"{url}/predict", json.dumps(customer).encode())
    if kind < 0.85:
        return load.request(f"{url}/predict_batch", json.dumps({"rows": [customer] * rng.randrange(1, 500)}).encode())
    if kind < 0.90:
        return load.request(f"{url}/explain", json.dumps(customer).encode())
    if kind < 0.93:
        outcome = {"prediction_id": rng.randbytes(16).hex(), "outcome": rng.random() < 0.3}
        return load.request(f"{url}/feedback", json.dumps(outcome).encode())
    if kind < 0.98:
        return fuzz.request(rng, urlsplit(url).netloc, examples)
    return f"GET /metrics HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n".encode()


async def soak(url: str, seconds: float, rate: float) -> tuple[Counter[str], list[float]]:
    """How often each status came, and the worker's megabytes every EVERY seconds."""
    examples, counts, memory = common.get(f"{url}/model")["examples"], Counter[str](), list[float]()
    until, parts = time.monotonic() + seconds, urlsplit(url)

    async def call(seed: int) -> None:
        rng = random.Random(seed)
        reader = writer = None
        while time.monotonic() < until:
            begun = time.monotonic()
            if writer is None:
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(traffic(rng, url, examples))
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0]))
            counts[head[9:12]] += 1
            if "connection: close" in head:
                writer.close()
                writer = None
            await asyncio.sleep(max(0.0, CALLERS / rate - (time.monotonic() - begun)))

    async def watch() -> None:
        while time.monotonic() < until:
            memory.append(common.megabytes(url))
            await asyncio.sleep(min(EVERY, seconds / 40))

    await asyncio.gather(watch(), *(call(seed) for seed in range(CALLERS)))
    return counts, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=200, help="requests a second, about")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as log,
        common.bento_server.served(common.champion_tag(), CHURNFLOW_PREDICTIONS=log) as url,
    ):
        alive = {worker.pid for worker in common.workers(url)}
        counts, memory = asyncio.run(soak(url, 60 * options.minutes, options.rate))
        same = alive == {worker.pid for worker in common.workers(url)}
    settled = memory[len(memory) // 10 :]
    growth = settled[-1] / settled[0] - 1
    print(f"{options.minutes:g} minutes, {counts.total():,} requests: {dict(sorted(counts.items()))}")
    print(f"worker {'the same' if same else 'ANOTHER ONE'}, memory {memory[0]:.0f} MB at the start, {settled[0]:.0f} MB settled, "
          f"{settled[-1]:.0f} MB at the end: {100 * growth:+.1f} % (< 5 %)")  # fmt: skip
    sys.exit(not same or growth >= 0.05 or any(status[0] not in "24" for status in counts))


if __name__ == "__main__":
    main()
