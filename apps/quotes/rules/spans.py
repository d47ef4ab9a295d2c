"""Spans of time, from an instant up to but without another: what is known of a market, and what is to be asked."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Span = tuple[datetime, datetime]


def floor(at: datetime, seconds: int) -> datetime:
    """Where the interval of this length that `at` falls into begins. Intervals are counted from 1970, UTC."""
    step = timedelta(seconds=seconds)
    return EPOCH + (at - EPOCH) // step * step


def ceil(at: datetime, seconds: int) -> datetime:
    """The first instant from `at` on at which an interval of this length begins."""
    found = floor(at, seconds)
    return found if found == at else found + timedelta(seconds=seconds)


def union(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as it takes, in order. Spans without length are nothing."""
    found: list[Span] = []
    for since, until in sorted(span for span in spans if span[0] < span[1]):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((since, until))
    return found


def missing(wanted: Span, known: Iterable[Span]) -> list[Span]:
    """What of `wanted` no span of `known` covers, in order."""
    found, at = [], wanted[0]
    for since, until in union(known):
        if since >= wanted[1]:
            break
        if since > at:
            found.append((at, since))
        at = max(at, until)
    if at < wanted[1]:
        found.append((at, wanted[1]))
    return found


def covers(known: Sequence[Span], wanted: Span) -> bool:
    """Whether one span of a union holds all of `wanted`."""
    return any(since <= wanted[0] and wanted[1] <= until for since, until in known)


def pages(spans: Iterable[Span], page: timedelta) -> Iterator[Span]:
    """Spans cut at the multiples of `page`, so that a second run cuts at the same places. Oldest first."""
    seconds = int(page.total_seconds())
    for since, until in spans:
        at = since
        while at < until:
            end = min(floor(at, seconds) + page, until)
            yield at, end
            at = end


def length(spans: Iterable[Span]) -> timedelta:
    """All of them one after the other."""
    return sum((until - since for since, until in spans), timedelta())
