"""Documents from callers of the API: for which desk, and once for each `Idempotency-Key`."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from apps.accounts.services import idempotency
from apps.accounts.services.idempotency import Answer, Claim, Replay
from apps.accounts.types import Principal
from apps.common.errors import Forbidden, Invalid, NotFound
from apps.lessons.selectors.knowledge import desks_for
from apps.lessons.services import knowledge
from apps.lessons.services.knowledge import Ingested, Item

if TYPE_CHECKING:
    from apps.accounts.models import Desk

OK = 200


def desk_for(*, principal: Principal, slug: str | None) -> "Desk":
    """The desk a caller writes for: the one they name, or the only one they are at.

    Raises NotFound DESK_UNKNOWN, Invalid DESK_NEEDED, Forbidden NO_DESK.
    """
    desks = list(desks_for(principal))
    if slug is not None:
        found = next((desk for desk in desks if desk.slug == slug), None)
        if found is None:
            raise NotFound("DESK_UNKNOWN", "You are at no desk of this name.", fix="Name one of yours.", field="desk")
        return found
    if not desks:
        raise Forbidden("NO_DESK", "You are at no desk.", fix="Ask for a seat, or for a key of a desk's connection.")
    if len(desks) > 1:
        raise Invalid(
            "DESK_NEEDED",
            "You are at more than one desk.",
            fix=f"Send desk: one of {', '.join(sorted(desk.slug for desk in desks))}.",
            field="desk",
        )
    return desks[0]


def ingest_once(
    *,
    items: Sequence[Item | Ingested],
    desk_id: UUID,
    principal: Principal,
    begun: Claim | Replay | None,
    word: Callable[[Sequence[Ingested]], bytes],
    now: datetime,
) -> Answer:
    """Take documents in; with a key (`begun`), keep the answer in the same transaction. What takes long, reading and
    cutting, is done before it. Raises Invalid TOO_MANY_ITEMS."""
    if isinstance(begun, Replay):
        return begun
    prepared = knowledge.prepare(items)

    def act() -> tuple[int, bytes]:
        return OK, word(knowledge.store(prepared, desk_id=desk_id, actor=principal.actor(), now=now))

    if begun is None:
        status, body = act()
        return Answer(status=status, body=body)
    return idempotency.complete(begun, act=act, now=now)
