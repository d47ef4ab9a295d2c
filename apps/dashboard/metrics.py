"""What a monitoring system may know, in Prometheus's words: read from the database when it asks.

Nothing is counted in one process alone: with several every scrape would meet another count. There are no names of
people, no amounts and no secrets; a connection is called by its slug.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apps.audit import selectors as audit
from apps.audit.services import pulses
from apps.common.alarm_kinds import ALARM_KINDS
from apps.common.words import seconds_between
from apps.connectors.selectors import all_connections
from apps.connectors.services import clocks
from apps.dashboard.work_metrics import WorkCollector
from apps.policies.selectors import states_in_force
from apps.policies.types import State
from apps.quotes.selectors.feed import feed_states_of
from apps.quotes.services import quotes
from apps.quotes.types import FeedState, FeedWord
from apps.trades.selectors import figures

if TYPE_CHECKING:
    from apps.connectors.models import Connection

INSTRUMENTS_MAX: Final = 20
_PARTS: Final = (pulses.SWEEP, pulses.BEAT, pulses.worker("default"), pulses.worker("execution"))


class DeskCollector(Collector):
    """Every figure as of `now`. A time that is not known has no sample: it is never zero."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """All families, in a fixed number of queries."""
        rows = list(all_connections())
        yield from self._alarms()
        yield from self._trades(rows)
        yield from self._connections(rows)
        yield from self._audit()

    def _age(self, instant: datetime) -> Decimal:
        return max(seconds_between(instant, self._now), Decimal(0))

    def _age_of(self, name: str, about: str, instant: datetime | None) -> Metric:
        return _unlabelled(name, about, *(() if instant is None else (_number(self._age(instant)),)))

    def _ages(self, name: str, about: str, label: str, items: Iterable[tuple[str, datetime | None]]) -> Metric:
        family = _gauge(name, about, label)
        for value, instant in items:
            if instant is not None:
                family.add_metric([value], _number(self._age(instant)))
        return family

    def _alarms(self) -> Iterator[Metric]:
        counts = audit.alarm_counts()
        family = _gauge("aika_alarms_open", "Open alarms by code.", "code", "acknowledged")
        for code in sorted({*ALARM_KINDS, *(code for code, _ in counts)}):
            for seen in (False, True):
                family.add_metric([code, str(seen).lower()], counts.get((code, seen), 0))
        yield family
        owed = _gauge("aika_alarm_notices_owed", "Tellings of alarms that have not got out, by channel.", "channel")
        for channel, count in audit.notices_owed().items():
            owed.add_metric([channel.lower()], count)
        yield owed

    def _trades(self, rows: list["Connection"]) -> Iterator[Metric]:
        found = figures.figures(self._now)
        orders = _gauge("aika_orders", "Orders that bind money, by state.", "state")
        for state, count in found.orders.items():
            orders.add_metric([state], count)
        yield orders
        yield self._age_of(
            "aika_orders_unknown_oldest_age_seconds",
            "Since the oldest order of unknown fate may have been sent.",
            found.unknown_since,
        )
        yield _unlabelled("aika_proposals_waiting", "Proposals that wait for people.", found.waiting)
        owing = _gauge(
            "aika_outbox", "Orders that a message should have set in motion by now, by what is owed.", "owed"
        )
        for kind, count in sorted(found.owing.items()):
            owing.add_metric([kind], count)
        yield owing
        yield _unlabelled("aika_differences_open", "Differences with a venue nobody has explained.", found.differences)
        yield _unlabelled(
            "aika_halts_to_clear", "Halted connections whose orders are still canceled.", found.halts_to_clear
        )
        yield self._ages(
            "aika_reconciliation_age_seconds",
            "Since a connection was last compared with its venue completely.",
            "connection",
            ((row.slug, found.compared_at.get(row.pk)) for row in rows if row.is_active),
        )

    def _connections(self, rows: list["Connection"]) -> Iterator[Metric]:
        active = [row for row in rows if row.is_active]
        states, known = states_in_force(row.pk for row in active), audit.pulses()
        family = _gauge(
            "aika_trading_state", "1 for the state in force on a connection.", "connection", "environment", "state"
        )
        for row in active:
            in_force = states[row.pk]
            for state in State:
                family.add_metric([row.slug, str(row.environment), state.value], int(state.value == in_force))
        yield family
        named = {"prices": pulses.prices, "orders": pulses.user_channel}
        for channel, name in named.items():
            yield self._ages(
                f"aika_{channel}_channel_age_seconds",
                f"Since the {'feed' if channel == 'prices' else 'user channel'} of a connection was alive.",
                "connection",
                ((row.slug, known.get(name(row.pk))) for row in active),
            )
        yield self._ages(
            "aika_part_age_seconds", "Since a part of Aika showed that it lives.", "part",
            ((part, known.get(part)) for part in _PARTS),
        )  # fmt: skip
        yield _clocks(active)
        yield from self._quotes(active)
        yield from self._feeds(feed_states_of(active, now=self._now))

    def _feeds(self, states: list[FeedState]) -> Iterator[Metric]:
        """A market is called by where it is: venue and address."""
        word = _gauge("aika_feed_state", "1 for the state of a market's live feed.", "market", "state")
        for state in states:
            for one in FeedWord:
                word.add_metric([state.market, one.value], int(one is state.state))
        yield word
        figures_of = {
            "aika_feed_lag_milliseconds": ("After its time by the venue's clock the newest price came.", "lag_ms"),
            "aika_feed_gaps": ("Gaps in the numbers of messages since the feed's holder began.", "gaps"),
            "aika_feed_reconnects": ("Losses of a socket since the feed's holder began.", "reconnects"),
            "aika_feed_messages_per_second": ("Messages heard in the last second.", "messages_per_s"),
        }
        for name, (about, field) in figures_of.items():
            family = _gauge(name, about, "market")
            for state in states:
                if (value := getattr(state, field)) is not None:
                    family.add_metric([state.market], value)
            yield family
        yield self._ages(
            "aika_feed_heard_age_seconds", "Since anything was heard of a market.", "market",
            ((state.market, state.heard_at) for state in states),
        )  # fmt: skip
        told = _gauge("aika_feed_instruments", "Instruments whose prices a feed has told.", "market")
        oldest = _gauge(
            "aika_feed_instrument_age_seconds",
            f"Since a price of an instrument was told, of the {INSTRUMENTS_MAX} told longest ago.",
            "market",
            "instrument",
        )
        for state in states:
            told.add_metric([state.market], len(state.instruments))
            for code, at in sorted(state.instruments.items(), key=lambda item: item[1])[:INSTRUMENTS_MAX]:
                oldest.add_metric([state.market, code], _number(self._age(at)))
        yield told
        yield oldest

    def _quotes(self, active: list["Connection"]) -> Iterator[Metric]:
        needed = figures.needed_prices()
        heard = quotes.latest_of_all({row.pk: needed.get(row.pk, set()) for row in active})
        missing = _gauge(
            "aika_quotes_missing", "Instruments that something waits for and no price is known of.", "connection"
        )
        for row in active:
            missing.add_metric([row.slug], len(needed.get(row.pk, set())) - len(heard.get(row.pk, {})))
        yield missing
        yield self._ages(
            "aika_quote_age_seconds",
            "Age of the oldest price that something waits for.",
            "connection",
            (
                (row.slug, min((quote.received_at for quote in heard.get(row.pk, {}).values()), default=None))
                for row in active
            ),
        )

    def _audit(self) -> Iterator[Metric]:
        head = audit.head()
        yield _unlabelled("aika_audit_head", "Id of the newest event of the audit log.", head.event_id)
        yield _unlabelled("aika_audit_sealed", "Events that checkpoints cover.", head.sealed)
        yield self._age_of("aika_audit_checkpoint_age_seconds", "Since the newest checkpoint.", head.checkpoint_at)


def registry(now: datetime) -> CollectorRegistry:
    """One for this scrape, with the figures of `now`."""
    made = CollectorRegistry(auto_describe=False)
    made.register(DeskCollector(now))
    made.register(WorkCollector(now))
    return made


def _clocks(active: list["Connection"]) -> Metric:
    family = _gauge(
        "aika_venue_clock_ahead_milliseconds",
        "How far a venue's clock is ahead of ours (negative: behind), as measured within two minutes.",
        "connection",
    )
    for row in active:
        if (ahead := clocks.ahead_s(row)) is not None:
            family.add_metric([row.slug], int(ahead * 1000))
    return family


def _gauge(name: str, about: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, labels=labels)


def _unlabelled(name: str, about: str, *values: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=[])
    for value in values:
        family.add_metric([], value)
    return family


def _number(age: Decimal) -> int:
    """Whole seconds: a monitoring system needs no more, and no binary fraction is made here."""
    return int(age)
