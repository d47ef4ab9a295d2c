"""The decision itself: every rule consulted, none short-circuits another, the most severe answer wins."""

from decimal import localcontext
from typing import NamedTuple

from apps.policies.rules.always import ALWAYS, APPROVAL_KEY, POLICY_KEY, SIZE_LIMIT_KEY
from apps.policies.rules.approvals import together
from apps.policies.rules.built import Check
from apps.policies.rules.case import Case
from apps.policies.rules.compiled import Compiled
from apps.policies.rules.finding import OUT_OF_SCOPE, Doubt, Finding
from apps.policies.rules.reading import EXACT
from apps.policies.types import LineVerdict, ReasonCode, Tier, Verdict

_PASSED = Finding(LineVerdict.PASS, ReasonCode.WITHIN_LIMIT)
NO_POLICY = Finding(LineVerdict.FAIL, ReasonCode.NO_ACTIVE_POLICY)
_NO_LIMIT = Finding(LineVerdict.FAIL, ReasonCode.NO_LIMIT_SET)
_NO_APPROVAL = Finding(LineVerdict.FAIL, ReasonCode.NO_APPROVAL_RULE)
_CONFLICT = Finding(LineVerdict.FAIL, ReasonCode.APPROVAL_RULES_CONFLICT)
_WAIVED = Finding(LineVerdict.PASS, ReasonCode.APPROVAL_WAIVED)
_DENYING = (LineVerdict.FAIL, LineVerdict.ERROR)


class Answered(NamedTuple):
    """A finding with the rule it came from: its key and its kind ("always" for the checks no row can switch off)."""

    key: str
    kind: str
    finding: Finding


class Judgement(NamedTuple):
    """The outcome and everything it rests on; `codes` are those that deny, each once, in the order of the lines."""

    outcome: Verdict
    answers: list[Answered]
    codes: tuple[ReasonCode, ...]
    tier: Tier | None


def judge(compiled: Compiled | None, case: Case, approval_may_be_waived: bool) -> Judgement:
    """Consult everything about one case, with exact arithmetic whatever the thread's context is."""
    with localcontext(EXACT):
        answers = [Answered(key, "always", _ask_rule(check, case)) for key, _, check in ALWAYS]
        if compiled is None:
            answers.append(Answered(POLICY_KEY, "always", NO_POLICY))
            return Judgement(Verdict.DENY, answers, _codes(answers), None)
        tiers: list[Tier] = []
        for rule in compiled.rules:
            finding = _ask_rule(rule.check, case) if rule.covers(case.ask) else OUT_OF_SCOPE
            if finding.tier is not None:
                tiers.append(finding.tier)
            answers.append(Answered(rule.row.key, rule.row.kind, finding))
    covered = any(rule.covers(case.ask) for rule in compiled.size_limits)
    answers.append(Answered(SIZE_LIMIT_KEY, "always", _PASSED if covered else _NO_LIMIT))
    tier, finding = _approval(compiled, case, tiers, approval_may_be_waived)
    answers.append(Answered(APPROVAL_KEY, "always", finding))
    codes = _codes(answers)
    if codes:
        return Judgement(Verdict.DENY, answers, codes, tier)
    return Judgement(Verdict.ALLOW if tier is None else Verdict.NEEDS_APPROVAL, answers, (), tier)


def _ask_rule(check: Check, case: Case) -> Finding:
    try:
        return check(case)
    except Doubt as doubt:
        return doubt.finding
    except Exception as error:  # noqa: BLE001  a rule that breaks down must deny, whatever broke it: silence is no yes
        return Doubt(ReasonCode.RULE_FAILED, type(error).__name__).finding


def _approval(
    compiled: Compiled, case: Case, tiers: list[Tier], approval_may_be_waived: bool
) -> tuple[Tier | None, Finding]:
    """What all approval rules in scope ask for together; nobody only on paper, and where that is switched on."""
    if not tiers:
        # A rule in scope that denied for itself has its own line; only the absence of any is told here.
        covered = any(rule.covers(case.ask) for rule in compiled.approvals)
        return None, _PASSED if covered else _NO_APPROVAL
    tier = together(tiers)
    if not tier.roles:
        return None, _CONFLICT
    if tier.needed == 0:
        if approval_may_be_waived and case.ask.environment == "paper":
            return None, _WAIVED
        tier = Tier(1, tier.roles, tier.drift_bps, tier.quote_age_s)
    return tier, Finding(LineVerdict.REQUIRE, ReasonCode.APPROVAL_REQUIRED, tier=tier)


def _codes(answers: list[Answered]) -> tuple[ReasonCode, ...]:
    return tuple(dict.fromkeys(answer.finding.code for answer in answers if answer.finding.verdict in _DENYING))
