"""A version made ready: rules built once, in an order that does not depend on how they were written."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from apps.common.canonical import digest, encode
from apps.common.errors import Invalid
from apps.policies.rules.always import ALWAYS
from apps.policies.rules.built import Built, Check, Specs, no_facts
from apps.policies.rules.case import Case
from apps.policies.rules.finding import OUT_OF_SCOPE, Doubt, Finding
from apps.policies.rules.kinds import build
from apps.policies.types import Ask, ReasonCode, RuleKind, RuleRow, VersionRules

_VERSIONS_MAX = 64
_SCOPES_MAX = 512

Bound = tuple[Check, tuple[str, ...]]
ALWAYS_CHECKS: tuple[Bound, ...] = tuple((check, ()) for _, _, check in ALWAYS)


class Rule(NamedTuple):
    """A built rule with its scope. One that could not be built has a check that denies."""

    row: RuleRow
    check: Check
    specs: Specs
    market_slippage_bps: Decimal | None
    everywhere: bool
    readable: bool

    def covers(self, ask: Ask) -> bool:
        """Whether the rule is about this ask; a scope of None means any."""
        row = self.row
        return self.everywhere or (
            (row.connection is None or row.connection == ask.connection)
            and (row.instrument is None or row.instrument == ask.instrument)
            and (row.side is None or row.side == ask.side)
            and (row.proposer is None or row.proposer == ask.proposer)
        )

    def bound(self, ask: Ask) -> tuple[Check, tuple[str, ...]]:
        """The check with the keys of its facts; one out of scope stands aside."""
        if not self.covers(ask):
            return _stands_aside, ()
        return self.check, tuple(spec.key for spec in self.specs(ask))


class Selection(NamedTuple):
    """What judges the asks of one scope, and what the scope has.

    `told` are the checks that always run and every rule, those out of scope standing aside: each has its line.
    `checks` are those of them that can decide anything, each once.
    """

    told: tuple[Bound, ...]
    checks: tuple[Bound, ...]
    has_size_limit: bool
    has_approvals: bool
    market_slippage_bps: Decimal | None


class Compiled(NamedTuple):
    """A version's rules ordered by key, and what was selected of them for the scopes met so far."""

    source: tuple[RuleRow, ...]
    rules: tuple[Rule, ...]
    selections: dict[tuple[str, str, str, str], Selection]

    def select(self, ask: Ask) -> Selection:
        """The rules as they judge this ask. The widest bound that the collars in scope put on market orders counts."""
        scope = (ask.connection, ask.instrument, ask.side, ask.proposer)
        found = self.selections.get(scope)
        if found is None:
            if len(self.selections) >= _SCOPES_MAX:
                self.selections.clear()
            found = self.selections[scope] = self._select(ask)
        return found

    def _select(self, ask: Ask) -> Selection:
        here = [rule for rule in self.rules if rule.covers(ask)]
        kinds = {str(rule.row.kind) for rule in here}
        bounds = [rule.market_slippage_bps for rule in here if rule.market_slippage_bps is not None]
        return Selection(
            ALWAYS_CHECKS + tuple(rule.bound(ask) for rule in self.rules),
            tuple(dict.fromkeys(ALWAYS_CHECKS + tuple(rule.bound(ask) for rule in here))),
            RuleKind.MAX_ORDER_NOTIONAL in kinds,
            RuleKind.APPROVALS_REQUIRED in kinds,
            max(bounds, default=None),
        )


_cache: dict[str, Compiled] = {}


def compiled(version: VersionRules) -> Compiled:
    """The version made ready, from memory where it is the same version with the same rules."""
    found = _cache.get(version.digest)
    if found is not None and (found.source is version.rules or found.source == version.rules):
        return found
    ready = _compile(version.rules)
    if len(_cache) >= _VERSIONS_MAX:
        _cache.clear()
    _cache[version.digest] = ready
    return ready


def rules_value(rules: tuple[RuleRow, ...]) -> list[Mapping[str, object]]:
    """The rules as canonical values, ordered by key."""
    return [_row_value(row) for row in sorted(rules, key=_order)]


def rules_digest(*, set_slug: str, number: int, rules: tuple[RuleRow, ...]) -> str:
    """The digest that names a version: its set, its number and every rule, in whatever order they come."""
    return digest(encode("aika.policy-version/1", {"set": set_slug, "number": number, "rules": rules_value(rules)}))


def _compile(rows: tuple[RuleRow, ...]) -> Compiled:
    return Compiled(rows, tuple(_rule(row) for row in sorted(rows, key=_order)), {})


def _stands_aside(case: Case, keys: tuple[str, ...]) -> Finding:
    return OUT_OF_SCOPE


def _rule(row: RuleRow) -> Rule:
    readable = True
    try:
        built = build(row)
    except Invalid as error:
        built, readable = _refusing(error), False
    everywhere = (row.connection, row.instrument, row.side, row.proposer) == (None, None, None, None)
    return Rule(row, built.check, built.specs, built.market_slippage_bps, everywhere, readable)


def _refusing(error: Invalid) -> Built:
    code, about = ReasonCode(error.code), error.field or ""

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        return Doubt(code, about).finding

    return Built(check, no_facts)


def _row_value(row: RuleRow) -> Mapping[str, object]:
    return {
        "key": row.key,
        "kind": str(row.kind),
        "params": row.params,
        "connection": row.connection,
        "instrument": row.instrument,
        "side": row.side,
        "proposer": row.proposer,
    }


def _order(row: RuleRow) -> tuple[str, str]:
    return row.key, repr(sorted(_row_value(row).items(), key=lambda pair: pair[0]))
