"""A small load: N connections that post prepared bodies one after the other and read each answer whole."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Load:
    """What came of one run: answers by status, seconds, latencies in milliseconds, ascending."""

    statuses: dict[int, int]
    seconds: float
    latencies_ms: Sequence[float]

    @property
    def per_second(self) -> float:
        return sum(self.statuses.values()) / self.seconds

    def percentile(self, share: float) -> float:
        return self.latencies_ms[min(int(len(self.latencies_ms) * share), len(self.latencies_ms) - 1)]


def post_all(*, port: int, path: str, headers: Sequence[dict[str, str]], bodies: Sequence[bytes], clients: int) -> Load:
    """Post each body once with its headers, over `clients` kept-alive connections to localhost."""
    requests = [_request(port, path, header, body) for header, body in zip(headers, bodies, strict=True)]
    return asyncio.run(_run(port, requests, clients))


def _request(port: int, path: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: localhost:{port}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def _run(port: int, requests: Sequence[bytes], clients: int) -> Load:
    waiting = iter(requests)
    statuses: dict[int, int] = {}
    latencies: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            start = time.perf_counter()
            writer.write(request)
            status, kept = await _answer(reader)
            latencies.append((time.perf_counter() - start) * 1000)
            statuses[status] = statuses.get(status, 0) + 1
            if not kept:
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return Load(statuses=statuses, seconds=time.perf_counter() - start, latencies_ms=sorted(latencies))


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
    if "transfer-encoding: chunked" in head:
        while (size := int((await reader.readline()).strip() or b"0", 16)) > 0:
            await reader.readexactly(size + 2)
        await reader.readline()
    elif length:
        await reader.readexactly(length)
    return int(head.split(" ", 2)[1]), "connection: close" not in head
