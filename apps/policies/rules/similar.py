"""A rule about trades like this one: whether they lost more often than the desk's others.

The counting is done elsewhere, in SQL, and comes as a fact of one or more *looks*: `now`; what would count as similar
if something unknown about the order were as bad as it can be; and the same as they were when it was proposed. The rule
fires where any look says so, so that neither a field left empty nor the passing of time takes it back.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

from apps.policies.rules.always import reducible
from apps.policies.rules.built import Built
from apps.policies.rules.case import Case
from apps.policies.rules.finding import PASSED, Doubt, Finding
from apps.policies.rules.params import Params
from apps.policies.rules.reading import ONE, SIMILAR_LOSSES, amount, fresh
from apps.policies.rules.similar_words import Look, sentence
from apps.policies.types import Ask, Evaluation, Fact, FactKind, Facts, FactSpec, LineVerdict, ReasonCode

WINDOW_DAYS_MAX: Final = 366
LOSSES_MAX: Final = 100
# So many of the losses of a look are named in the fact; all of them are counted.
CASES_MAX: Final = 50
NOW: Final = "now"
NONE: Final = "none"
DENY: Final = "deny"
ACTIONS: Final = frozenset({"another_approver", DENY})
VERDICTS: Final = frozenset({"PROCESS_ERROR", "EXECUTION", "DATA", "PLANNED_LOSS", "UNKNOWN"})
_DAY_S: Final = 86_400


class Thresholds(NamedTuple):
    """The parameters, read."""

    window_days: int
    min_losses: int
    min_p: Decimal
    verdicts: frozenset[str]
    severe_r: Decimal | None
    denies: bool


class Evidence(NamedTuple):
    """The fact, read: its looks, the one of now first, and what is not known about the order."""

    looks: tuple[Look, ...]
    unknown: tuple[str, ...]


def similar_losses(params: Params) -> Built:
    """Fires on a rate above the base, or on one loss that was bad enough; what only shrinks the position passes."""
    limits = read_thresholds(params)

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        (key,) = keys
        evidence = read_evidence(fresh(case.facts, SIMILAR_LOSSES, key, case.now), key)
        fired = next((look for look in evidence.looks if _fires(look, limits)), None)
        if fired is None:
            return _passed(evidence, limits) if case.wordy else PASSED
        shrinks = case.priced.quantity <= reducible(case)
        if shrinks and not case.wordy:
            return PASSED
        return _fired(fired, evidence, limits, shrinks=shrinks)

    spec = FactSpec(FactKind.SIMILAR_LOSSES, ",".join(sorted(limits.verdicts)), limits.window_days * _DAY_S)

    def specs(ask: Ask) -> tuple[FactSpec, ...]:
        return (spec,)

    return Built(check, specs)


def read_thresholds(params: Params) -> Thresholds:
    """Raises Invalid RULE_PARAMS_INVALID."""
    return Thresholds(
        params.whole("window_days", low=1, high=WINDOW_DAYS_MAX),
        params.whole("min_losses", low=1, high=LOSSES_MAX),
        params.fraction("min_p_above_base"),
        params.words("verdicts", VERDICTS),
        params.amount_or_none("severe_r"),
        params.choice("action", ACTIONS) == DENY,
    )


def asks_another(findings: Iterable[Finding]) -> bool:
    """Whether one of them asks for an approver more. Several of them ask for one."""
    return ReasonCode.SIMILAR_LOSSES in [one.code for one in findings if one.verdict is LineVerdict.REQUIRE]


def cases_held(facts: Facts, evaluation: Evaluation) -> tuple[UUID, ...]:
    """The lost trades that such rules counted against an ask, each once: of every look at the facts it was judged by.
    None where no such rule asks for anybody or denies."""
    if not any(line.code == ReasonCode.SIMILAR_LOSSES for line in evaluation.lines):
        return ()
    values = [fact.values for key, fact in facts.items() if key.startswith(f"{FactKind.SIMILAR_LOSSES}:")]
    named = [str(text) for one in values for name, text in one.items() if name.endswith(".cases")]
    return tuple(dict.fromkeys(UUID(case) for text in named for case in text.split(" ")[1:]))


def read_evidence(fact: Fact, key: str) -> Evidence:
    """The fact as values. Raises Doubt for one that is not whole, or contradicts itself."""
    names = _listed(fact, "looks", key)
    if not names or names[0] != NOW or len(set(names)) != len(names):
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{key} looks")
    for name in ("tags", "violated"):
        _listed(fact, name, key)
    return Evidence(tuple(_look(fact, name, key) for name in names), _listed(fact, "unknown", key))


def _look(fact: Fact, name: str, key: str) -> Look:
    losses, wins = _whole(fact, f"{name}.losses", key), _whole(fact, f"{name}.wins", key)
    base = _part(fact, f"{name}.base", key)
    p = _or_none(fact, f"{name}.p", key)
    worst_r = _or_none(fact, f"{name}.worst_r", key)
    if (p is None) != (losses + wins == 0) or (p is not None and p > ONE):
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{key} {name}.p")
    if worst_r is not None and losses == 0:
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{key} {name}.worst_r")
    _check_cases(fact, f"{name}.cases", key, named=min(losses, CASES_MAX))
    return Look(name, losses, wins, base, p, worst_r)


def _fires(look: Look, limits: Thresholds) -> bool:
    return _is_severe(look, limits) or (
        look.losses >= limits.min_losses and look.p is not None and look.p >= limits.min_p
    )


def _is_severe(look: Look, limits: Thresholds) -> bool:
    return limits.severe_r is not None and look.worst_r is not None and look.worst_r >= limits.severe_r


def _fired(look: Look, evidence: Evidence, limits: Thresholds, *, shrinks: bool) -> Finding:
    severe = limits.severe_r if _is_severe(look, limits) else None
    said = sentence(
        look,
        unknown=evidence.unknown,
        window_days=limits.window_days,
        severe_r=severe,
        shrinks=shrinks,
        denies=limits.denies,
    )
    if shrinks:
        verdict, code = LineVerdict.PASS, ReasonCode.ONLY_SHRINKS
    else:
        verdict = LineVerdict.FAIL if limits.denies else LineVerdict.REQUIRE
        code = ReasonCode.SIMILAR_LOSSES
    if severe is not None and look.worst_r is not None:
        return Finding(verdict, code, look.worst_r, "<", severe, "R", said=said)
    return Finding(verdict, code, look.p or "", "<", limits.min_p, said=said)


def _passed(evidence: Evidence, limits: Thresholds) -> Finding:
    now = evidence.looks[0]
    said = sentence(now, unknown=evidence.unknown, window_days=limits.window_days)
    if now.p is None:
        return Finding(LineVerdict.PASS, ReasonCode.NO_COMPARABLE_TRADES, "n = 0", said=said)
    if now.losses < limits.min_losses:
        few, least = Decimal(now.losses), Decimal(limits.min_losses)
        return Finding(LineVerdict.PASS, ReasonCode.WITHIN_LIMIT, few, "<", least, "losses", said=said)
    return Finding(LineVerdict.PASS, ReasonCode.WITHIN_LIMIT, now.p, "<", limits.min_p, said=said)


def _whole(fact: Fact, name: str, key: str) -> int:
    value = amount(fact, name, key)
    if value % ONE:
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{key} {name}")
    return int(value)


def _part(fact: Fact, name: str, key: str) -> Decimal:
    value = amount(fact, name, key)
    if value > ONE:
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{key} {name}")
    return value


def _or_none(fact: Fact, name: str, key: str) -> Decimal | None:
    return None if fact.values.get(name) == NONE else amount(fact, name, key)


def _listed(fact: Fact, name: str, key: str) -> tuple[str, ...]:
    """Words behind their number: "2 no_stop oversized", and "0" for none. One that got lost is missed."""
    text = fact.values.get(name)
    if text is None:
        raise Doubt(ReasonCode.FACT_MISSING, f"{key} {name}")
    if not isinstance(text, str):
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{key} {name}")
    number, *names = text.split(" ")
    if number != str(len(names)) or not all(names):
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{key} {name}")
    return tuple(names)


def _check_cases(fact: Fact, name: str, key: str, *, named: int) -> None:
    cases = _listed(fact, name, key)
    try:
        ids = {UUID(case) for case in cases}
    except ValueError:
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{key} {name}") from None
    if len(ids) != len(cases) or len(cases) != named:
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{key} {name}")
