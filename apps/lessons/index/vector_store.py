"""What the memory asks of a vector index: Qdrant, as a server or in this process. SQL is the truth beside it.

Every verb raises Unavailable (INDEX_DOWN, INDEX_HELD, INDEX_MISSING) where the index cannot answer, for the caller to
go on without it, and Misconfigured (INDEX_REFUSED, INDEX_KEY_REFUSED, INDEX_DIFFERS) where an operator must act.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar
from uuid import UUID

from qdrant_client import QdrantClient, models

from apps.common.errors import AikaError, Misconfigured
from apps.lessons.index.values import CLOSED_AT, CONTENT_HASH, SUBJECT, WORDS, Hit, Point, Question, Standing, Where

T = TypeVar("T")

SCROLL_MAX: Final = 1000


class VectorStore(ABC):
    """The verbs, each one request of Qdrant's; `_read` and `_write` say how one is made. Safe for threads."""

    # Local mode keeps none and says so by a warning.
    keeps_field_indexes = True
    # Whether something else than this process does the work, which may go on with its own meanwhile.
    works_elsewhere = True

    @abstractmethod
    def _read(self, ask: Callable[[QdrantClient], T]) -> T:
        """What `ask` says of the client, within the bound of a question."""

    @abstractmethod
    def _write(self, ask: Callable[[QdrantClient], T]) -> T:
        """The same within the bound of a change."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held. May be repeated."""

    def ensure_collection(self, name: str, vectors: Mapping[str, int]) -> None:
        """There is a collection with vectors of these names and dimensions. Raises Misconfigured INDEX_DIFFERS where
        there is one with others."""
        if not self._read(lambda client: client.collection_exists(name)):
            self._create(name, vectors)
        found = self._dimensions(name)
        if found != dict(vectors):
            raise Misconfigured(
                "INDEX_DIFFERS",
                f"The collection {name} holds vectors of another form than the embeddings have.",
                fix="Run manage.py rebuild_index --drop to make it anew from the database.",
                found=_form(found),
                expected=_form(vectors),
            )

    def _create(self, name: str, vectors: Mapping[str, int]) -> None:
        parameters = {
            one: models.VectorParams(size=dim, distance=models.Distance.COSINE) for one, dim in vectors.items()
        }

        try:
            self._write(lambda client: client.create_collection(name, vectors_config=parameters))
        except AikaError:
            # Another process may have been faster.
            if not self._read(lambda client: client.collection_exists(name)):
                raise
        if self.keeps_field_indexes:
            for word in WORDS:
                # What every question is limited to lies together on the server's disk.
                self._index_field(
                    name,
                    word,
                    models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=word == "desk"),
                )
            self._index_field(name, CLOSED_AT, models.PayloadSchemaType.FLOAT)

    def _index_field(
        self, collection: str, field: str, schema: models.KeywordIndexParams | models.PayloadSchemaType
    ) -> None:
        self._write(lambda client: client.create_payload_index(collection, field, schema))

    def _dimensions(self, name: str) -> dict[str, int]:
        vectors = self._read(lambda client: client.get_collection(name)).config.params.vectors
        if not isinstance(vectors, Mapping):
            return {"": vectors.size} if vectors else {}
        return {one: parameters.size for one, parameters in vectors.items()}

    def drop_collection(self, name: str) -> None:
        """It is gone, and so are its aliases. May be repeated."""
        self._write(lambda client: client.delete_collection(name))

    def collections(self) -> frozenset[str]:
        """Names of all there are."""
        return frozenset(one.name for one in self._read(lambda client: client.get_collections()).collections)

    def aliases(self) -> dict[str, str]:
        """Each alias and its collection."""
        found = self._read(lambda client: client.get_aliases()).aliases
        return {one.alias_name: one.collection_name for one in found}

    def point_aliases(self, targets: Mapping[str, str]) -> None:
        """Each alias stands for its collection from now on: all of them in one request, so at one moment."""
        standing = self.aliases()
        operations: list[models.AliasOperations] = []
        for alias, collection in targets.items():
            if alias in standing:
                deletion = models.DeleteAlias(alias_name=alias)
                operations.append(models.DeleteAliasOperation(delete_alias=deletion))
            creation = models.CreateAlias(collection_name=collection, alias_name=alias)
            operations.append(models.CreateAliasOperation(create_alias=creation))
        self._write(lambda client: client.update_collection_aliases(operations))

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """The points stand, instead of whatever stood in their places. Waits until they are written."""
        if points:
            self._write(lambda client: self._put(client, collection, points))

    @abstractmethod
    def _put(self, client: QdrantClient, collection: str, points: Sequence[Point]) -> None:
        """As `upsert`, of the client."""

    def delete(self, collection: str, ids: Sequence[UUID]) -> None:
        """No such points stand any more."""
        if ids:
            selector = models.PointIdsList(points=[str(one) for one in ids])
            self._write(lambda client: client.delete(collection, selector, wait=True))

    def count(self, collection: str) -> int:
        """How many points there are, exactly."""
        return self._read(lambda client: client.count(collection, exact=True)).count

    def scroll(self, collection: str, *, after: UUID | None = None) -> tuple[list[Standing], UUID | None]:
        """Up to `SCROLL_MAX` points in the order of their ids, and where the next ones begin: None after the last."""
        records, following = self._read(
            lambda client: client.scroll(
                collection,
                limit=SCROLL_MAX,
                offset=None if after is None else str(after),
                with_payload=[SUBJECT, CONTENT_HASH],
                with_vectors=False,
            )
        )
        return [_standing(record) for record in records], None if following is None else UUID(str(following))

    def search(self, collection: str, questions: Sequence[Question], *, limit: int) -> list[list[Hit]]:
        """For each question up to `limit` points by falling cosine, all in one request. Points without that vector are
        not among them."""
        requests = [
            models.QueryRequest(
                query=one.vector.tolist(),
                using=one.name,
                filter=_filter(one.where),
                limit=limit,
                with_payload=[SUBJECT],
            )
            for one in questions
        ]
        answers = self._read(lambda client: client.query_batch_points(collection, requests))
        return [_hits(answer.points) for answer in answers]


def _standing(record: models.Record) -> Standing:
    payload = record.payload or {}
    try:
        subject = UUID(str(payload.get(SUBJECT)))
    except ValueError:
        subject = None
    return Standing(_uuid(record.id), subject, str(payload.get(CONTENT_HASH, "")))


def _uuid(identifier: models.ExtendedPointId) -> UUID:
    # A point of somebody else's may be numbered; Qdrant takes a number and a UUID of its value for two points.
    return UUID(int=identifier) if isinstance(identifier, int) else UUID(str(identifier))


def _hits(points: Sequence[models.ScoredPoint]) -> list[Hit]:
    return [
        Hit(UUID(str(point.payload[SUBJECT])), point.score)
        for point in points
        if point.payload and SUBJECT in point.payload
    ]


def _filter(where: Where) -> models.Filter | None:
    conditions: list[models.Condition] = [
        models.FieldCondition(key=word, match=models.MatchAny(any=list(values))) for word, values in where.words.items()
    ]
    if where.since is not None or where.until is not None:
        moments = models.Range(
            gte=None if where.since is None else where.since.timestamp(),
            lt=None if where.until is None else where.until.timestamp(),
        )
        conditions.append(models.FieldCondition(key=CLOSED_AT, range=moments))
    return models.Filter(must=conditions) if conditions else None


def _form(vectors: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {dim}" for name, dim in sorted(vectors.items())) or "none"
