"""What ws/desk tells, read from the database: what happened, and how things stand."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from apps.audit.selectors import alarm_summary, happened, newest_ids
from apps.audit.types import Happened
from apps.common.decimals import instant_text
from apps.connectors.selectors import all_connections, connections_for_each
from apps.dashboard.rules.news import News, Place, Sight, Told, told_of
from apps.policies.selectors import states_in_force, trading_state
from apps.quotes.selectors.feeds_shown import feed_records, feeds_for
from apps.trades.selectors import moved

if TYPE_CHECKING:
    from apps.accounts.sockets import Caller, Credential
    from apps.connectors.models import Connection

LOOK_BACK: Final = 500
GLOBAL: Final = "global"
_SEVERITY: Final = {"ACTIVE": 0, "REDUCING": 1}


def sights_of(callers: "Sequence[Caller]") -> "dict[Credential, Sight]":
    """A person hears of their desks, a superuser of all; a key of what its owner asked, where it may be used."""
    seeing_all = {one.principal for one in callers if one.person.is_superuser and one.principal.is_person}
    rows = connections_for_each({one.principal for one in callers} - seeing_all)
    everything = list(all_connections()) if seeing_all else []
    return {one.credential: _sight(one, rows.get(one.principal, everything)) for one in callers}


def _sight(caller: "Caller", connections: "Sequence[Connection]") -> Sight:
    return Sight(
        names=tuple(sorted((row.slug, row.name) for row in connections)),
        alarms=caller.principal.is_person and caller.person.is_staff,
        proposer=None if caller.principal.is_person else caller.principal.user_id,
    )


class Log:
    """The audit log, read on from its end. One thread at a time."""

    def __init__(self, at: float) -> None:
        self.place = Place.at_end(newest_ids(LOOK_BACK), at)

    def read(self, at: float) -> list[News]:
        """What can be seen since the last time, in order of ids; late commits too."""
        events = happened(after=self.place.last, missed=tuple(self.place.missed))
        self.place.take((event.id for event in events), at)
        return news_of(events)


def news_of(events: Sequence[Happened]) -> list[News]:
    """Events as a desk hears them, with the state of each thing as it is now."""
    told = [(event, about) for event in events if (about := told_of(event)) is not None]
    if not told:
        return []
    ids: dict[str, set[UUID]] = {"proposal": set(), "order": set(), "fill": set(), "difference": set()}
    for _, about in told:
        if about.subject in ids:
            ids[about.subject].add(UUID(about.subject_id))
    places = moved.places(proposals=ids["proposal"], orders=ids["order"] | ids["fill"], differences=ids["difference"])
    slugs = {row.pk: row.slug for row in all_connections()}
    return [_news(event, about, places, slugs) for event, about in told]


def _news(event: Happened, about: Told, places: dict[UUID, moved.Place], slugs: dict[UUID, str]) -> News:
    place = places.get(UUID(about.subject_id)) if about.subject in ("proposal", "order", "fill", "difference") else None
    connection, state = "", event.kind.rpartition(".")[2].upper()
    if place is not None:
        connection, state = slugs[place.connection_id], place.state
    elif about.subject in ("connection", "trading-state"):
        connection = _slug(about.subject_id, slugs)
    if about.subject == "trading-state":
        state = trading_state(None if about.subject_id == GLOBAL else UUID(about.subject_id))
    proposer = place.proposer_id if place is not None else None
    return News(
        id=event.id,
        at=event.recorded_at,
        kind=event.kind,
        told=about,
        state=state,
        connection=connection,
        proposer=proposer,
    )


def _slug(named: str, slugs: dict[UUID, str]) -> str:
    """The short name of a connection that an event names by id or by short name; empty for everything."""
    if named == GLOBAL:
        return ""
    return next((slug for pk, slug in slugs.items() if named in (str(pk), slug)), named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How everything stands at `now`, before it is cut to what one caller may see."""

    now: datetime
    everything: str
    states: dict[str, str]
    alarms: int
    waiting: dict[tuple[str, UUID], int]
    feeds: list[dict[str, Any]]

    def text_for(self, sight: Sight) -> str:
        """The heartbeat of this caller."""
        mine = sight.connections
        waiting = sum(
            count
            for (slug, proposer), count in self.waiting.items()
            if slug in mine and sight.proposer in (None, proposer)
        )
        heartbeat = {
            "type": "heartbeat",
            "at": instant_text(self.now),
            "trading_state": self._trading_state(sight),
            "alarms": self.alarms if sight.alarms else None,
            "waiting": waiting,
            "feeds": feeds_for(mine, self.feeds),
        }
        return json.dumps(heartbeat, separators=(",", ":"))

    def _trading_state(self, sight: Sight) -> dict[str, Any]:
        """As the bar of every page says it: the mildest state, and which connections are in a worse one."""
        states = {slug: self.states[slug] for slug, _ in sight.names if slug in self.states}
        mildest = min(states.values(), key=_severity, default=self.everything)
        worse = [f"{name} {states[slug]}" for slug, name in sight.names if slug in states and states[slug] != mildest]
        return {
            "code": mildest,
            "words": ", ".join([mildest, *worse]),
            "everything": self.everything,
            "connections": [{"connection": slug, "code": state} for slug, state in sorted(states.items())],
        }


def standing(now: datetime) -> Standing:
    """Read it: five queries and the cache, however many listen."""
    connections = {row.pk: row.slug for row in all_connections()}
    states = states_in_force(connections)
    return Standing(
        now=now,
        everything=trading_state(None),
        states={slug: states[pk] for pk, slug in connections.items()},
        alarms=alarm_summary().open,
        waiting={
            (connections[pk], who): count for (pk, who), count in moved.waiting_counts(now).items() if pk in connections
        },
        feeds=feed_records(now=now),
    )


def _severity(state: str) -> int:
    return _SEVERITY.get(state, 2)
