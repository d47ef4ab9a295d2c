"""The four kinds of work as links with what stands there now; a link leads only where this person may look."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from apps.approvals.selectors.waiting import connection_ids_of
from apps.audit.selectors import alarm_summary
from apps.audit.types import AlarmSummary
from apps.common import words
from apps.connectors.selectors import active_connections
from apps.connectors.types import Environment
from apps.dashboard.types import Link, WorkGroup, kind_of_work
from apps.policies.selectors import open_latches, trading_state
from apps.policies.types import ReasonCode
from apps.trades.selectors import pages

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.trades.models import Order, Proposal

HAPPENED_MAX: Final = 8
_TONES: Final = {"ACTIVE": ("", ""), "REDUCING": ("warn", "warn")}
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
    """Every model this person may look at, sorted by kind of work, and whether lessons help."""
    said = _said(request, now)
    found: dict[str, list[Link]] = {"watch": [], "set_up": [], "look_back": []}
    for app in admin.site.get_app_list(request):
        for model in app["models"]:
            label = model["model"]._meta.label_lower
            url = model.get("admin_url")
            if not url:
                continue
            say, kind, icon = said.get(label, ("", "", ""))
            found[kind_of_work(label)].append(Link(name=str(model["name"]), url=url, say=say, kind=kind, icon=icon))
    if request.user.has_perm("lessons.view_evaluation"):
        url = reverse("admin:lessons_evaluation_help")
        found["look_back"].append(Link(name="Lessons: does it help?", url=url))
    return tuple(
        WorkGroup(key=key, name=_NAMES.get(key, _LAST)[0], aside=_NAMES.get(key, _LAST)[1], links=_order(key, links))
        for key, links in found.items()
    )


def _order(key: str, links: list[Link]) -> tuple[Link, ...]:
    """What says something first, the rest by name."""
    return tuple(sorted(links, key=lambda link: (not link.say, link.name)))


def _said(request: HttpRequest, now: datetime) -> dict[str, tuple[str, str, str]]:
    counts = pages.counts(connection_ids=connection_ids_of(cast("User", request.user)), now=now)
    alarms = alarm_summary()
    flight = str(counts.live_orders) if counts.live_orders else "none under way"
    if counts.oldest_live_at is not None:
        flight += f" under way, the oldest {words.ago(counts.oldest_live_at, now)}"
    rows = list(active_connections())
    live = sum(row.environment != Environment.PAPER.value for row in rows)
    unknown = (f"{counts.unknown_orders} unknown, being looked up", "unsure", "unsure")
    tripped = open_latches().count()
    state = trading_state(None)
    return {
        "policies.tradingstate": (f"everything {state}", *_TONES.get(state, ("stop", "halt"))),
        "policies.latch": (f"{tripped} tripped", "warn", "warn") if tripped else ("none tripped", "", ""),
        "trades.order": unknown if counts.unknown_orders else (flight, "", ""),
        "trades.position": (f"{counts.positions} held", "", ""),
        "audit.alarm": _alarms_said(alarms),
        "connectors.connection": (f"{len(rows) - live} paper, {live} live", "", ""),
        "trades.proposal": (f"{counts.proposals_30_days} in 30 days", "", ""),
        "trades.outcome": (f"{counts.outcomes_30_days} closed in 30 days", "", ""),
    }


def _alarms_said(alarms: AlarmSummary) -> tuple[str, str, str]:
    if alarms.unseen:
        return f"{alarms.unseen} not acknowledged", "warn", "bell"
    return (f"{alarms.open} open, acknowledged", "", "") if alarms.open else ("none open", "ok", "ok")


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
