"""Reads: the rules in force, the trading state, what would be denied right now and why."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db.models import Count, F, Max, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Coalesce

from apps.accounts.types import Principal
from apps.common.errors import Misconfigured
from apps.common.statements import Figure, Param, Question, Select
from apps.connectors.selectors import connections_for, instruments_of
from apps.connectors.services.bearers import problem_of
from apps.policies.models import GLOBAL_SCOPE, Budget, Decision, Latch, PolicyVersion, ReservedAmount, TradingState
from apps.policies.rules import Standing, rules_digest, standing_denials
from apps.policies.rules.budgets import Dimension, window_of
from apps.policies.types import LatchKind, ReasonCode, RuleRow, State, VersionRules, VersionState

if TYPE_CHECKING:
    from apps.connectors.models import Connection

_SEVERITY = {State.ACTIVE: 0, State.REDUCING: 1, State.HALTED: 2}
_VERSIONS_KEPT_MAX = 64
# Latches that a rule of their own goes by, besides the trading state they bring about.
_DENYING_LATCHES = {
    LatchKind.DAILY_LOSS: ReasonCode.DAILY_LOSS_LATCHED,
    LatchKind.DRAWDOWN: ReasonCode.DRAWDOWN_LATCHED,
}

_STATES: Final[Select[tuple[str, str]]] = Select(
    lambda connection: TradingState.objects.filter(Q(scope=GLOBAL_SCOPE) | Q(connection=connection)).values_list(
        "scope", "state"
    ),
    lambda scope, state: (scope, state),
    connection=UUID,
)
_TRIPPED: Final[Figure[int]] = Figure(
    lambda connection, kind: (
        Latch.objects.filter(connection=connection, kind=kind, reset_at=None)
        .order_by()
        .annotate(all=Value(1))
        .values("all")
        .annotate(found=Count("pk"))
        .values_list("found")
    ),
    lambda found: found,
    connection=UUID,
    kind=str,
)
# Versions in force, the one activated last at the end.
_IN_FORCE: Final[Select[UUID]] = Select(
    lambda connection: _in_force(policy_set__desk__connections=connection), lambda version: version, connection=UUID
)
_IN_FORCE_AT: Final[Select[UUID]] = Select(
    lambda slug: _in_force(policy_set__desk__connections__slug=slug), lambda version: version, slug=str
)


def _in_use_of(dimension: Dimension, *, but: bool) -> Figure[int | None]:
    """What is in use of the one budget of this dimension, without what a source holds of it where `but`."""

    def rows(connection: UUID, unit: str, without: str = "", **own: str) -> "QuerySet[Any, Any]":
        scope = {"instrument": "", "window": ""} | own
        found = Budget.objects.filter(connection_id=connection, dimension=dimension.value, unit=unit, **scope)
        bound: CombinedExpression = F("reserved_minor") + F("used_minor")
        if but:
            held = ReservedAmount.objects.filter(budget=OuterRef("pk"), reservation__source=without)
            bound = bound - Coalesce(Subquery(held.order_by().values("held_minor")), 0)
        return found.order_by().annotate(bound=bound).values_list("bound")

    params: dict[str, type[Param]] = {"connection": UUID, "unit": str}
    if dimension.is_of_an_instrument:
        params["instrument"] = str
    if not dimension.is_level:
        params["window"] = str
    return Figure(rows, lambda value: value, **params, **({"without": str} if but else {}))


_IN_USE: Final = {dimension: _in_use_of(dimension, but=False) for dimension in Dimension}
_IN_USE_BUT: Final = {dimension: _in_use_of(dimension, but=True) for dimension in Dimension}

# What left draft never changes, so an id names the same rules for ever: the database's guards hold that.
_kept: dict[tuple[UUID, ...], VersionRules] = {}


def active_version(connection_id: UUID) -> VersionRules | None:
    """The rules that judge this connection: those of every set of its desk, joined. None where no version is active.

    One query once the version is known to the process. Its id is that of the version activated last, so that it changes
    whenever any of the rules do. Raises Misconfigured POLICY_DIGEST_MISMATCH where the rows are not what was activated.
    """
    return version_of(active_question(connection_id).answer)


def active_question(connection_id: UUID) -> Question[UUID]:
    """The ids of the versions that judge this connection: see `version_of`. Asked of the database each time, so that
    an activation counts at once in every process."""
    return _IN_FORCE(connection=connection_id)


def active_at(slug: str) -> Question[UUID]:
    """The same for the connection of that name."""
    return _IN_FORCE_AT(slug=slug)


def version_of(version_ids: Iterable[UUID]) -> VersionRules | None:
    """The rules of these versions, joined, from memory where the process has met them; see `active_version`."""
    ids = tuple(version_ids)
    if not ids:
        return None
    found = _kept.get(ids)
    if found is None:
        found = _joined([rules_of(version) for version in _versions(ids)])
        if len(_kept) >= _VERSIONS_KEPT_MAX:
            _kept.clear()
        _kept[ids] = found
    return found


def rules_of(version: PolicyVersion) -> VersionRules:
    """The rules of one version, of any state; its digest is that of the rows as they are.

    Raises Misconfigured POLICY_DIGEST_MISMATCH where that is not the digest it left draft with.
    """
    rows = tuple(rule.as_row() for rule in version.rules.all())
    digest = rules_digest(set_slug=version.policy_set.slug, number=version.number, rules=rows)
    if version.state != VersionState.DRAFT and digest != version.digest:
        raise Misconfigured(
            "POLICY_DIGEST_MISMATCH",
            f"The rules of {version} are not those that were activated.",
            fix="Run manage.py audit_verify, and activate a new version.",
            version=str(version.pk),
        )
    return VersionRules(str(version.pk), version.policy_set.slug, version.number, digest, rows)


def active_versions_for(principal: Principal) -> QuerySet[PolicyVersion]:
    """The versions that judge the connections of this caller, with their rules: two queries, however many there are."""
    desks = connections_for(principal).order_by().values("desk_id")
    found = PolicyVersion.objects.filter(state=VersionState.ACTIVE.value, policy_set__desk__in=desks)
    return found.select_related("policy_set__desk").prefetch_related("rules").order_by("policy_set__slug")


def trading_states_question(connection_id: UUID) -> Question[tuple[str, str]]:
    """Scope and state of everything, and of the connection where it was ever halted by itself: see `worst_state`."""
    return _STATES(connection=connection_id)


def worst_state(states: Iterable[tuple[str, str]]) -> str:
    """ACTIVE, REDUCING or HALTED: the worst of the state of everything and of the connection's own.

    A connection without a row of its own was never halted by itself. Without the row for everything, all is halted.
    """
    rows = dict(states)
    if GLOBAL_SCOPE not in rows:
        return State.HALTED.value
    return max((State(state) for state in rows.values()), key=_SEVERITY.__getitem__).value


def trading_state(connection_id: UUID | None) -> str:
    """The worst state in force on a connection, or of everything where none is named: see `worst_state`."""
    if connection_id is not None:
        return worst_state(trading_states_question(connection_id).answer)
    return worst_state(TradingState.objects.filter(scope=GLOBAL_SCOPE).values_list("scope", "state"))


def states_in_force(connection_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The worst state in force on each of these connections, in one query: see `worst_state`."""
    rows = dict(TradingState.objects.values_list("scope", "state"))

    def on(scope: str) -> list[tuple[str, str]]:
        return [(key, rows[key]) for key in (GLOBAL_SCOPE, scope) if key in rows]

    return {connection_id: worst_state(on(str(connection_id))) for connection_id in connection_ids}


def halted_since(connection_id: UUID) -> tuple[datetime, str] | None:
    """When the newest halt that holds on a connection was made, and why; None where it is not halted by anybody."""
    rows = TradingState.objects.filter(Q(scope=GLOBAL_SCOPE) | Q(connection=connection_id), state=State.HALTED.value)
    row = rows.order_by("-changed_at").first()
    return (row.changed_at, row.reason) if row is not None else None


def trading_states() -> QuerySet[TradingState]:
    """Every row, the one for everything first."""
    return TradingState.objects.select_related("connection").order_by("connection__name")


def open_latches() -> QuerySet[Latch]:
    """Every latch that has tripped and nobody has reset, the oldest first."""
    return Latch.objects.filter(reset_at=None).select_related("connection").order_by("tripped_at")


def latches_on(connection_id: UUID) -> QuerySet[Latch]:
    """Those of them that shut this connection: its own, and those of everything."""
    return open_latches().filter(Q(connection=connection_id) | Q(scope=GLOBAL_SCOPE))


def tripped_question(connection_id: UUID, kind: LatchKind) -> Question[int]:
    """How many latches of a kind are tripped on this connection by itself: one or none."""
    return _TRIPPED(connection=connection_id, kind=kind.value)


def is_tripped(connection_id: UUID | None, kind: LatchKind) -> bool:
    """Whether a latch of this kind is open on a connection by itself, or (None) on everything."""
    return open_latches().filter(connection=connection_id, kind=kind).exists()


def last_reset(connection_id: UUID | None, kind: LatchKind) -> datetime | None:
    """When two people last reset a latch of this kind on a connection, or (None) on everything; None: never."""
    rows = Latch.objects.filter(connection=connection_id, kind=kind, reset_at__isnull=False)
    last: datetime | None = rows.aggregate(last=Max("reset_at"))["last"]
    return last


def gate_findings(connection: "Connection") -> tuple[Standing, ...]:
    """What would be denied on this connection now whatever the facts are: empty where an ordinary ask may pass."""
    found: list[Standing] = []
    if not connection.places_orders:
        found.append(Standing(ReasonCode.VENUE_READ_ONLY, connection.trading_words, "Trade on another connection."))
    if not connection.is_active:
        found.append(Standing("CONNECTION_INACTIVE", f"{connection.name} is switched off.", "Switch it on."))
    if connection.authorisation is not None and (problem := problem_of(connection.authorisation)) is not None:
        found.append(Standing(problem.code, problem.message, problem.fix))
    state = trading_state(connection.pk)
    if state == State.HALTED:
        reasons = "; ".join(_halt_reasons(connection.pk))
        found.append(
            Standing(ReasonCode.TRADING_HALTED, f"Trading is halted. {reasons}".strip(), "Resuming takes two people.")
        )
    elif state == State.REDUCING:
        found.append(
            Standing(ReasonCode.ONLY_REDUCING, "Only orders that shrink a position pass.", "Resuming takes two people.")
        )
    tripped = set(open_latches().filter(connection=connection).values_list("kind", flat=True))
    for kind, code in _DENYING_LATCHES.items():
        if kind in tripped:
            found.append(Standing(code, f"{code.sentence} What shrinks a position passes.", "Two people reset it."))
    instruments = tuple(instruments_of(connection.pk).filter(tradable=True).values_list("code", flat=True))
    version = active_version(connection.pk)
    found.extend(standing_denials(version, connection=str(connection.pk), instruments=instruments))
    return tuple(found)


def in_use(
    dimension: Dimension,
    *,
    connection_id: UUID,
    instrument: str,
    reporting_currency: str,
    base_currency: str,
    now: datetime,
    without: str,
) -> Question[int | None]:
    """What is reserved and used of the budget that an order of this instrument would take from now, in 1e-8; None where
    there is no such budget yet. What the source `without` holds is left out."""
    params: dict[str, Param] = {
        "connection": connection_id,
        "unit": base_currency if dimension is Dimension.POSITION_QUANTITY else reporting_currency,
    }
    if dimension.is_of_an_instrument:
        params["instrument"] = instrument
    if not dimension.is_level:
        params["window"] = window_of(now)
    if without:
        return _IN_USE_BUT[dimension](**params, without=without)
    return _IN_USE[dimension](**params)


def next_number(policy_set_id: UUID) -> int:
    """The number the next version of the set gets."""
    highest = PolicyVersion.objects.filter(policy_set=policy_set_id).aggregate(highest=Max("number"))["highest"]
    return (highest or 0) + 1


def decisions_of(subject: str) -> QuerySet[Decision]:
    """Every decision about a subject, oldest first."""
    return Decision.objects.filter(subject=subject).select_related("version__policy_set").order_by("decided_at", "id")


def _in_force(**where: object) -> "QuerySet[PolicyVersion, tuple[UUID]]":
    found = PolicyVersion.objects.filter(state=VersionState.ACTIVE.value, **where)
    return found.order_by("activated_at", "id").values_list("id")


def _versions(ids: Sequence[UUID]) -> list[PolicyVersion]:
    found = PolicyVersion.objects.filter(pk__in=ids).select_related("policy_set").prefetch_related("rules")
    return sorted(found, key=lambda version: ids.index(version.pk))


def _joined(parts: list[VersionRules]) -> VersionRules:
    if len(parts) == 1:
        return parts[0]
    newest, slugs = parts[-1], "+".join(sorted(part.set_slug for part in parts))
    rows = tuple(
        RuleRow(
            f"{part.set_slug}/{row.key}",
            row.kind,
            row.params,
            row.connection,
            row.instrument,
            row.side,
            row.proposer,
        )
        for part in parts
        for row in part.rules
    )
    digest = rules_digest(set_slug=slugs, number=newest.number, rules=rows)
    return VersionRules(newest.version_id, slugs, newest.number, digest, rows)


def _halt_reasons(connection_id: UUID) -> list[str]:
    rows = TradingState.objects.filter(Q(scope=GLOBAL_SCOPE) | Q(connection=connection_id), state=State.HALTED.value)
    return [f"{row.changed_by}: {row.reason}" for row in rows]


def budget_use(connection_ids: Iterable[UUID], now: datetime) -> dict[tuple[UUID, str], Decimal]:
    """The share of each limit that is used or reserved, by connection and kind of limit; of several instruments the
    fullest. A budget that nothing limits has none. One query."""
    rows = Budget.objects.filter(
        connection_id__in=list(connection_ids), effective_limit_minor__gt=0, window__in=("", f"{now:%Y-%m-%d}")
    ).values_list("connection_id", "dimension", "reserved_minor", "used_minor", "effective_limit_minor")
    found: dict[tuple[UUID, str], Decimal] = {}
    for connection_id, dimension, reserved, used, limit in rows:
        share = Decimal(reserved + used) / Decimal(limit or 1)
        found[connection_id, dimension] = max(share, found.get((connection_id, dimension), share))
    return found
