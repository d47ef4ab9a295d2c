"""One ask with everything the rules may read about it, each common fact parsed once."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from apps.policies.rules.finding import Doubt
from apps.policies.rules.price import Priced, check_terms, price
from apps.policies.rules.reading import (
    Instrument,
    Position,
    Touch,
    read_fx,
    read_instrument,
    read_position,
    read_touch,
)
from apps.policies.types import Ask, Facts

Read = TypeVar("Read")


class Case:
    """The common facts as values. Reading one that is in doubt raises that `Doubt`, in every rule that reads it."""

    __slots__ = ("_fx", "_instrument", "_position", "_priced", "_touch", "ask", "facts", "now", "slippage_bps")

    def __init__(self, ask: Ask, facts: Facts, now: datetime, slippage_bps: Decimal | None) -> None:
        self.ask = ask
        self.facts = facts
        self.now = now
        self.slippage_bps = slippage_bps
        self._instrument: Instrument | Doubt | None = None
        self._touch: Touch | Doubt | None = None
        self._position: Position | Doubt | None = None
        self._fx: Decimal | Doubt | None = None
        self._priced: Priced | Doubt | None = None

    def resized(self, ask: Ask) -> "Case":
        """The same facts, as far as they are read, for an ask that differs in its size alone."""
        other = Case(ask, self.facts, self.now, self.slippage_bps)
        other._instrument, other._touch = self._instrument, self._touch
        other._position, other._fx = self._position, self._fx
        return other

    @property
    def instrument(self) -> Instrument:
        found = self._instrument
        if found is None:
            found = self._instrument = self._once(read_instrument)
        if isinstance(found, Doubt):
            raise found.with_traceback(None)
        return found

    @property
    def touch(self) -> Touch:
        found = self._touch
        if found is None:
            found = self._touch = self._once(read_touch)
        if isinstance(found, Doubt):
            raise found.with_traceback(None)
        return found

    @property
    def position(self) -> Position:
        found = self._position
        if found is None:
            found = self._position = self._once(read_position)
        if isinstance(found, Doubt):
            raise found.with_traceback(None)
        return found

    @property
    def fx(self) -> Decimal:
        found = self._fx
        if found is None:
            found = self._fx = self._once(read_fx)
        if isinstance(found, Doubt):
            raise found.with_traceback(None)
        return found

    @property
    def priced(self) -> Priced:
        found = self._priced
        if found is None:
            found = self._priced = self._price()
        if isinstance(found, Doubt):
            raise found.with_traceback(None)
        return found

    @property
    def priced_or_none(self) -> Priced | None:
        """What the rules took it to be worth; None where they could not know."""
        return self._priced if isinstance(self._priced, Priced) else None

    def _once(self, read: Callable[[Ask, Facts, datetime], Read]) -> Read | Doubt:
        try:
            return read(self.ask, self.facts, self.now)
        except Doubt as doubt:
            return doubt

    def _price(self) -> Priced | Doubt:
        try:
            check_terms(self.ask)
            return price(self.ask, self.touch, self.fx, self.slippage_bps)
        except Doubt as doubt:
            return doubt
