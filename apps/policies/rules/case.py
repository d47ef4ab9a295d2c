"""One ask with everything the rules may read about it, each common fact parsed once."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

from apps.policies.rules.finding import PASSED, Finding, Shown
from apps.policies.rules.price import Priced, check_terms, price
from apps.policies.rules.reading import (
    Instrument,
    Position,
    Touch,
    read_fx,
    read_instrument,
    read_position,
    read_touch,
    read_trading_state,
)
from apps.policies.types import Ask, Facts, LineVerdict, ReasonCode, State

_SIZELESS = ("instrument", "touch", "position", "fx", "state")


class Case:
    """The common facts as values. Reading one that is in doubt raises that `Doubt`, in every rule that reads it.

    A `wordy` case keeps what every rule saw; otherwise a rule that passes says no more than that.
    """

    __slots__ = ("ask", "facts", "is_read", "now", "priced", "slippage_bps", "terms", "wordy", *_SIZELESS)

    instrument: Instrument
    touch: Touch
    position: Position
    fx: Decimal
    state: State
    priced: Priced
    terms: Ask

    def __init__(
        self, ask: Ask, facts: Facts, now: datetime, slippage_bps: Decimal | None, *, wordy: bool = False
    ) -> None:
        self.ask = ask
        self.facts = facts
        self.now = now
        self.slippage_bps = slippage_bps
        self.wordy = wordy
        self.is_read = False

    def __getattr__(self, name: str) -> object:
        """A slot that is not filled yet: read it once. A doubt is raised again each time, and fills nothing."""
        read = _READERS.get(name)
        if read is None:
            raise AttributeError(name)
        value = read(self)
        setattr(self, name, value)
        return value

    def read(self) -> None:
        """Read everything at once, which is quicker than one by one. The first doubt ends it; it is met again later."""
        self.is_read = True
        ask, facts, now = self.ask, self.facts, self.now
        check_terms(ask)
        self.terms = ask
        self.state = read_trading_state(ask, facts, now)
        self.instrument = read_instrument(ask, facts, now)
        self.touch = touch = read_touch(ask, facts, now)
        self.position = read_position(ask, facts, now)
        self.fx = fx = read_fx(ask, facts, now)
        self.priced = price(ask, touch, fx, self.slippage_bps)

    def resized(self, ask: Ask) -> "Case":
        """The same facts, as far as they are read, for an ask that differs in its size alone."""
        other = Case(ask, self.facts, self.now, self.slippage_bps)
        self._share(other)
        return other

    def in_words(self) -> "Case":
        """The same case, keeping what every rule saw."""
        other = Case(self.ask, self.facts, self.now, self.slippage_bps, wordy=True)
        self._share(other)
        return other

    def priced_or_none(self) -> Priced | None:
        """What the rules took it to be worth; None where they could not know."""
        try:
            found = object.__getattribute__(self, "priced")
        except AttributeError:
            return None
        return found if isinstance(found, Priced) else None

    def at_most(self, observed: Decimal, limit: Decimal, unit: str, code: ReasonCode) -> Finding:
        """Pass up to and including the limit."""
        if observed <= limit:
            return self.passed(observed, "<=", limit, unit) if self.wordy else PASSED
        return Finding(LineVerdict.FAIL, code, observed, "<=", limit, unit)

    def at_least(self, observed: Decimal, limit: Decimal, unit: str, code: ReasonCode) -> Finding:
        """Pass down to and including the limit."""
        if observed >= limit:
            return self.passed(observed, ">=", limit, unit) if self.wordy else PASSED
        return Finding(LineVerdict.FAIL, code, observed, ">=", limit, unit)

    def passed(self, observed: Shown, operator: str = "", limit: Shown = "", unit: str = "") -> Finding:
        """The rule lets pass what it saw."""
        if not self.wordy:
            return PASSED
        return Finding(LineVerdict.PASS, ReasonCode.WITHIN_LIMIT, observed, operator, limit, unit)

    def _share(self, other: "Case") -> None:
        other.is_read = self.is_read
        for name in _SIZELESS:
            try:
                value = object.__getattribute__(self, name)
            except AttributeError:
                continue
            setattr(other, name, value)


def _terms(case: Case) -> Ask:
    check_terms(case.ask)
    return case.ask


_READERS: Mapping[str, Callable[[Case], object]] = {
    "instrument": lambda case: read_instrument(case.ask, case.facts, case.now),
    "touch": lambda case: read_touch(case.ask, case.facts, case.now),
    "position": lambda case: read_position(case.ask, case.facts, case.now),
    "fx": lambda case: read_fx(case.ask, case.facts, case.now),
    "state": lambda case: read_trading_state(case.ask, case.facts, case.now),
    "terms": _terms,
    "priced": lambda case: price(case.terms, case.touch, case.fx, case.slippage_bps),
}
