"""Which limits on losses are reached, asked without an order: what a self-check trips by."""

from datetime import datetime
from decimal import Decimal, localcontext
from typing import NamedTuple

from apps.policies.rules.compiled import Rule, compiled
from apps.policies.rules.finding import Doubt
from apps.policies.rules.params import Params
from apps.policies.rules.reading import DAY_LOSS, EQUITY, EXACT, ZERO, amount, fresh, positive, signed
from apps.policies.types import FactKind, Facts, FactSpec, LatchKind, RuleKind, VersionRules

_KINDS = {RuleKind.DAILY_LOSS.value: LatchKind.DAILY_LOSS, RuleKind.DRAWDOWN.value: LatchKind.DRAWDOWN}
_TEN_THOUSAND = Decimal(10_000)


class Reached(NamedTuple):
    """A limit that is exceeded: which latch it trips, by which rule, what was observed and what is allowed."""

    kind: LatchKind
    rule: str
    observed: Decimal
    limit: Decimal


def loss_facts_needed(version: VersionRules, connection: str) -> tuple[FactSpec, ...]:
    """The facts that `losses_reached` reads; none where no rule limits losses here."""
    kinds = {_KINDS[rule.row.kind] for rule in _limits(version, connection)}
    facts = {LatchKind.DAILY_LOSS: FactKind.DAY_LOSS, LatchKind.DRAWDOWN: FactKind.EQUITY}
    return tuple(FactSpec(facts[kind], connection) for kind in sorted(kinds))


def losses_reached(version: VersionRules, connection: str, facts: Facts, now: datetime) -> tuple[Reached, ...]:
    """Every limit on losses of a connection that is exceeded now. What is not known trips nothing: the rule denies.

    Rules for one instrument, side or proposer are left out: an ask they are about trips them.
    """
    found = []
    with localcontext(EXACT):
        for rule in _limits(version, connection):
            try:
                reached = _reached(rule, connection, facts, now)
            except Doubt:
                continue
            if reached is not None:
                found.append(reached)
    return tuple(found)


def _limits(version: VersionRules, connection: str) -> list[Rule]:
    return [
        rule
        for rule in compiled(version).rules
        if rule.readable
        and rule.row.kind in _KINDS
        and rule.row.connection in (None, connection)
        and (rule.row.instrument, rule.row.side, rule.row.proposer) == (None, None, None)
    ]


def _reached(rule: Rule, connection: str, facts: Facts, now: datetime) -> Reached | None:
    kind, params = _KINDS[rule.row.kind], Params(rule.row.params)
    if kind is LatchKind.DAILY_LOSS:
        key, limit = DAY_LOSS.key(connection), params.amount("max_loss")
        loss = signed(fresh(facts, DAY_LOSS, key, now), "loss", key)
        return Reached(kind, rule.row.key, loss, limit) if loss > limit else None
    key, limit = EQUITY.key(connection), params.bps("max_drawdown_bps")
    fact = fresh(facts, EQUITY, key, now)
    equity, peak = amount(fact, "equity", key), positive(fact, "peak", key)
    fall = max(peak - equity, ZERO) * _TEN_THOUSAND
    if fall <= limit * peak:
        return None
    with localcontext() as context:
        context.prec, context.traps = 12, dict.fromkeys(context.traps, False)
        return Reached(kind, rule.row.key, fall / peak, limit)
