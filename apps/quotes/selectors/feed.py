"""How the live feeds do, as their holders last said in the cache."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.core.cache import cache

from apps.common.decimals import instant_text
from apps.connectors.selectors import active_connections, market_of, tradable_codes
from apps.connectors.services.streams import has_market_socket
from apps.quotes.rules.feed import FeedSigns, detail_of, word_of
from apps.quotes.types import FeedState, FeedWord, Told

if TYPE_CHECKING:
    from apps.connectors.models import Connection

SIGNS_KEPT_S: Final = 3600
TOLD_MAX: Final = 1000
"""How many instruments are told of at once: as many as a feed is measured with."""


def signs_key(market: str) -> str:
    """Under which a market's signs are kept."""
    return f"feed:{market}"


def feed_states(*, now: datetime) -> list[FeedState]:
    """One per market of active connections that can be listened to, by name."""
    return feed_states_of(active_connections(), now=now)


def feed_states_of(connections: "Iterable[Connection]", *, now: datetime) -> list[FeedState]:
    """As `feed_states`, of connections that are at hand: it asks the cache only."""
    slugs: dict[str, list[str]] = {}
    for row in connections:
        if row.is_active and has_market_socket(row):
            slugs.setdefault(market_of(row), []).append(row.slug)
    said: dict[str, FeedSigns] = cache.get_many([signs_key(market) for market in slugs])
    return [_state(market, tuple(sorted(slugs[market])), said.get(signs_key(market)), now) for market in sorted(slugs)]


def _state(market: str, slugs: tuple[str, ...], signs: FeedSigns | None, now: datetime) -> FeedState:
    if signs is None:
        return FeedState(
            market=market,
            connections=slugs,
            state=FeedWord.DOWN,
            since=None,
            heard_at=None,
            lag_ms=None,
            gaps=0,
            reconnects=0,
            messages_per_s=0,
            detail="Nobody follows it: start stream_quotes.",
        )
    word = word_of(signs, now)
    since = signs.since if word is signs.word else signs.said_at
    return FeedState(
        market=market,
        connections=slugs,
        state=word,
        since=since,
        heard_at=signs.heard_at,
        lag_ms=signs.lag_ms,
        gaps=signs.gaps,
        reconnects=signs.reconnects,
        messages_per_s=signs.messages_per_s if word is not FeedWord.DOWN else 0,
        detail=detail_of(signs, word, now),
        instruments=signs.instruments,
    )


def feed_of(connection: "Connection", *, now: datetime) -> FeedState | None:
    """The feed of this connection's market; None where it is not listened to."""
    return next(iter(feed_states_of([connection], now=now)), None)


def told_of(connection: "Connection", state: FeedState | None) -> list[Told]:
    """Each instrument that can be traded on this connection and when its feed last brought a price, the one of longest
    ago first; in the end those of which none has come yet. An alias is told under the name of the book it shares.

    One question, about the instruments: when each was told is what the feed's holder keeps in the cache.
    """
    heard = {} if state is None else state.instruments
    codes = tradable_codes([connection.pk])
    told = sorted((Told(code, heard[code]) for code in codes & heard.keys()), key=lambda one: (one.heard_at, one))
    return [*told, *(Told(code, None) for code in sorted(codes - heard.keys()))]


def told_record(told: Told, now: datetime) -> dict[str, Any]:
    """An instrument's last message as plain JSON."""
    return {
        "instrument": told.instrument,
        "heard_at": None if told.heard_at is None else instant_text(told.heard_at),
        "age_ms": _age_ms(told.heard_at, now),
    }


def feed_record(state: FeedState, now: datetime) -> dict[str, Any]:
    """A feed's state as plain JSON; of its instruments how many there are, and which was told longest ago."""
    oldest = min(state.instruments.items(), key=lambda item: item[1], default=None)
    return {
        "market": state.market,
        "connections": list(state.connections),
        "state": state.state.value,
        "since": None if state.since is None else instant_text(state.since),
        "heard_at": None if state.heard_at is None else instant_text(state.heard_at),
        "heard_age_ms": _age_ms(state.heard_at, now),
        "lag_ms": state.lag_ms,
        "gaps": state.gaps,
        "reconnects": state.reconnects,
        "messages_per_s": state.messages_per_s,
        "detail": state.detail,
        "instruments": len(state.instruments),
        "oldest": None
        if oldest is None
        else {"instrument": oldest[0], "heard_at": instant_text(oldest[1]), "age_ms": _age_ms(oldest[1], now)},
    }


def _age_ms(instant: datetime | None, now: datetime) -> int | None:
    return None if instant is None else max(int((now - instant).total_seconds() * 1000), 0)
