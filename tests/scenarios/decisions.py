"""Stored decisions, judged again with something changed: what a decision would have been, had it been otherwise."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from apps.common import canonical
from apps.common.decimals import instant_text, parse_instant
from apps.policies.models import Decision
from apps.policies.rules import replay
from apps.policies.types import SEVERITY, Evaluation, FactKind, RuleKind, State

Inputs = dict[str, Any]
Params = dict[str, Any]
# Without a rule of these kinds policy denies, so that leaving one out may tighten.
NEEDED = {RuleKind.MAX_ORDER_NOTIONAL, RuleKind.APPROVALS_REQUIRED}
SCOPE = ("connection", "instrument", "side", "proposer")
LONG_AGO = timedelta(days=2)
# Rules that deny whatever is asked, and rules that may or may not.
DENYING: tuple[tuple[str, Params], ...] = (
    ("max_order_quantity", {"max_quantity": "0.00000001"}),
    ("trading_state", {"unknown": "parameter"}),
    ("moon_phase", {}),
)
OTHERS: tuple[tuple[str, Params], ...] = (
    ("restricted_list", {"instruments": ["XRP-USD"]}),
    ("max_order_notional", {"max_notional": "1000000"}),
    ("approvals_required", {"tiers": [{"needed": "0", "roles": ["approver", "risk"]}]}),
    ("approvals_required", {"tiers": [{"needed": "2", "roles": ["risk"]}]}),
    ("trading_state", {}),
)


def inputs_of(decision: Decision) -> Inputs:
    """What it went by."""
    return canonical.decode(bytes(decision.inputs))


def kind_of(inputs: Inputs) -> str:
    """What decisions have in common that differ in amounts, prices and times alone: rules, side, answer."""
    found, rules = judged(inputs), inputs["version"]["rules"]
    what = {"rules": rules, "side": inputs["ask"]["side"], "outcome": found.outcome, "codes": sorted(found.codes)}
    return canonical.digest(canonical.encode("aika.scenario/1", what))


def judged(inputs: Inputs) -> Evaluation:
    """What policy says of that."""
    rest = {name: value for name, value in inputs.items() if name != "schema"}
    return replay(canonical.encode(inputs["schema"], rest))


def severity(inputs: Inputs) -> int:
    """How much of an obstacle that answer is."""
    return SEVERITY[judged(inputs).outcome]


def in_doubt(inputs: Inputs) -> Iterator[tuple[str, Inputs]]:
    """The same with one thing missing, old, from the future or not readable, each in turn, and what it is. A rule that
    is about something else is not in doubt: it stands aside."""
    facts: Mapping[str, Any] = inputs["facts"]
    for key, fact in facts.items():
        rest = {name: value for name, value in facts.items() if name != key}
        as_of = parse_instant(fact["as_of"], field=key)
        for what, by in {"old": -LONG_AGO, "from the future": LONG_AGO}.items():
            yield f"{key} {what}", {**inputs, "facts": {**rest, key: {**fact, "as_of": instant_text(as_of + by)}}}
        yield f"{key} empty", {**inputs, "facts": {**rest, key: {**fact, "values": {}}}}
        yield f"{key} missing", {**inputs, "facts": rest}
    yield "no policy", {**inputs, "version": None}
    for number, rule in enumerate(inputs["version"]["rules"]):
        if any(rule[name] not in {None, inputs["ask"][name]} for name in SCOPE):
            continue
        for field, value in {"kind": "moon_phase", "params": {"max": "NaN"}}.items():
            rules = list(inputs["version"]["rules"])
            rules[number] = {**rule, field: value}
            yield f"{rule['key']} without its {field}", with_rules(inputs, rules)


def with_rules(inputs: Inputs, rules: list[Any]) -> Inputs:
    """The same under other rules, as a version of its own."""
    digest = canonical.digest(canonical.encode("aika.scenario/1", {"rules": rules}))
    return {**inputs, "version": {**inputs["version"], "rules": rules, "digest": digest}}


def turned_around(inputs: Inputs) -> Inputs:
    """The same with its rules in the other order and under the other names, or they would be sorted back."""
    rules = inputs["version"]["rules"]
    return with_rules(inputs, [{**rule, "key": f"k{len(rules) - n:02d}"} for n, rule in enumerate(rules)])


def denied(inputs: Inputs) -> Iterator[tuple[str, Inputs]]:
    """The same with one rule more that denies, before all others and after them."""
    for kind, params in DENYING:
        for key in ("00-more", "zz-more"):
            yield f"{kind} as {key}", _with_one_more(inputs, key, kind, params)


def _with_one_more(inputs: Inputs, key: str, kind: str, params: Params) -> Inputs:
    more = {"key": key, "kind": kind, "params": params, **dict.fromkeys(SCOPE)}
    return with_rules(inputs, [*inputs["version"]["rules"], more])


def tightened(inputs: Inputs) -> Iterator[tuple[str, Inputs, Inputs]]:
    """Pairs of which the second has one rule more than the first, or a trading state that allows less."""
    rules = inputs["version"]["rules"]
    for kind, params in OTHERS:
        yield f"and {kind}", inputs, _with_one_more(inputs, "zz-more", kind, params)
    for rule in rules:
        if rule["kind"] not in NEEDED:
            rest = [other for other in rules if other is not rule]
            yield f"without {rule['key']}", with_rules(inputs, rest), inputs
    states = [key for key in inputs["facts"] if key.startswith(FactKind.TRADING_STATE)]
    for key in states:
        active, reducing, halted = (_in_state(inputs, key, state) for state in State)
        yield "reducing", active, reducing
        yield "halted", reducing, halted


def _in_state(inputs: Inputs, key: str, state: State) -> Inputs:
    fact = inputs["facts"][key]
    return {**inputs, "facts": {**inputs["facts"], key: {**fact, "values": {**fact["values"], "state": state.value}}}}
