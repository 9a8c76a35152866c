"""Asks a REST API as fast as it answers, over a few connections: `rest_client.py HOST:PORT KEY CONNECTIONS SECONDS`.

The requests are read from stdin, a line of JSON each: `{"method", "path", "body"}`; each connection takes the next one
as soon as it has its answer, round and round. Prints JSON: answers, those that were not 200, and their times.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import cast

import uvloop


class Connection(asyncio.Protocol):
    """One request at a time, kept alive."""

    def __init__(self, requests: Iterator[bytes], end: float) -> None:
        self.requests = requests
        self.end = end
        self.times_s: list[float] = []
        self.failed = 0
        self.received = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.ask()

    def ask(self) -> None:
        self.began = time.perf_counter()
        if self.began >= self.end:
            self.transport.close()
        else:
            self.transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        _, _, length = head.lower().partition(b"\r\ncontent-length:")
        if len(body) < int(length.split(b"\r\n", 1)[0]):
            return
        self.times_s.append(time.perf_counter() - self.began)
        self.failed += not head.startswith(b"HTTP/1.1 200")
        self.received = b""
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self.failed += exc is not None
        self.done.set_result(None)


def written(host: str, key: str, line: str) -> bytes:
    request = json.loads(line)
    body = b"" if request["body"] is None else json.dumps(request["body"]).encode()
    head = (
        f"{request['method']} {request['path']} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def main() -> None:
    where, key, connections, seconds = sys.argv[1:]
    host, _, port = where.partition(":")
    requests = itertools.cycle([written(where, key, line) for line in sys.stdin])
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    end = began + float(seconds)
    opened: list[Connection] = []
    for _ in range(int(connections)):
        _, connection = await loop.create_connection(lambda: Connection(requests, end), host, int(port))
        opened.append(connection)
    await asyncio.gather(*(connection.done for connection in opened))
    took = time.perf_counter() - began
    times = sorted(each for connection in opened for each in connection.times_s)

    def quantile_ms(share: float) -> float:
        return 1000 * times[min(len(times) - 1, int(share * len(times)))] if times else 0.0

    found = {
        "per_s": len(times) / took,
        "failed": sum(connection.failed for connection in opened),
        "p50_ms": quantile_ms(0.5),
        "p99_ms": quantile_ms(0.99),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    uvloop.run(main())
