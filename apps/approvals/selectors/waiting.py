"""The queue as lines to read: what is asked, what it is worth, what is worth knowing. Newest first."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

from apps.accounts.selectors import holds, page_roles_of
from apps.approvals.models import Vote
from apps.approvals.selectors import page_words
from apps.approvals.selectors.page_rules import NEAR
from apps.common import canonical, words
from apps.common.decimals import parse_decimal
from apps.common.errors import AikaError
from apps.connectors.selectors import page_connections_of
from apps.connectors.types import Quote, Side
from apps.policies.types import RuleKind
from apps.quotes.services import quotes
from apps.trades.rules.drift import drift_bps
from apps.trades.selectors import desk_of_one
from apps.trades.selectors.pages import frozen_terms, waiting_proposals, waiting_total
from apps.trades.types import Terms

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.trades.models import Proposal

SOON_S: Final = 300
STALE_S: Final = 10
DRIFT_BPS: Final = Decimal(50)
LINES_MAX: Final = 100
_TIGHT: Final = {
    RuleKind.MAX_POSITION: "position",
    RuleKind.MAX_GROSS_EXPOSURE: "all positions",
    RuleKind.DAILY_NOTIONAL: "traded today",
    RuleKind.DAILY_LOSS: "lost today",
    RuleKind.MAX_ORDER_NOTIONAL: "order worth",
    RuleKind.MAX_ORDER_QUANTITY: "order quantity",
    RuleKind.FUNDS: "funds",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One thing worth knowing: kind of chip, icon, words."""

    kind: str
    icon: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingLine:
    """One proposal of the queue. `reference` is the middle of the market when it was asked; the drift since then may be
    `drift_bound_bps` at most, on a price of `quote_age_s` seconds at most."""

    id: UUID
    connection_id: UUID
    instrument: str
    reference: Decimal | None
    drift_bound_bps: Decimal
    quote_age_s: int
    label: str
    environment: str
    side: str
    what: str
    short: str
    asked_at: datetime
    asked_ago: str
    worth: str
    currency: str
    drift: str
    drift_now: str
    drift_kind: str
    stale: str
    left: str
    is_soon: bool
    until: str
    expires_at: datetime
    who: str
    whose: str
    have: int
    needed: int
    needs_you: bool
    flags: tuple[Flag, ...]

    @property
    def size(self) -> str:
        """`0.05 BTC-USD`: the short sentence without its side."""
        return self.short.partition(" ")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the stored decision says that a line of the queue needs."""

    drift_bps: Decimal
    quote_age_s: int
    tight: Flag | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Viewer:
    id: UUID
    decides: bool
    roles: frozenset[str]
    alone_at: frozenset[UUID]


def waiting_lines(*, viewer: "User", now: datetime) -> tuple[WaitingLine, ...]:
    """Every proposal that waits at this person's desks, whoever may decide it."""
    rows = waiting_proposals(connection_ids=connection_ids_of(viewer), now=now, limit=LINES_MAX)
    votes: dict[UUID, list[Vote]] = defaultdict(list)
    for vote in Vote.objects.filter(proposal__in=[row.pk for row in rows]):
        votes[vote.proposal_id].append(vote)
    prices = _prices(rows)
    person = _Viewer(
        id=viewer.pk,
        decides=holds(viewer, "decide_proposal"),
        roles=page_roles_of(viewer),
        alone_at=desk_of_one.desks_of_one(viewer.pk),
    )
    return tuple(
        _line(row, votes[row.pk], prices.get((row.connection_id, row.instrument)), person, now) for row in rows
    )


def waiting_count(*, viewer: "User", now: datetime) -> int:
    """How many proposals wait at this person's desks."""
    return len(waiting_proposals(connection_ids=connection_ids_of(viewer), now=now, limit=LINES_MAX))


def all_waiting(lines: Sequence[WaitingLine], *, viewer: "User", now: datetime) -> tuple[int, datetime | None]:
    """How many wait and since when the oldest does, of those lines; more than are shown at once are asked for."""
    if len(lines) < LINES_MAX:
        return len(lines), min((line.asked_at for line in lines), default=None)
    return waiting_total(connection_ids=connection_ids_of(viewer), now=now)


def connection_ids_of(viewer: "User") -> tuple[UUID, ...] | None:
    """The connections of the desks a person looks at; None for all of them."""
    return None if viewer.is_superuser else page_connections_of(viewer)


def _prices(rows: Sequence["Proposal"]) -> dict[tuple[UUID, str], Quote]:
    codes: dict[UUID, set[str]] = defaultdict(set)
    for row in rows:
        codes[row.connection_id].add(row.instrument)
    return {
        (connection_id, code): quote
        for connection_id, wanted in codes.items()
        for code, quote in quotes.latest_of(connection_id, sorted(wanted)).items()
    }


def _line(row: "Proposal", votes: Sequence[Vote], quote: Quote | None, person: _Viewer, now: datetime) -> WaitingLine:
    terms, told = frozen_terms(row), told_by(bytes(row.decision.results), row.instrument)
    left = int(max(words.seconds_between(now, row.expires_at), Decimal(0)))
    drift, stale = _drift(row, quote, told, now)
    used = abs(drift) / told.drift_bps if drift is not None and told.drift_bps else Decimal(0)
    revoked = {vote.approver_id for vote in votes if vote.verb == Vote.Verb.REVOKE}
    approved = {vote.approver_id for vote in votes if vote.verb == Vote.Verb.APPROVE} - revoked
    is_own = row.proposer_id == person.id
    is_alone = is_own and desk_of_one.is_own_to_decide(row, person.alone_at)
    has_voted = person.id in approved
    needs_you = person.decides and (is_alone or not is_own) and not has_voted and bool(person.roles & set(row.roles))
    return WaitingLine(
        id=row.pk,
        connection_id=row.connection_id,
        instrument=row.instrument,
        reference=reference_mid(row),
        drift_bound_bps=told.drift_bps,
        quote_age_s=told.quote_age_s,
        label=row.label,
        environment=terms.environment.value,
        side=terms.side.value,
        what=page_words.line(terms),
        short=page_words.short(terms),
        asked_at=row.created_at,
        asked_ago=words.ago(row.created_at, now),
        worth=_worth(row, terms),
        currency=terms.quote_currency,
        drift="" if drift is None else f"{words.signed(drift)} of {told.drift_bps:f} bps",
        drift_now=str(min(used * 100, Decimal(100)).quantize(Decimal("0.1"))),
        drift_kind="over" if used > 1 else "warn" if used >= Decimal("0.75") else "",
        stale=stale,
        left=words.span(left),
        is_soon=left < SOON_S,
        until=words.moment(row.expires_at, now),
        expires_at=row.expires_at,
        who="You" if is_own and not row.api_key_id else _asker(row),
        whose=f"key of {'you' if is_own else row.proposer.shown_name}" if row.api_key_id else "by hand",
        have=len(approved),
        needed=row.needed,
        needs_you=needs_you,
        flags=_flags(row, told, used, stale, is_own=is_own, is_alone=is_alone, has_voted=has_voted),
    )


def _asker(row: "Proposal") -> str:
    return row.api_key.name if row.api_key is not None else row.proposer.shown_name


def _worth(row: "Proposal", terms: Terms) -> str:
    if terms.quote_quantity is not None:
        return words.money(terms.quote_quantity)
    price = terms.limit_price if terms.limit_price is not None else row.worst_price
    if terms.quantity is None or price is None:
        return "not known"
    worth = terms.quantity * price
    return words.cost(worth) if terms.side is Side.BUY else words.proceeds(worth)


def _drift(row: "Proposal", quote: Quote | None, told: Told, now: datetime) -> tuple[Decimal | None, str]:
    if quote is None:
        return None, "No price yet"
    age = words.seconds_between(quote.received_at, now)
    if age > told.quote_age_s:
        return None, f"Price {words.span(int(age))} old"
    reference = reference_mid(row)
    return (None if reference is None else drift_bps(reference, quote.mid)), ""


def reference_mid(row: "Proposal") -> Decimal | None:
    """The middle of the market when the proposal was made; None where no price was known."""
    if row.reference_bid is None or row.reference_ask is None:
        return None
    return (row.reference_bid + row.reference_ask) / 2


def _flags(
    row: "Proposal", told: Told, drift_used: Decimal, stale: str, *, is_own: bool, is_alone: bool, has_voted: bool
) -> tuple[Flag, ...]:
    flags = []
    if is_alone:
        flags.append(Flag(kind="warn", icon="warn", text="Your own key asked: a desk of one"))
    elif is_own:
        flags.append(Flag(kind="", icon="lock", text="You asked, so others decide"))
    if has_voted:
        flags.append(Flag(kind="", icon="ok", text="You approved"))
    if stale:
        flags.append(Flag(kind="warn", icon="warn", text="Approve is off until a fresh price"))
    if drift_used > 1:
        flags.append(Flag(kind="warn", icon="warn", text="Drift is beyond its bound"))
    elif drift_used >= Decimal("0.75"):
        flags.append(Flag(kind="warn", icon="warn", text="Drift is close to its bound"))
    if told.tight is not None:
        flags.append(told.tight)
    if row.needed > 1:
        flags.append(Flag(kind="", icon="person", text=f"Needs {words.count(row.needed)} people"))
    return tuple(flags) or (Flag(kind="ok", icon="ok", text="Nothing unusual"),)


def told_by(results: bytes, instrument: str) -> Told:
    """Read a stored decision. Bytes that cannot be read tell nothing, and nothing is worth knowing from them."""
    try:
        value = canonical.decode(results)
    except ValueError:
        return Told(drift_bps=DRIFT_BPS, quote_age_s=STALE_S, tight=None)
    tier = value.get("tier")
    drift, age = DRIFT_BPS, STALE_S
    if isinstance(tier, dict):
        drift, age = _number(tier.get("drift_bps")) or DRIFT_BPS, int(tier.get("quote_age_s") or STALE_S)
    lines = value.get("lines")
    return Told(drift_bps=drift, quote_age_s=age, tight=_tight(lines if isinstance(lines, list) else [], instrument))


def _tight(lines: list[dict[str, object]], instrument: str) -> Flag | None:
    measured = [
        (used, str(line.get("kind")))
        for line in lines
        if line.get("kind") in _TIGHT and (used := _number(line.get("used_fraction"))) is not None
    ]
    used, kind = max(measured, default=(Decimal(0), ""))
    if used < NEAR:
        return None
    name = _TIGHT[RuleKind(kind)]
    about = f"{instrument} {name}" if kind == RuleKind.MAX_POSITION else name.capitalize()
    return Flag(kind="warn", icon="scale", text=f"{about} to {words.percent(used)} of limit")


def _number(text: object) -> Decimal | None:
    try:
        return parse_decimal(text, field="decision", integer_digits=40, places=40)
    except AikaError:
        return None
