"""The search over the whole desk: proposals by what people have in hand."""

from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.accounts.selectors import keys_named_like, people_named_like
from apps.common.lists import NAMED_MAX, spellings
from apps.trades.models import Order, Proposal

TEXT_CHARS_MIN: Final = 2
ID_CHARS_MIN: Final = 4
FOUND_MAX: Final = 20


def find_proposals(text: str, *, connection_ids: tuple[UUID, ...] | None) -> list[Proposal]:
    """Proposals by the head of their id, by an order's id here or at the venue, by instrument or person; newest first.

    `connection_ids` None searches every desk. At most `FOUND_MAX` rows. What stands in other tables becomes ids first:
    no index serves an OR across a join, and each of these questions has one.
    """
    wanted = text.strip().removeprefix("P-").removeprefix("p-")
    if len(wanted) < TEXT_CHARS_MIN:
        return []
    seen = Q() if connection_ids is None else Q(connection__in=connection_ids)
    rows, orders = Proposal.objects.filter(seen), Order.objects.filter(seen)
    by = Q.create([("instrument__startswith", one) for one in spellings(wanted)], connector=Q.OR)
    by |= Q(proposer__in=people_named_like(wanted, limit=NAMED_MAX))
    by |= Q(api_key__in=keys_named_like(wanted, limit=NAMED_MAX))
    ids = _first(orders.filter(venue_order_id=wanted), "venue_order_id", "proposal_id")
    head = id_range(wanted)
    if head is not None:
        ids += _first(rows.filter(pk__range=head), "pk", "pk")
        ids += _first(rows.filter(client_order_id__range=head), "client_order_id", "pk")
        ids += _first(orders.filter(pk__range=head), "pk", "proposal_id")
    found = rows.filter(by | Q(pk__in=ids)).select_related("connection", "proposer", "api_key")
    return list(found.order_by("-created_at")[:FOUND_MAX])


def _first(rows: QuerySet[Any], index: str, column: str) -> list[UUID]:
    """The column of the first rows in the order of what was asked for: its index has them one beside the other."""
    return list(rows.order_by(index).values_list(column, flat=True)[:NAMED_MAX])


def id_range(text: str) -> tuple[UUID, UUID] | None:
    """The ids that begin with these hexadecimal digits; None where the text cannot begin an id."""
    digits = text.replace("-", "").lower()
    if not ID_CHARS_MIN <= len(digits) <= 32 or any(character not in "0123456789abcdef" for character in digits):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
