"""What a version denies whatever is asked: gaps that make a gate say no to everything, found without any fact."""

from typing import NamedTuple

from apps.policies.rules.compiled import Rule, compiled
from apps.policies.rules.params import Params
from apps.policies.types import ReasonCode, RuleKind, VersionRules

INSTRUMENTS_MAX = 2_000


class Standing(NamedTuple):
    """One thing that is denied now: the code, and a sentence about what it hits and what would lift it."""

    code: str
    message: str
    fix: str


def standing_denials(
    version: VersionRules | None, *, connection: str, instruments: tuple[str, ...]
) -> tuple[Standing, ...]:
    """What is denied on a connection for any terms, for market orders, or for some of its instruments."""
    if version is None:
        return (
            Standing(ReasonCode.NO_ACTIVE_POLICY, ReasonCode.NO_ACTIVE_POLICY.sentence, "Activate a policy version."),
        )
    ready = compiled(version)
    here = tuple(rule for rule in ready.rules if rule.row.connection in (None, connection))
    found = [
        Standing(
            ReasonCode.RULE_PARAMS_INVALID,
            f'The rule "{rule.row.key}" cannot be read, so everything in its scope is denied.',
            "Correct it in a new version.",
        )
        for rule in here
        if not rule.readable
    ]
    tradable = _allowed(here, instruments[:INSTRUMENTS_MAX])
    if not tradable:
        found.append(
            Standing(
                ReasonCode.INSTRUMENT_NOT_ALLOWED,
                "No instrument of this connection is allowed.",
                "Add one to the list of allowed instruments, or refresh the instruments.",
            )
        )
    found.extend(_gaps(here, tradable))
    return tuple(found)


def _allowed(here: tuple[Rule, ...], instruments: tuple[str, ...]) -> tuple[str, ...]:
    left = list(instruments)
    for rule in here:
        if rule.readable and rule.row.kind in (RuleKind.ALLOWED_INSTRUMENT, RuleKind.RESTRICTED_LIST):
            if rule.row.side or rule.row.proposer:
                continue  # denies only some asks
            named = Params(rule.row.params).words("instruments")
            wanted = rule.row.kind == RuleKind.ALLOWED_INSTRUMENT
            left = [code for code in left if (code in named) == wanted or rule.row.instrument not in (None, code)]
    return tuple(left)


def _gaps(here: tuple[Rule, ...], tradable: tuple[str, ...]) -> list[Standing]:
    found = []
    for kind, code, fix in (
        (RuleKind.MAX_ORDER_NOTIONAL, ReasonCode.NO_LIMIT_SET, "Add a max_order_notional rule that covers them."),
        (RuleKind.APPROVALS_REQUIRED, ReasonCode.NO_APPROVAL_RULE, "Add an approvals_required rule that covers them."),
    ):
        for side in ("BUY", "SELL"):
            open_to_all = [rule for rule in here if rule.row.kind == kind and rule.row.side in (None, side)]
            lacking = [name for name in tradable if not _covered(open_to_all, name)]
            if lacking:
                found.append(Standing(code, f"{code.sentence} {side}: {_some(lacking)}.", fix))
    bounded = [rule for rule in here if rule.market_slippage_bps is not None]
    lacking = [name for name in tradable if not _covered(bounded, name)]
    if lacking:
        code = ReasonCode.NO_MARKET_BOUND
        fix = "Give a price_collar rule market_slippage_bps, or ask with a limit price."
        found.append(Standing(code, f"{code.sentence} Market orders: {_some(lacking)}.", fix))
    return found


def _covered(rules: list[Rule], instrument: str) -> bool:
    """A rule for one proposer alone leaves everybody else uncovered, so it does not count."""
    return any(rule.row.instrument in (None, instrument) and rule.row.proposer is None for rule in rules)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
