"""The pages of the trading state, ready to be written out: what holds, since when, by whom, what it does to orders."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from apps.accounts.selectors import open_requests
from apps.connectors.selectors import all_connections
from apps.policies.selectors import gate_findings, open_latches, trading_state, trading_states
from apps.policies.services.latches import RESET_KIND
from apps.policies.services.trading_state import RESUME_KIND
from apps.policies.types import LatchKind
from apps.trades.selectors import halting
from apps.trades.selectors.clearing import clearing_of
from apps.trades.selectors.halting import Progress

if TYPE_CHECKING:
    from apps.accounts.models import SecondPersonRequest, User
    from apps.connectors.models import Connection
    from apps.policies.models import Latch, TradingState
    from apps.policies.rules import Standing

GLOBAL = "global"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request to loosen that stands: who asked, whether it waits for this person, or is seconded already."""

    by: str
    until: datetime
    is_own: bool
    is_seconded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tripped:
    """A latch of the scope: what it is, what it went by, what two people should look at before they reset it."""

    latch: "Latch"
    sentence: str
    loosening: str
    asked: Asked | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopePanel:
    """Everything, or one connection. `state` is the worst in force; `own` the row of this scope alone. `clearing` says
    how far canceling has come where it is halted."""

    scope: str
    name: str
    environment: str
    state: str
    own: "TradingState | None"
    findings: "tuple[Standing, ...]"
    orders: Progress
    asked: Asked | None
    latches: "tuple[Tripped, ...]"
    clearing: str = ""

    @property
    def is_shut(self) -> bool:
        """Whether this scope itself may be loosened."""
        return self.own is not None and self.own.state != "ACTIVE"

    @property
    def can_reduce(self) -> bool:
        """Whether reducing would change this scope's own state."""
        return self._own_state == "ACTIVE"

    @property
    def can_halt(self) -> bool:
        """Whether halting would."""
        return self._own_state != "HALTED"

    @property
    def _own_state(self) -> str:
        # Without its row everything is halted; a connection without one was never tightened by itself.
        absent = "HALTED" if self.scope == GLOBAL else "ACTIVE"
        return self.own.state if self.own else absent


def panels(viewer: "User", *, now: datetime) -> tuple[ScopePanel, ...]:
    """Everything first, then each connection."""
    latches = _tripped(viewer, now)
    rows = {row.scope: row for row in trading_states()}
    asked = {request.subject: _asked(request, viewer) for request in open_requests(RESUME_KIND, now)}
    connections = list(all_connections())
    progress = halting.progress(since=_since(rows.values(), now))
    cleared = clearing_of(GLOBAL)
    sentences = {row.slug: row.sentence for row in cleared.connections}
    everything = ScopePanel(
        scope=GLOBAL,
        name="Everything",
        environment="",
        state=trading_state(None),
        own=rows.get(GLOBAL),
        findings=(),
        orders=Progress(*(sum(counts) for counts in zip(*map(_counts, progress.values()), strict=True)))
        if progress
        else halting.NOTHING,
        asked=asked.get(f"trading_state:{GLOBAL}"),
        latches=tuple(latches.get(GLOBAL, ())),
        clearing=cleared.sentence if cleared.connections else "",
    )
    found = (
        _panel(row, rows, asked, progress.get(row.pk, halting.NOTHING), latches.get(str(row.pk), []))
        for row in connections
    )
    shown = zip(connections, found, strict=True)
    return everything, *(replace(panel, clearing=sentences.get(row.slug, "")) for row, panel in shown)


def _panel(
    connection: "Connection",
    rows: "dict[str, TradingState]",
    asked: dict[str, Asked],
    orders: Progress,
    latches: list[Tripped],
) -> ScopePanel:
    scope = str(connection.pk)
    return ScopePanel(
        scope=scope,
        name=connection.name,
        environment=connection.environment,
        state=trading_state(connection.pk),
        own=rows.get(scope),
        findings=gate_findings(connection),
        orders=orders,
        asked=asked.get(f"trading_state:{scope}"),
        latches=tuple(latches),
    )


def _tripped(viewer: "User", now: datetime) -> dict[str, list[Tripped]]:
    """What has tripped, by scope."""
    asked = {request.subject: _asked(request, viewer) for request in open_requests(RESET_KIND, now)}
    found: dict[str, list[Tripped]] = {}
    for latch in open_latches():
        kind, request = LatchKind(latch.kind), asked.get(f"latch:{latch.pk}")
        tripped = Tripped(latch=latch, sentence=kind.sentence, loosening=kind.loosening, asked=request)
        found.setdefault(latch.scope, []).append(tripped)
    return found


def _counts(progress: Progress) -> tuple[int, int, int]:
    return progress.working, progress.in_flight, progress.canceled


def _since(rows: "Iterable[TradingState]", now: datetime) -> datetime:
    """When the oldest tightening that still holds began."""
    return min((row.changed_at for row in rows if row.state != "ACTIVE"), default=now)


def _asked(request: "SecondPersonRequest", viewer: "User") -> Asked:
    return Asked(
        by=request.requester.shown_name,
        until=request.expires_at,
        is_own=request.requester_id == viewer.pk,
        is_seconded=request.seconder_id is not None,
    )
