"""A REST server that speaks the part of Qdrant's protocol that is used here. It is no search engine of its own.

Bodies are read with the client's own models and answered by the client's `:memory:` mode, so that the real HTTP code
runs: paths, JSON, statuses, the key. What a real server does beyond that (its index, its disk) is not tested by it.
`python -m tests.lessons.index.qdrant_server PORT` runs one in a process of its own.
"""

import re
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import uvicorn
from pydantic import BaseModel, TypeAdapter, ValidationError
from qdrant_client import QdrantClient, models
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Answer = Callable[[QdrantClient, dict[str, str], bytes], Any]


class FakeQdrant:
    """The server's app and what stands in it; answers wait while `may_answer` is unset and are errors
    while `broken`."""

    def __init__(self, *, api_key: str = "") -> None:
        self.client = QdrantClient(":memory:")
        self.api_key = api_key
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.broken = False
        self.seen: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self.app = Starlette(routes=[self._route(*one) for one in ROUTES])

    def _route(self, method: str, path: str, answer: Answer) -> Route:
        def endpoint(request: Request, body: bytes) -> Response:
            self.seen.append((method, request.url.path))
            self.may_answer.wait(30)
            if self.api_key and request.headers.get("api-key") != self.api_key:
                return JSONResponse({"status": {"error": "Invalid API key"}}, status_code=401)
            if self.broken:
                return JSONResponse({"status": {"error": "Service internal error"}}, status_code=500)
            return self._answered(answer, dict(request.path_params), body)

        async def beside(request: Request) -> Response:
            return await run_in_threadpool(endpoint, request, await request.body())

        return Route(path, beside, methods=[method])

    def _answered(self, answer: Answer, path: dict[str, str], body: bytes) -> Response:
        try:
            with self._lock, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # local mode warns that it is large, and that it keeps no field index
                result = answer(self.client, path, body)
        except ValidationError as wrong:
            return _error(400, f"Format error in JSON body: {wrong.error_count()} errors")
        except ValueError as wrong:
            return _error(
                404
                if re.match("Collection .* not found", str(wrong))
                else 409
                if "already exists" in str(wrong)
                else 400,
                str(wrong),
            )
        adapted = TypeAdapter(Any).dump_python(result, mode="json")
        return JSONResponse({"result": adapted, "status": "ok", "time": 0.0})


def _error(status: int, text: str) -> Response:
    return JSONResponse({"status": {"error": text}, "time": 0.0}, status_code=status)


def _create(client: QdrantClient, path: dict[str, str], body: bytes) -> bool:
    wish = models.CreateCollection.model_validate_json(body)
    return client.create_collection(path["name"], vectors_config=wish.vectors)


def _info(client: QdrantClient, path: dict[str, str], body: bytes) -> models.CollectionInfo:
    return client.get_collection(path["name"])


def _exists(client: QdrantClient, path: dict[str, str], body: bytes) -> models.CollectionExistence:
    return models.CollectionExistence(exists=client.collection_exists(path["name"]))


def _drop(client: QdrantClient, path: dict[str, str], body: bytes) -> bool:
    return client.delete_collection(path["name"])


def _all(client: QdrantClient, path: dict[str, str], body: bytes) -> models.CollectionsResponse:
    return client.get_collections()


def _index(client: QdrantClient, path: dict[str, str], body: bytes) -> BaseModel:
    wish = models.CreateFieldIndex.model_validate_json(body)
    return client.create_payload_index(path["name"], wish.field_name, wish.field_schema)


def _upsert(client: QdrantClient, path: dict[str, str], body: bytes) -> BaseModel:
    return client.upsert(path["name"], models.PointsList.model_validate_json(body).points)


def _delete(client: QdrantClient, path: dict[str, str], body: bytes) -> BaseModel:
    return client.delete(path["name"], models.PointIdsList.model_validate_json(body))


def _count(client: QdrantClient, path: dict[str, str], body: bytes) -> BaseModel:
    wish = models.CountRequest.model_validate_json(body)
    return client.count(path["name"], wish.filter, exact=bool(wish.exact))


def _scroll(client: QdrantClient, path: dict[str, str], body: bytes) -> dict[str, Any]:
    wish = models.ScrollRequest.model_validate_json(body)
    points, following = client.scroll(
        path["name"],
        wish.filter,
        limit=wish.limit or 10,
        offset=wish.offset,
        with_payload=wish.with_payload if wish.with_payload is not None else True,
        with_vectors=wish.with_vector or False,
    )
    return {"points": points, "next_page_offset": following}


def _search(client: QdrantClient, path: dict[str, str], body: bytes) -> list[BaseModel]:
    return list(client.query_batch_points(path["name"], models.QueryRequestBatch.model_validate_json(body).searches))


def _aliases(client: QdrantClient, path: dict[str, str], body: bytes) -> BaseModel:
    return client.get_aliases()


def _point_aliases(client: QdrantClient, path: dict[str, str], body: bytes) -> bool:
    return client.update_collection_aliases(models.ChangeAliasesOperation.model_validate_json(body).actions)


ROUTES: tuple[tuple[str, str, Answer], ...] = (
    ("GET", "/collections", _all),
    ("GET", "/aliases", _aliases),
    ("POST", "/collections/aliases", _point_aliases),
    ("PUT", "/collections/{name}", _create),
    ("GET", "/collections/{name}", _info),
    ("DELETE", "/collections/{name}", _drop),
    ("GET", "/collections/{name}/exists", _exists),
    ("PUT", "/collections/{name}/index", _index),
    ("PUT", "/collections/{name}/points", _upsert),
    ("POST", "/collections/{name}/points/delete", _delete),
    ("POST", "/collections/{name}/points/count", _count),
    ("POST", "/collections/{name}/points/scroll", _scroll),
    ("POST", "/collections/{name}/points/query/batch", _search),
)


class Serving:
    """A FakeQdrant on a port of this machine, in a thread. Stopped and started again, it keeps port and points."""

    def __init__(self, fake: FakeQdrant) -> None:
        self.fake = fake
        self.port = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Serving":
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(self.fake.app, log_config=None, access_log=False, lifespan="off", ws="none")
        )
        self._server = server
        self._thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
        self._thread.start()
        until = time.monotonic() + 10
        while not server.started:
            if time.monotonic() > until or not self._thread.is_alive():
                raise RuntimeError("The server of the tests did not start.")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Nobody listens any more, and connections that stood are closed."""
        self.fake.may_answer.set()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = self._server.force_exit = True
            self._thread.join(10)
            self._server = self._thread = None


if __name__ == "__main__":
    uvicorn.run(FakeQdrant().app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
