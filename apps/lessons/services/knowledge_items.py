"""Documents as programs send them, by the API or as a task: `{"items": [{"id": "doc-1", "text": "…"}]}`."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from apps.accounts.selectors import desk_by_slug
from apps.audit.types import Actor
from apps.common.errors import AikaError, Invalid, NotFound
from apps.lessons.services import knowledge
from apps.lessons.services.knowledge import Ingested, Item
from apps.lessons.services.reading import Source, media_type_of
from apps.lessons.types import IngestOutcome, MediaType

FIELDS: Final = ("id", "title", "text", "content_base64", "media_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A batch as it was sent, and for whom: a desk, or with None everybody."""

    items: Sequence[Item | Ingested]
    desk_id: UUID | None


def item_of(
    *, id: str, text: str | None, content_base64: str | None = None, media_type: str = "", title: str = ""
) -> Item | Ingested:
    """A document sent as text or as base64 of its bytes; refused where it is neither, or of a kind that is not read."""
    try:
        if (text is None) == (content_base64 is None):
            raise Invalid(
                "DOCUMENT_CONTENT",
                "A document comes as text or as content_base64.",
                fix="Send exactly one of them.",
                field="text",
            )
        kind = media_type_of(id, media_type) if media_type or content_base64 is not None else _kind_of_text(id)
        if kind is MediaType.PDF and text is not None:
            raise Invalid(
                "DOCUMENT_CONTENT", "A PDF is no text.", fix="Send its bytes as content_base64.", field="text"
            )
        raw = _bytes_of(content_base64) if text is None else text.encode()
    except UnicodeEncodeError:
        return knowledge.refused(
            id, Invalid("TEXT_MALFORMED", "The text holds half a character.", fix="Send valid UTF-8.")
        )
    except AikaError as error:
        return knowledge.refused(id, error)
    return Item(id=id, title=title, source=Source(raw=raw, media_type=kind))


def sent_of(payload: object) -> Sent:
    """What a task was given. Raises Invalid PAYLOAD_MALFORMED, NotFound DESK_UNKNOWN."""
    if (
        not isinstance(payload, Mapping)
        or not isinstance(payload.get("items"), list)
        or payload.keys() - {"items", "desk"}
    ):
        raise _malformed('The argument is an object: {"items": [{"id": "doc-1", "text": "…"}]}, and may name a desk.')
    slug = payload.get("desk")
    desk = None if slug is None else desk_by_slug(str(slug))
    if slug is not None and desk is None:
        raise NotFound("DESK_UNKNOWN", "There is no such desk.", fix="Name a desk, or leave it out for everybody.")
    return Sent(items=[_item(one) for one in payload["items"]], desk_id=desk.pk if desk else None)


def take_in(*, payload: object, actor: Actor, now: datetime) -> list[Ingested]:
    """Ingest what a task was given. Raises as `sent_of` and `knowledge.ingest`."""
    sent = sent_of(payload)
    return knowledge.ingest(items=sent.items, desk_id=sent.desk_id, actor=actor, now=now)


def summary_of(results: Sequence[Ingested]) -> dict[str, Any]:
    """How many of each outcome, and each refusal with its reason."""
    counts = {one.value.lower(): sum(result.outcome is one for result in results) for one in IngestOutcome}
    refusals = [
        {"id": one.id, "code": one.code, "detail": one.message}
        for one in results
        if one.outcome is IngestOutcome.REFUSED
    ]
    return {**counts, "refusals": refusals}


def _item(one: object) -> Item | Ingested:
    if not isinstance(one, Mapping) or not isinstance(one.get("id"), str) or one.keys() - set(FIELDS):
        raise _malformed(f"Each item is an object with an id, and may have {', '.join(FIELDS[1:])}.")
    values = {name: one.get(name) for name in FIELDS}
    if not all(value is None or isinstance(value, str) for value in values.values()):
        raise _malformed(f"{', '.join(FIELDS)} are texts.")
    return item_of(
        id=one["id"],
        text=values["text"],
        content_base64=values["content_base64"],
        media_type=values["media_type"] or "",
        title=values["title"] or "",
    )


def _kind_of_text(name: str) -> MediaType:
    """Of a text of which nobody says what it is: by the ending of its id, else plain."""
    try:
        found = media_type_of(name)
    except Invalid:
        return MediaType.TEXT
    return MediaType.TEXT if found is MediaType.PDF else found


def _bytes_of(text: str | None) -> bytes:
    try:
        return base64.b64decode("".join((text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(
            "BASE64_MALFORMED", "content_base64 is no base64.", fix="Encode the bytes anew.", field="content_base64"
        ) from None


def _malformed(message: str) -> Invalid:
    return Invalid("PAYLOAD_MALFORMED", message, fix="Send it in this form.", field="items")
