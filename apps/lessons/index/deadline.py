"""A bound on a whole exchange with the server: httpx bounds each step of one, and a slow server has many."""

import time
from collections.abc import Iterator

import httpx


class _Left(dict[str, float]):
    """What httpx calls its timeouts, counted down: each step gets what is left of the whole."""

    def __init__(self, *, connect_s: float, total_s: float) -> None:
        super().__init__()
        self._connect_s = connect_s
        self._until = time.monotonic() + total_s

    def left(self) -> float:
        return self._until - time.monotonic()

    def get(self, key: str, default: object = None) -> float:
        # Never zero: for a socket that would mean not to wait at all, which is another mode.
        left = max(0.001, self.left())
        return min(self._connect_s, left) if key in {"connect", "pool"} else left


class _Body(httpx.SyncByteStream):
    """The answer's bytes, refused once the time is up: a server may send one byte a second for ever."""

    def __init__(self, inner: httpx.SyncByteStream, left: _Left) -> None:
        self._inner = inner
        self._left = left

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._inner:
            yield piece
            if self._left.left() <= 0:
                raise httpx.ReadTimeout("The answer took too long.")

    def close(self) -> None:
        self._inner.close()


class Deadline(httpx.HTTPTransport):
    """Connects within `connect_s`, and is through with the whole exchange within about `total_s`."""

    def __init__(self, *, connect_s: float, total_s: float) -> None:
        super().__init__(limits=httpx.Limits(max_connections=16, max_keepalive_connections=4))
        self._connect_s = connect_s
        self._total_s = total_s

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        left = _Left(connect_s=self._connect_s, total_s=self._total_s)
        request.extensions = {**request.extensions, "timeout": left}
        response = super().handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)  # noqa: S101  what its own transport always returns
        response.stream = _Body(response.stream, left)
        return response
