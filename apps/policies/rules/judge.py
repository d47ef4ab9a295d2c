"""The decision itself: every rule consulted, none short-circuits another, the most severe answer wins."""

from dataclasses import replace
from decimal import localcontext
from typing import NamedTuple

from apps.policies.rules.always import ALWAYS, APPROVAL_KEY, POLICY_KEY, READ_ONLY_KEY, SIZE_LIMIT_KEY, read_only
from apps.policies.rules.approvals import together
from apps.policies.rules.case import Case
from apps.policies.rules.compiled import ALWAYS_CHECKS, Bound, Compiled, Selection
from apps.policies.rules.finding import PASSED, Doubt, Finding
from apps.policies.rules.reading import EXACT
from apps.policies.rules.similar import asks_another
from apps.policies.types import LineVerdict, ReasonCode, Tier, Verdict

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
    """The outcome, the codes that deny, each once, who must approve, and the findings: all of them, in the order of
    `answers`, of a wordy case; of any other only those that say more than that they pass."""

    outcome: Verdict
    findings: list[Finding]
    codes: tuple[ReasonCode, ...]
    tier: Tier | None


def judge(compiled: Compiled | None, case: Case, approval_may_be_waived: bool) -> Judgement:
    """Consult everything about one case, with exact arithmetic whatever the thread's context is."""
    with localcontext(EXACT):
        if not case.is_read:
            _read(case)
        reads_only = read_only(case)
        first = [] if reads_only is None else [reads_only]
        if compiled is None:
            findings = first + _consult(ALWAYS_CHECKS, case)
            findings.append(NO_POLICY)
            return Judgement(Verdict.DENY, findings, _codes(findings), None)
        selection = compiled.select(case.ask)
        findings = first + _consult(selection.told if case.wordy else selection.checks, case)
    _add(findings, PASSED if selection.has_size_limit else _NO_LIMIT, case)
    tiers = [found.tier for found in findings if found.tier is not None]
    tier, finding = _approval(selection, case, tiers, approval_may_be_waived, another=asks_another(findings))
    _add(findings, finding, case)
    codes = _codes(findings)
    if codes:
        return Judgement(Verdict.DENY, findings, codes, tier)
    waived = tier is not None and tier.needed == 0
    return Judgement(Verdict.ALLOW if waived else Verdict.NEEDS_APPROVAL, findings, (), tier)


def answers(compiled: Compiled | None, case: Case, judgement: Judgement) -> list[Answered]:
    """All that every rule saw, from the judgement of a wordy case. The rules are pure, so asking them again for it
    changes nothing."""
    names = [] if read_only(case) is None else [(READ_ONLY_KEY, "always")]
    names += [(key, "always") for key, _, _ in ALWAYS]
    if compiled is None:
        names.append((POLICY_KEY, "always"))
    else:
        names.extend((rule.row.key, str(rule.row.kind)) for rule in compiled.rules)
        names.extend(((SIZE_LIMIT_KEY, "always"), (APPROVAL_KEY, "always")))
    return [Answered(key, kind, finding) for (key, kind), finding in zip(names, judgement.findings, strict=True)]


def _read(case: Case) -> None:
    try:
        case.read()
    except Exception:  # noqa: BLE001  what is in doubt is left to the rules, each of which meets it and denies
        return


def _add(findings: list[Finding], finding: Finding, case: Case) -> None:
    if finding is not PASSED or case.wordy:
        findings.append(finding)


def _consult(checks: tuple[Bound, ...], case: Case) -> list[Finding]:
    findings, wordy = [], case.wordy
    for check, keys in checks:
        try:
            finding = check(case, keys)
        except Doubt as doubt:
            finding = doubt.finding
        except Exception as error:  # noqa: BLE001  a rule that breaks down must deny, whatever broke it
            finding = Doubt(ReasonCode.RULE_FAILED, type(error).__name__).finding
        if finding is not PASSED or wordy:
            findings.append(finding)
    return findings


def _approval(
    selection: Selection, case: Case, tiers: list[Tier], approval_may_be_waived: bool, *, another: bool
) -> tuple[Tier | None, Finding]:
    """What all approval rules in scope ask for together; nobody (a tier of none) only on paper, and where that is
    switched on. `another`: one more than that, who is never waived."""
    if not tiers:
        # A rule in scope that denied for itself has its own line; only the absence of any is told here.
        return None, PASSED if selection.has_approvals else _NO_APPROVAL
    tier = together(tiers)
    if not tier.roles:
        return None, _CONFLICT
    if tier.needed == 0:
        waives = approval_may_be_waived and case.ask.environment == "paper"
        if waives and not another:
            return tier, _WAIVED
        tier = replace(tier, needed=0 if waives else 1)
    if another:
        tier = replace(tier, needed=tier.needed + 1, difference=True)
    return tier, Finding(LineVerdict.REQUIRE, ReasonCode.APPROVAL_REQUIRED, tier=tier) if case.wordy else PASSED


def _codes(findings: list[Finding]) -> tuple[ReasonCode, ...]:
    return tuple(dict.fromkeys([finding.code for finding in findings if finding.verdict in _DENYING]))
