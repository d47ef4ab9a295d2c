"""What a feed's signs mean: one word, and a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from apps.common.words import span
from apps.quotes.types import QUOTE_AGE_S_MAX, FeedWord

SAID_WITHIN: Final = timedelta(seconds=5)
"""The holder says how it does every second; after so long without a word nobody is known to follow the market."""
CONNECTING_MAX: Final = timedelta(seconds=QUOTE_AGE_S_MAX)
"""A market that is not told for so long is down: by then its prices are stale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSigns:
    """How a feed does, as its holder said at `said_at`. `word` is so `since` then.

    `late` is True while prices come, and all of them too late by the venue's clock to be taken.
    """

    holder: str
    said_at: datetime
    word: FeedWord = FeedWord.CONNECTING
    since: datetime
    sockets: int = 0
    live: int = 0
    whole_at: datetime
    """When every socket last was live; when the holder began, before that."""
    heard_at: datetime | None = None
    priced_at: datetime | None = None
    late: bool = False
    lag_ms: int | None = None
    gaps: int = 0
    reconnects: int = 0
    messages: int = 0
    messages_per_s: int = 0
    last_loss: str = ""
    instruments: Mapping[str, datetime] = field(default_factory=dict)


def word_of(signs: FeedSigns, now: datetime) -> FeedWord:
    """The word for these signs, as of `now`."""
    if now - signs.said_at > SAID_WITHIN:
        return FeedWord.DOWN
    if signs.live < signs.sockets or not signs.sockets:
        return FeedWord.CONNECTING if now - signs.whole_at <= CONNECTING_MAX else FeedWord.DOWN
    if signs.priced_at is None or now - signs.priced_at > timedelta(seconds=QUOTE_AGE_S_MAX):
        return FeedWord.STALE
    return FeedWord.LIVE


def detail_of(signs: FeedSigns, word: FeedWord, now: datetime) -> str:
    """Why it is so, in a sentence."""
    if now - signs.said_at > SAID_WITHIN:
        return f"Nobody has followed it for {_ago(signs.said_at, now)}."
    if word is FeedWord.STALE:
        if signs.late and signs.lag_ms is not None:
            return f"Prices come {span(signs.lag_ms // 1000)} late by the venue's clock, and are not taken."
        when = "No price has come yet" if signs.priced_at is None else f"No price for {_ago(signs.priced_at, now)}"
        return f"{when}, though the line lives."
    if word is FeedWord.LIVE:
        return f"{len(signs.instruments)} instruments over {signs.sockets} sockets."
    if not signs.sockets:
        return "It has no instrument that can be traded."
    why = f" ({signs.last_loss})" if signs.last_loss else ""
    return f"{signs.live} of {signs.sockets} sockets are live{why}."


def _ago(instant: datetime, now: datetime) -> str:
    return span(max(int((now - instant).total_seconds()), 0))
