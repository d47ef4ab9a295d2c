"""How the work flows, in Prometheus's words: proposals, how long things take, what waits, what is used.

Counts of rows come from the database; times and sockets from `apps.common.tallies`, where all processes count together.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from apps.common import tallies
from apps.connectors.selectors import active_connections
from apps.dashboard.services.parts import queue_depths
from apps.lessons.selectors.index import index_lag
from apps.policies.selectors import budget_use
from apps.trades.selectors import figures


class WorkCollector(Collector):
    """Every figure as of `now`."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """All families, in a fixed number of queries."""
        yield _counts("aika_proposals", "Proposals by state.", "state", figures.proposals_by_state())
        yield from map(_histogram, tallies.SPANS)
        yield self._budgets()
        yield _counts("aika_queue_messages", "Messages nobody has taken yet.", "queue", queue_depths())
        yield from self._index()
        open_now = tallies.held("sockets", at_s=int(self._now.timestamp()))
        yield GaugeMetricFamily("aika_sockets_open", "WebSockets that are open, in all processes.", value=open_now)

    def _budgets(self) -> Metric:
        slugs = dict(active_connections().values_list("pk", "slug"))
        family = GaugeMetricFamily(
            "aika_budget_use_ratio",
            "Share of a limit that is used or reserved; of several instruments the fullest.",
            labels=("connection", "dimension"),
        )
        for (connection_id, dimension), share in sorted(
            budget_use(slugs, self._now).items(), key=lambda item: (slugs[item[0][0]], item[0][1])
        ):
            family.add_metric([slugs[connection_id], dimension], round(share, 4))  # type: ignore[arg-type]
        return family

    def _index(self) -> Iterator[Metric]:
        lag = index_lag(self._now)
        yield _counts(
            "aika_index_texts", "Texts the vector index lacks, by why.", "state",
            {"waiting": lag.pending, "given_up": lag.failed},
        )  # fmt: skip
        yield GaugeMetricFamily(
            "aika_index_lag_seconds", "For how long the oldest text waits for the vector index.", value=lag.oldest_age_s
        )


def _counts(name: str, about: str, label: str, counts: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family


def _histogram(span: tallies.Span) -> Metric:
    family = HistogramMetricFamily(span.name, span.about, labels=span.labels)
    bounds = [f"{(Decimal(bound) / 1000).normalize():f}" for bound in span.bounds_ms] + ["+Inf"]
    for counted in tallies.times(span):
        so_far, buckets = 0, []
        for bound, count in zip(bounds, counted.buckets, strict=True):
            so_far += count
            buckets.append((bound, so_far))
        family.add_metric(counted.labels, buckets, sum_value=Decimal(counted.sum_us) / 1_000_000)  # type: ignore[arg-type]
    return family
