"""The four kinds of work as links with what stands there now; a link leads only where this person may look."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from redis.exceptions import RedisError

from apps.approvals.selectors.waiting import connection_ids_of
from apps.audit.selectors import alarm_summary
from apps.audit.types import AlarmSummary
from apps.common import words
from apps.connectors.selectors import active_connections
from apps.connectors.types import Environment
from apps.dashboard.types import Link, Say, WorkGroup, kind_of_work
from apps.policies.selectors import open_latches, trading_state
from apps.policies.types import ReasonCode
from apps.quotes.selectors.feed import feed_states_of
from apps.quotes.types import FeedWord
from apps.trades.selectors import pages

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.connectors.models import Connection
    from apps.trades.models import Order, Proposal

HAPPENED_MAX: Final = 8
_TONES: Final = {"ACTIVE": ("", ""), "REDUCING": ("warn", "warn")}
# What of several feeds is said: the worst.
_WORST_FIRST: Final = (FeedWord.DOWN, FeedWord.STALE, FeedWord.CONNECTING, FeedWord.LIVE)
_NAMES: Final = {"watch": ("Watch", "what is under way"), "set_up": ("Set up", "what governs it")}
_LAST: Final = ("Look back", "what it led to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One line of what just happened: words, when, the state it is in, the way to its story."""

    text: str
    detail: str
    ago: str
    state: str
    url: str


def groups(request: HttpRequest, *, now: datetime) -> tuple[WorkGroup, ...]:
    """Every model this person may look at, sorted by kind of work, with the feed, and whether lessons help."""
    person = cast("User", request.user)
    rows = list(active_connections())
    said = _said(person, rows, now)
    found: dict[str, list[Link]] = {"watch": [], "set_up": [], "look_back": []}
    for app in admin.site.get_app_list(request):
        for model in app["models"]:
            label = model["model"]._meta.label_lower
            url = model.get("admin_url")
            if not url:
                continue
            found[kind_of_work(label)].append(Link(name=str(model["name"]), url=url, says=said.get(label, ())))
    if person.has_perm("accounts.view_ledger"):
        url = reverse("home") + "#feed-panel"
        found["watch"].append(Link(name="Feed", url=url, says=(_feed_said(person, rows, now),)))
    if person.has_perm("lessons.view_evaluation"):
        url = reverse("admin:lessons_evaluation_help")
        found["look_back"].append(Link(name="Lessons: does it help?", url=url))
    return tuple(
        WorkGroup(key=key, name=_NAMES.get(key, _LAST)[0], aside=_NAMES.get(key, _LAST)[1], links=_order(key, links))
        for key, links in found.items()
    )


def _order(key: str, links: list[Link]) -> tuple[Link, ...]:
    """What says something first, the rest by name."""
    return tuple(sorted(links, key=lambda link: (not link.says, link.name)))


def _said(person: "User", rows: "Sequence[Connection]", now: datetime) -> dict[str, tuple[Say, ...]]:
    counts = pages.counts(connection_ids=connection_ids_of(person), now=now)
    live = sum(row.environment != Environment.PAPER.value for row in rows)
    tripped = open_latches().count()
    state = trading_state(None)
    said = {
        "policies.tradingstate": Say(f"everything {state}", *_TONES.get(state, ("stop", "halt"))),
        "policies.latch": Say(f"{tripped} tripped", "warn", "warn") if tripped else Say("none tripped"),
        "trades.position": Say(f"{counts.positions} held"),
        "audit.alarm": _alarms_said(alarm_summary()),
        "connectors.connection": Say(f"{len(rows) - live} paper, {live} live"),
        "trades.proposal": Say(f"{counts.proposals_30_days} in 30 days"),
        "trades.outcome": Say(f"{counts.outcomes_30_days} closed in 30 days"),
    }
    return {label: (say,) for label, say in said.items()} | {"trades.order": _orders_said(counts, now)}


def _orders_said(counts: pages.Counts, now: datetime) -> tuple[Say, ...]:
    """What is under way, the unknown ones among it; and beside it how many those are."""
    if not counts.live_orders:
        return (Say("none under way"),)
    flight = f"{counts.live_orders} under way"
    if counts.oldest_live_at is not None:
        flight += f", the oldest {words.ago(counts.oldest_live_at, now)}"
    if not counts.unknown_orders:
        return (Say(flight),)
    return Say(flight), Say(f"{counts.unknown_orders} unknown, being looked up", "unsure", "unsure")


def _feed_said(person: "User", rows: "Sequence[Connection]", now: datetime) -> Say:
    """`LIVE`, or how many of several are and the worst of the others; of this person's markets."""
    seen = connection_ids_of(person)
    try:
        states = feed_states_of((row for row in rows if seen is None or row.pk in seen), now=now)
    except RedisError:
        return Say("the cache does not answer", "warn", "warn")
    if not states:
        return Say("none to follow")
    worst = min((state.state for state in states), key=_WORST_FIRST.index)
    live = sum(state.state is FeedWord.LIVE for state in states)
    if live == len(states):
        return Say("LIVE" if live == 1 else f"all {live} LIVE", "ok", "ok")
    return Say(worst.value if len(states) == 1 else f"{live} of {len(states)} LIVE, {worst.value}", "warn", "warn")


def _alarms_said(alarms: AlarmSummary) -> Say:
    if alarms.unseen:
        return Say(f"{alarms.unseen} not acknowledged", "warn", "bell")
    return Say(f"{alarms.open} open, acknowledged") if alarms.open else Say("none open", "ok", "ok")


def just_happened(*, viewer: "User", now: datetime) -> tuple[Happened, ...]:
    """The proposals that moved last, each with the way to its story."""
    rows = pages.recent_proposals(connection_ids=connection_ids_of(viewer), limit=HAPPENED_MAX)
    happened = []
    for row in rows:
        order = next(iter(row.orders.all()), None)
        moved = (order.closed_at or order.created_at) if order is not None else row.ended_at
        state = order.state if order is not None else row.state
        happened.append(
            Happened(
                text=pages.short_line(row),
                detail=_detail(row, order),
                ago=words.ago(moved or row.created_at, now),
                state=state,
                url=reverse("decide:story", args=[row.pk]),
            )
        )
    return tuple(happened)


def _detail(row: "Proposal", order: "Order | None") -> str:
    if order is not None and order.average_fill_price is not None:
        return f"at {words.price(order.average_fill_price)} on average"
    if row.end_reason or row.end_code not in set(ReasonCode):
        return row.end_reason
    return ReasonCode(row.end_code).sentence
