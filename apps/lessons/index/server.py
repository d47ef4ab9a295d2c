"""The index on a Qdrant server. A server that does not answer costs two seconds once, and nothing for half a minute."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import orjson
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from apps.common.errors import AikaError, Misconfigured, Unavailable
from apps.lessons.index.breaker import Breaker
from apps.lessons.index.deadline import Deadline
from apps.lessons.index.values import Point, missing, payload_of
from apps.lessons.index.vector_store import VectorStore

T = TypeVar("T")

CONNECT_S: Final = 1.0
ASK_S: Final = 2.0
# A batch of points is written to disk before it is answered. Nobody waits for it but a worker.
WRITE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Door:
    """One way in: its client, and what is known of whether it leads anywhere."""

    client: QdrantClient
    breaker: Breaker


class ServerStore(VectorStore):
    """Questions and changes have a breaker each: that a large batch took too long does not blind those who ask."""

    def __init__(self, url: str, *, api_key: str = "", breaker: Callable[[], Breaker] = Breaker) -> None:
        self._asking = _Door(_client(url, api_key, ASK_S), breaker())
        self._changing = _Door(_client(url, api_key, WRITE_S), breaker())

    def _read(self, ask: Callable[[QdrantClient], T]) -> T:
        return _through(self._asking, ask)

    def _write(self, ask: Callable[[QdrantClient], T]) -> T:
        return _through(self._changing, ask)

    def _put(self, client: QdrantClient, collection: str, points: Sequence[Point]) -> None:
        # The client's own models would make 64 bits of each number first, and say it in twice as many digits.
        body = orjson.dumps({"points": [_plain(point) for point in points]}, option=orjson.OPT_SERIALIZE_NUMPY)
        client.http.client.request(
            type_=dict[str, Any],
            method="PUT",
            url="/collections/{collection_name}/points",
            path_params={"collection_name": collection},
            params={"wait": "true"},
            headers={"Content-Type": "application/json"},
            content=body,
        )

    def close(self) -> None:
        for door in (self._asking, self._changing):
            door.client.close()


def _client(url: str, api_key: str, total_s: float) -> QdrantClient:
    return QdrantClient(
        url=url,
        # As a header of our own: as `api_key` it warns at every start of a server that is reached inside a private
        # network, and would choose https where no scheme is given (QDRANT_URL always has one).
        headers={"api-key": api_key} if api_key else None,
        transport=Deadline(connect_s=CONNECT_S, total_s=total_s),
        # That would be a request at start, in a thread, whose failure is a warning.
        check_compatibility=False,
    )


def _plain(point: Point) -> dict[str, object]:
    vectors = {str(name): np.ascontiguousarray(vector) for name, vector in point.vectors.items()}
    return {"id": str(point.id), "vector": vectors, "payload": payload_of(point)}


def _through(door: _Door, ask: Callable[[QdrantClient], T]) -> T:
    if not door.breaker.may_pass():
        raise _down("The vector index did not answer a moment ago.")
    try:
        answer = ask(door.client)
    except (ResponseHandlingException, ResourceExhaustedResponse) as silence:
        door.breaker.failed()
        # The kind of it alone: the text may name addresses.
        kind = type(getattr(silence, "source", silence)).__name__
        raise _down("The vector index does not answer.", because=kind) from silence
    except UnexpectedResponse as refused:
        error = _refusal(refused)
        if isinstance(error, Unavailable) and error.code == "INDEX_DOWN":
            door.breaker.failed()
        else:
            door.breaker.succeeded()
        raise error from refused
    door.breaker.succeeded()
    return answer


def _refusal(refused: UnexpectedResponse) -> AikaError:
    """What an answer that is no yes means."""
    status = refused.status_code or 0
    if status in {401, 403}:
        return Misconfigured(
            "INDEX_KEY_REFUSED", "The Qdrant server refuses our API key.", fix="Set QDRANT_API_KEY to the server's."
        )
    if status == 404:
        return missing()
    if status >= 500 or status == 429:
        return _down("The vector index answers with an error.", status=str(status))
    return Misconfigured(
        "INDEX_REFUSED",
        "The Qdrant server refuses what it is asked.",
        fix="Compare its version with the one in docker-compose.yml, then run manage.py rebuild_index --verify.",
        status=str(status),
        because=refused.content[:200].decode(errors="replace"),
    )


def _down(message: str, **details: str) -> Unavailable:
    return Unavailable(
        "INDEX_DOWN",
        message,
        fix="Nothing is lost. Start the Qdrant server or correct QDRANT_URL; what waits is indexed then.",
        **details,
    )
