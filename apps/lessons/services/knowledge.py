"""Documents into knowledge: read, compared by digest, cut, versioned, and written down for the index.

What is unchanged is skipped. What is refused leaves the others alone, and what was known of it stays. A new version
takes the place of the old one in the transaction that makes it; the old one is kept, so that what was cited can be
read again, and its points leave the index after the new ones are in.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

from django.db import IntegrityError, transaction

from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.errors import AikaError, Invalid
from apps.lessons.models import KnowledgeChunk, KnowledgeDocument, KnowledgeTerm, KnowledgeVersion
from apps.lessons.rules import bm25
from apps.lessons.rules.chunking import Piece, pieces
from apps.lessons.rules.reading import TITLE_CHARS_MAX, Reading, normalised
from apps.lessons.services import outbox, reading
from apps.lessons.services.reading import Source
from apps.lessons.types import EntryKind, IngestOutcome

if TYPE_CHECKING:
    from apps.lessons.models import KnowledgeSource

ITEMS_MAX: Final = 100
ID_CHARS_MAX: Final = 500
# Of the ids of pieces: never change it.
NAMESPACE: Final = UUID("b7a2d7a1-1f0c-5a7e-8f57-3d1f2b9a6c40")
ROWS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A document under an id of its giver. Without a title it has its own, or its id. `stamp` tells one state of a
    watched file from another."""

    id: str
    source: Source
    title: str = ""
    stamp: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What became of one item. `document` and `version` are None where it is refused; then code, message and fix say
    why."""

    id: str
    outcome: IngestOutcome
    document: UUID | None = None
    title: str = ""
    version: int | None = None
    chunks: int = 0
    code: str = ""
    message: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An item that was read and cut, not yet stored."""

    item: Item
    title: str
    reading: Reading
    pieces: tuple[Piece, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the kept text, hex."""
        return hashlib.sha256(self.reading.text.encode()).hexdigest()


def ingest(
    *,
    items: Sequence[Item | Ingested],
    desk_id: UUID | None,
    actor: Actor,
    now: datetime,
    source: "KnowledgeSource | None" = None,
) -> list[Ingested]:
    """Take these in for a desk, or with None for everybody, each in a transaction of its own; in their order.

    Raises Invalid TOO_MANY_ITEMS before anything is read. What is wrong with one item is its own result.
    """
    return store(prepare(items), desk_id=desk_id, actor=actor, now=now, source=source)


def prepare(items: Sequence[Item | Ingested]) -> list[Prepared | Ingested]:
    """Read and cut, outside any transaction: this is what takes long. Results pass. Raises Invalid TOO_MANY_ITEMS."""
    if len(items) > ITEMS_MAX:
        raise Invalid(
            "TOO_MANY_ITEMS",
            f"{len(items)} documents, and at most {ITEMS_MAX} are taken at once.",
            fix="Send fewer at a time.",
            field="items",
        )
    counted = Counter(item.id for item in items)
    return [item if isinstance(item, Ingested) else _prepared(item, is_double=counted[item.id] > 1) for item in items]


def store(
    prepared: Iterable[Prepared | Ingested],
    *,
    desk_id: UUID | None,
    actor: Actor,
    now: datetime,
    source: "KnowledgeSource | None" = None,
) -> list[Ingested]:
    """Write what was prepared, each in a transaction of its own (a savepoint within the caller's)."""
    return [
        one if isinstance(one, Ingested) else _store(one, desk_id=desk_id, actor=actor, now=now, source=source)
        for one in prepared
    ]


def refused(item_id: str, error: AikaError) -> Ingested:
    """The result of an item that was not taken in."""
    return Ingested(id=item_id, outcome=IngestOutcome.REFUSED, code=error.code, message=error.message, fix=error.fix)


def remove(*, document: KnowledgeDocument, actor: Actor, now: datetime) -> bool:
    """Take a document out of what is found. Its versions stay readable; taking it in again brings it back.

    False where it is removed already.
    """
    with transaction.atomic():
        row = KnowledgeDocument.objects.select_for_update().get(pk=document.pk)
        if row.removed_at is not None:
            return False
        row.removed_at = row.updated_at = now
        row.save(update_fields=["removed_at", "updated_at"])
        _retire(row)
        _record(row, "knowledge.removed", actor, now)
        return True


def _prepared(item: Item, *, is_double: bool) -> Prepared | Ingested:
    try:
        _check_id(item.id, is_double=is_double)
        found = reading.read(item.source)
        title = _title(item, found)
        return Prepared(item=item, title=title, reading=found, pieces=pieces(found, title=title))
    except AikaError as error:
        return refused(item.id, error)


def _check_id(item_id: str, *, is_double: bool) -> None:
    if not item_id or len(item_id) > ID_CHARS_MAX or item_id != item_id.strip() or not item_id.isprintable():
        raise Invalid(
            "DOCUMENT_ID_MALFORMED",
            f"An id has 1 to {ID_CHARS_MAX} characters in one line, no control characters, no blanks around it.",
            fix="Send a plain id that stays the same for the same document.",
            field="id",
        )
    if is_double:
        raise Invalid("DOCUMENT_ID_TWICE", "Two documents have this id.", fix="Send each document once.", field="id")


def _title(item: Item, found: Reading) -> str:
    given = " ".join(normalised(item.title).split())
    return (given or found.title or item.id)[:TITLE_CHARS_MAX]


def _store(
    one: Prepared, *, desk_id: UUID | None, actor: Actor, now: datetime, source: "KnowledgeSource | None"
) -> Ingested:
    try:
        with transaction.atomic():
            return _written(one, desk_id=desk_id, actor=actor, now=now, source=source)
    except IntegrityError:  # somebody else has just added it: now it is known
        with transaction.atomic():
            return _written(one, desk_id=desk_id, actor=actor, now=now, source=source)


def _written(
    one: Prepared, *, desk_id: UUID | None, actor: Actor, now: datetime, source: "KnowledgeSource | None"
) -> Ingested:
    known = (
        KnowledgeDocument.objects.select_for_update(of=("self",)).filter(desk=desk_id, external_id=one.item.id).first()
    )
    if known is None:
        row = KnowledgeDocument(desk_id=desk_id, external_id=one.item.id, number=0, created_at=now)
        outcome, kind = IngestOutcome.ADDED, "knowledge.added"
    else:
        row = known
        is_same = row.digest == one.digest and row.title == one.title and row.removed_at is None
        if is_same:
            _touch(row, one, source)
            return _result(one, row, IngestOutcome.UNCHANGED)
        outcome, kind = IngestOutcome.CHANGED, "knowledge.changed"
    row.number += 1
    row.title, row.digest, row.removed_at = one.title, one.digest, None
    row.media_type, row.stamp, row.source = one.item.source.media_type, one.item.stamp, source or row.source
    row.added_by, row.updated_at = actor.name[:120], now
    row.save(force_insert=known is None)
    _retire(row)
    _write_version(row, one, now)
    _record(row, kind, actor, now)
    return _result(one, row, outcome)


def _touch(row: KnowledgeDocument, one: Prepared, source: "KnowledgeSource | None") -> None:
    """The same text from another state of its file, or found by a source: no version, and no event."""
    if row.stamp != one.item.stamp or (source is not None and row.source_id != source.pk):
        row.stamp, row.source = one.item.stamp, source or row.source
        row.save(update_fields=["stamp", "source"])


def _write_version(row: KnowledgeDocument, one: Prepared, now: datetime) -> None:
    version = KnowledgeVersion.objects.create(
        document=row, number=row.number, digest=one.digest, text=one.reading.text, created_at=now
    )
    chunks, terms = [], []
    for piece in one.pieces:
        chunk = KnowledgeChunk(
            id=uuid5(NAMESPACE, f"{row.pk}:{row.number}:{piece.ordinal}:{piece.digest}"),
            version=version,
            desk_id=row.desk_id,
            ordinal=piece.ordinal,
            heading=piece.heading,
            text=piece.text,
            start=piece.start,
            end=piece.end,
            digest=piece.digest,
            words=piece.words,
        )
        chunks.append(chunk)
        terms += [
            KnowledgeTerm(chunk=chunk, desk_id=row.desk_id, term=term, count=count, length=piece.words)
            for term, count in bm25.terms(piece.text).items()
        ]
    KnowledgeChunk.objects.bulk_create(chunks, batch_size=ROWS_AT_ONCE)
    KnowledgeTerm.objects.bulk_create(terms, batch_size=ROWS_AT_ONCE)
    outbox.enqueue_all(kind=EntryKind.CHUNK, content_hashes={chunk.pk: chunk.digest for chunk in chunks}, now=now)


def _retire(row: KnowledgeDocument) -> None:
    """Its pieces are no longer current. Their points are taken out of the index later: no answer shows them."""
    current = KnowledgeChunk.objects.filter(version__document=row, current=True)
    KnowledgeTerm.objects.filter(chunk__in=current).delete()
    current.update(current=False)


def _result(one: Prepared, row: KnowledgeDocument, outcome: IngestOutcome) -> Ingested:
    return Ingested(
        id=one.item.id,
        outcome=outcome,
        document=row.pk,
        title=row.title,
        version=row.number,
        chunks=len(one.pieces),
    )


def _record(row: KnowledgeDocument, kind: str, actor: Actor, now: datetime) -> None:
    """The digest says which text; the text itself is in the version."""
    subject = f"knowledge:{row.pk}"
    payload = {
        "external_id": row.external_id,
        "title": row.title,
        "digest": row.digest,
        "version": row.number,
        "desk": str(row.desk_id or ""),
    }
    events.record(stream=subject, kind=kind, actor=actor, subject=subject, payload=payload, now=now)
