"""The rows of trades against what the log says became of them.

The log convinces by its own chain and checkpoints; this ties the tables to it. Whoever changes a row behind the
application's back, its guards lifted, leaves the events as they were.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from apps.audit.selectors import facts_in, streams_beginning
from apps.audit.services.reports import Finding
from apps.common.decimals import decimal_text, instant_text
from apps.common.money import total
from apps.common.snapshots import one_moment
from apps.policies.services import reserved_in_log
from apps.trades.models import Authority, Fill, Order, Proposal
from apps.trades.rules.log_fold import FILL_FIELDS, Folded, FoldedOrder, fold
from apps.trades.services.endings import stream_of
from apps.trades.services.seal import seal_of

BATCH: Final = 500
PREFIX: Final = stream_of(UUID(int=0)).partition(":")[0] + ":"

Progress = Callable[[int, int | None], None]


def findings(*, progress: Progress) -> Iterator[Finding]:
    """Everything in which proposals, authorities, orders, fills and reservations are not what their events say.

    Each batch is read as of one moment, so that others may write meanwhile. `progress` is told how many of how many
    proposals are done. Changes nothing.
    """
    whole, done, last = Proposal.objects.count(), 0, None
    while batch := next_proposals(last):
        with one_moment():
            yield from _of_proposals(batch)
        last, done = batch[-1], done + len(batch)
        progress(done, whole)
    yield from _without_rows()


def next_proposals(last: UUID | None) -> list[UUID]:
    """The ids of the next batch after one, in their order; none where there are no more."""
    rows = Proposal.objects.order_by("pk") if last is None else Proposal.objects.filter(pk__gt=last).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:BATCH])


def _without_rows() -> Iterator[Finding]:
    """Proposals that the log knows and the table does not."""
    after = ""
    while names := streams_beginning(PREFIX, after=after, limit=BATCH):
        ids = {name: _id_of(name) for name in names}
        there = set(Proposal.objects.filter(pk__in=[pk for pk in ids.values() if pk]).values_list("pk", flat=True))
        for name, pk in ids.items():
            if pk not in there:
                yield Finding("ROW_MISSING", name, "The log tells of a proposal that has no row.")
        after = names[-1]


def _id_of(stream: str) -> UUID | None:
    try:
        return UUID(stream.removeprefix(PREFIX))
    except ValueError:
        return None


def _of_proposals(ids: Sequence[UUID]) -> Iterator[Finding]:
    facts = facts_in([stream_of(pk) for pk in ids])
    proposals = Proposal.objects.filter(pk__in=ids)
    authorities = {row.proposal_id: row for row in Authority.objects.filter(proposal__in=ids)}
    orders: dict[UUID, list[Order]] = {}
    for order in Order.objects.filter(proposal__in=ids):
        orders.setdefault(order.proposal_id, []).append(order)
    fills: dict[UUID, list[Fill]] = {}
    for fill in Fill.objects.filter(order__proposal__in=ids):
        fills.setdefault(fill.order_id, []).append(fill)
    for proposal in proposals:
        found = facts.get(stream_of(proposal.pk))
        if found is None:
            yield Finding("EVENTS_MISSING", _place(proposal), "The log tells nothing of it.")
            continue
        try:
            folded = fold(str(proposal.pk), found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            yield Finding("EVENT_UNREADABLE", _place(proposal), f"An event is not what Aika writes: {error!r}.")
            continue
        mine = orders.get(proposal.pk, [])
        yield from _of_proposal(proposal, folded, authorities.get(proposal.pk), mine)
        for order in mine:
            if (told := folded.orders.get(str(order.pk))) is None:
                yield Finding("ORDER_UNTOLD", f"order {order.pk}", "No event tells of an approval with this order.")
            else:
                yield from _of_order(order, told, fills.get(order.pk, []))
    yield from reserved_in_log.findings([str(order.pk) for rows in orders.values() for order in rows])


def _place(proposal: Proposal) -> str:
    return f"{proposal.label} ({proposal.pk})"


def _of_proposal(
    proposal: Proposal, folded: Folded, authority: Authority | None, orders: Sequence[Order]
) -> Iterator[Finding]:
    place = _place(proposal)
    row = {
        "state": proposal.state,
        "end_code": proposal.end_code,
        "digest": proposal.digest,
        "request_digest": proposal.request_digest,
        "client_order_id": str(proposal.client_order_id),
        "decision": str(proposal.decision_id),
        "expires_at": instant_text(proposal.expires_at),
    }
    begun = {name: folded.begun.get(name) for name in row if name in folded.begun}
    yield from _differing("PROPOSAL_DIFFERS", place, row, {**begun, "state": folded.state, "end_code": folded.code})
    approved = folded.approved
    if approved is None:
        if authority is not None:
            yield Finding("AUTHORITY_UNTOLD", place, "It has an authority, and no event tells of an approval.")
        return
    if authority is None:
        yield Finding("AUTHORITY_MISSING", place, "The log tells of an approval, and there is no authority.")
        return
    held = {
        "authority": str(authority.pk),
        "digest": authority.digest,
        "request_digest": authority.request_digest,
        "decision": str(authority.decision_id),
        "needed": authority.needed,
        "roles": authority.roles,
        "approvers": authority.approvers,
        "valid_until": instant_text(authority.valid_until),
    }
    yield from _differing("AUTHORITY_DIFFERS", place, held, approved)
    order = next((row for row in orders if str(row.pk) == approved["order"]), None)
    if order is None:
        yield Finding("ORDER_MISSING_HERE", place, "The log tells of an order that has no row.")
    elif "seal" in approved and seal_of(proposal, authority, order) != approved["seal"]:
        yield Finding("SEAL_DIFFERS", place, "A column that may not change after the approval has changed.")


def _of_order(order: Order, told: FoldedOrder, rows: Sequence[Fill]) -> Iterator[Finding]:
    place = f"order {order.pk}"
    row = {"state": order.state, "venue_order_id": order.venue_order_id}
    yield from _differing("ORDER_STANDS_ELSE", place, row, {"state": told.state, "venue_order_id": told.venue_order_id})
    booked = {fill.venue_fill_id: fill for fill in rows}
    for name in sorted(told.fills.keys() - booked.keys()):
        yield Finding("FILL_MISSING", place, f"The log tells of the fill {name}, which has no row.")
    for name, fill in booked.items():
        if (said := told.fills.get(name)) is None:
            yield Finding("FILL_UNTOLD", place, f"No event tells of the fill {name}.")
        else:
            held = {field: _text(getattr(fill, field)) for field in FILL_FIELDS}
            yield from _differing("FILL_STANDS_ELSE", f"{place}, fill {name}", held, said)
    sums = {"filled_quantity": total(fill.quantity for fill in rows), "fees": total(fill.fee for fill in rows)}
    stood = {"filled_quantity": order.filled_quantity, "fees": order.fees}
    yield from _differing(
        "ORDER_STANDS_ELSE", place, {name: _text(value) for name, value in stood.items()}, _texts(sums)
    )


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    """As it stands in an event."""
    if isinstance(value, Decimal):
        return decimal_text(value)
    return instant_text(value) if isinstance(value, datetime) else str(value)


def _differing(code: str, place: str, row: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[Finding]:
    for name, value in row.items():
        if name in told and told[name] != value:
            yield Finding(code, place, f"{name} is {value!r}, and the log says {told[name]!r}.")
