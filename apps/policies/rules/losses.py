"""Rules about what was lost: in a day, and from the highest worth there ever was. Both latch.

What only shrinks the position passes all the same: a limit on losses must not keep a desk in the position that loses.
"""

from decimal import Decimal

from apps.policies.rules.always import reducible
from apps.policies.rules.built import Built
from apps.policies.rules.case import Case
from apps.policies.rules.finding import PASSED, Bps, Finding
from apps.policies.rules.params import Params
from apps.policies.rules.reading import DAY_LOSS, EQUITY, ZERO, amount, flag, fresh, positive, signed
from apps.policies.types import FactKind, FactSpec, LineVerdict, ReasonCode

_TEN_THOUSAND = Decimal(10_000)


def daily_loss(params: Params) -> Built:
    """Hitting the limit latches: until two people reset it the fact says so, whatever the loss is by then."""
    limit = params.amount("max_loss")

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        (key,) = keys
        fact = fresh(case.facts, DAY_LOSS, key, case.now)
        loss, unit = signed(fact, "loss", key), case.ask.reporting_currency
        if flag(fact, "latched", key):
            code = ReasonCode.DAILY_LOSS_LATCHED
            return _unless_it_shrinks(case, Finding(LineVerdict.FAIL, code, loss, "<=", limit, unit))
        return _unless_it_shrinks(case, case.at_most(loss, limit, unit, ReasonCode.DAILY_LOSS))

    return Built(check, lambda ask: (FactSpec(FactKind.DAY_LOSS, ask.connection),))


def drawdown(params: Params) -> Built:
    """The fall of what is held, from the highest it was ever worth, as a part of that. Hitting the limit latches."""
    limit_bps = params.bps("max_drawdown_bps")

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        (key,) = keys
        fact = fresh(case.facts, EQUITY, key, case.now)
        equity, peak, latched = amount(fact, "equity", key), positive(fact, "peak", key), flag(fact, "latched", key)
        fall = max(peak - equity, ZERO)
        observed = Bps(peak + fall, peak)
        if latched or fall * _TEN_THOUSAND > limit_bps * peak:
            code = ReasonCode.DRAWDOWN_LATCHED if latched else ReasonCode.DRAWDOWN
            return _unless_it_shrinks(case, Finding(LineVerdict.FAIL, code, observed, "<=", limit_bps, "bps"))
        return case.passed(observed, "<=", limit_bps, "bps") if case.wordy else PASSED

    return Built(check, lambda ask: (FactSpec(FactKind.EQUITY, ask.connection),))


def _unless_it_shrinks(case: Case, finding: Finding) -> Finding:
    if finding.verdict is not LineVerdict.FAIL or case.priced.quantity > reducible(case):
        return finding
    return finding._replace(verdict=LineVerdict.PASS, code=ReasonCode.ONLY_SHRINKS) if case.wordy else PASSED
