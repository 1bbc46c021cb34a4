"""``make fuzz``: damaged requests, seeded. The service must answer each with 2xx or 4xx, by the same workers, in the same
memory."""

import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from tests.bench import common

PARTS = 5  # the memory is looked at after each: what grows at first and stays then is no leak
PATHS = ("/predict", "/predict_batch", "/explain", "/feedback")
VALUES = (
    b"1e999", b"-1e999", b"NaN", b"Infinity", b"-0.0", b"1e-400", b"9" * 400, b"9" * 5000, b"18446744073709551616",
    b"true", b"null", b'""', b'"\\ud800"', b'"\\u0000"', b'"' + b"x" * 5000 + b'"', b"[]", b"{}", b"[" * 500, b"{" * 500,
    b'{"a":' * 300 + b"1" + b"}" * 300, b'"\xff\xfe"', b"0x10", b"01", b"1.", b".5", b"--1", b'"12"', b"12.0", b"1.5",
)  # fmt: skip


def body(rng: random.Random, examples: list[dict[str, Any]]) -> bytes:
    """One body: an example customer, or a list of them, and usually something wrong with it."""
    customer = dict(rng.choice(examples))
    name = rng.choice(list(customer))
    kind = rng.randrange(9)
    if kind == 0:
        del customer[name]
    elif kind == 1:
        customer[name + rng.choice(["", " ", "\x00", "ä"])] = rng.choice([1, "x", None, [], {}])
    rows = [customer] * rng.randrange(4)
    columns = {field: [row[field] for row in rows] for field in customer}
    bodies = customer, {"rows": rows}, {"columns": columns}
    text = json.dumps(rng.choices(bodies, (70, 20, 20))[0]).encode()
    if kind == 2:  # a value of another world
        key = json.dumps(name).encode() + b": "
        start = text.find(key)
        if start >= 0:
            end = min(i for i in (text.find(b",", start), text.find(b"}", start)) if i >= 0)
            text = text[: start + len(key)] + rng.choice(VALUES) + text[end:]
    elif kind == 3:  # flipped bits
        damaged = bytearray(text)
        for _ in range(rng.randrange(1, 8)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        text = bytes(damaged)
    elif kind == 4:  # cut short, or doubled
        text = text[: rng.randrange(len(text))] + text * rng.randrange(2)
    elif kind == 5:
        text = rng.choice(VALUES)
    elif kind == 6:
        text = rng.randbytes(rng.randrange(200))
    elif kind == 7:
        text = text.decode().encode(rng.choice(["utf-16", "utf-32", "utf-8-sig"]))
    return text


def request(rng: random.Random, host: str, examples: list[dict[str, Any]]) -> bytes:
    """One request with a whole HTTP frame around any body; some are chunked, some have a wrong content type or method."""
    content = body(rng, examples)
    kind = "application/json" if rng.random() < 0.95 else rng.choice(["text/plain", "application/xml", "", "\xff"])
    method = "POST" if rng.random() < 0.97 else rng.choice(["GET", "PUT", "DELETE", "OPTIONS"])
    head = f"{method} {rng.choice(PATHS)} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n".encode("latin-1")
    if rng.random() < 0.1 and content:
        return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
    return head + b"Content-Length: %d\r\n\r\n" % len(content) + content


async def _send(host: str, port: int, requests: list[bytes], counts: Counter[str]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for one in requests:
        writer.write(one)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = head[9:12]
        length = int(head.lower().partition("content-length: ")[2].partition("\r")[0])
        answer = json.loads(await reader.readexactly(length))
        shaped = isinstance(answer, list) or "problems" in answer or status[0] == "2"
        counts[status if shaped else f"{status} in another shape"] += 1
        if "connection: close" in head.lower():
            writer.close()
            reader, writer = await asyncio.open_connection(host, port)
    writer.close()


def fuzz(url: str, number: int, seed: int = 0) -> Counter[str]:
    """Send ``number`` requests over 8 connections; how often each status came. Raises if an answer is missing or no JSON."""
    examples, parts, counts = common.get(f"{url}/model")["examples"], urlsplit(url), Counter[str]()
    rng = random.Random(seed)

    async def work() -> None:
        for start in range(0, number, 4000):
            requests = [request(rng, parts.netloc, examples) for _ in range(min(4000, number - start))]
            await asyncio.gather(
                *(_send(str(parts.hostname), int(parts.port or 80), requests[i::8], counts) for i in range(8))
            )

    asyncio.run(work())
    return counts


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as log,
        common.bento_server.served(common.champion_tag(), CHURNFLOW_PREDICTIONS=log) as url,
    ):
        fuzz(url, 5000, seed=1)
        alive, memory, counts = {worker.pid for worker in common.workers(url)}, [common.megabytes(url)], Counter[str]()
        for part in range(PARTS):
            counts += fuzz(url, int(sys.argv[1]) // PARTS, seed=2 + part)
            memory.append(common.megabytes(url))
        still = {worker.pid for worker in common.workers(url)}
    print(dict(sorted(counts.items())))
    print(f"worker {'the same' if alive == still else 'ANOTHER ONE'}, memory in MB along the way: "
          f"{', '.join(f'{megabytes:.0f}' for megabytes in memory)}")  # fmt: skip
    sys.exit(alive != still or any(status[0] not in "24" for status in counts))


if __name__ == "__main__":
    main()
