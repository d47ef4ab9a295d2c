"""Reservations against what the log says became of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from apps.audit.selectors import events_of, facts_in, facts_of
from apps.audit.services.reports import Finding
from apps.common.decimals import decimal_text
from apps.common.money import from_minor
from apps.policies.models import Reservation
from apps.policies.services.budgets import reservation_stream

# What the introduction of budgets made for orders that were alive then has no event of its own beginning.
BEGUN: Final = "database:budgets"


def findings(sources: Sequence[str]) -> Iterator[Finding]:
    """Where the reservations of these sources are not what their events say. Changes nothing."""
    facts = facts_in([reservation_stream(source) for source in sources])
    rows = Reservation.objects.filter(source__in=sources).prefetch_related("amounts__budget")
    held = {row.source: row for row in rows}
    for source in sources:
        row, told = held.get(source), facts.get(reservation_stream(source))
        place = f"reservation of {source}"
        if row is None:
            if told is not None:
                yield Finding("RESERVATION_MISSING", place, "The log tells of a reservation that has no row.")
        elif told is None:
            if not (row.state == "HELD" and _was_begun(source)):
                yield Finding("RESERVATION_UNTOLD", place, "The log tells nothing of it.")
        else:
            yield from _differing(row, told, place)


def _differing(row: Reservation, told: Sequence[Mapping[str, Any]], place: str) -> Iterator[Finding]:
    try:
        first, last = told[0]["payload"], told[-1]["payload"]
        if row.state != last["state"]:
            said = f"It is {row.state}, and the log says {last['state']}."
            yield Finding("RESERVATION_STANDS_ELSE", place, said)
        if row.reason != last.get("reason", ""):
            yield Finding("RESERVATION_STANDS_ELSE", place, f"It ended by {row.reason!r}, the log says otherwise.")
        if "amounts" in first and _amounts(row) != sorted(_key(one) for one in first["amounts"]):
            yield Finding("RESERVATION_STANDS_ELSE", place, "What it took of the budgets is not what the log says.")
    except (KeyError, TypeError, IndexError) as error:
        yield Finding("EVENT_UNREADABLE", place, f"An event is not what Aika writes: {error!r}.")


def _key(amount: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(amount[name]) for name in ("dimension", "instrument", "window", "unit", "amount"))


def _amounts(row: Reservation) -> list[tuple[str, ...]]:
    return sorted(
        (
            *(str(amount.budget.dimension), amount.budget.instrument, amount.budget.window, amount.budget.unit),
            decimal_text(from_minor(amount.amount_minor)),
        )
        for amount in row.amounts.all()
        if amount.amount_minor
    )


def _was_begun(source: str) -> bool:
    payloads = (facts_of(event)["payload"] for event in events_of(BEGUN).filter(kind="budgets.begun"))
    return any(isinstance(payload, dict) and source in payload["orders"] for payload in payloads)
