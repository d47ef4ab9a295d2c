"""The two questions asked of policy: what must be known, and what it says."""

from datetime import datetime

from apps.policies.rules.case import Case
from apps.policies.rules.compiled import compiled
from apps.policies.rules.judge import answers, judge
from apps.policies.rules.reading import fx_spec, instrument_spec, position_spec, quote_spec, trading_state_spec
from apps.policies.rules.remedy import find
from apps.policies.rules.wording import lines_of
from apps.policies.types import Ask, Evaluation, Facts, FactSpec, RuleLine, VersionRules


def facts_needed(version: VersionRules | None, ask: Ask) -> tuple[FactSpec, ...]:
    """Every fact that `evaluate` reads for this ask, each once. A fact that cannot be had is left out, and denies."""
    specs = [trading_state_spec(ask), instrument_spec(ask), quote_spec(ask), position_spec(ask)]
    if ask.quote_currency != ask.reporting_currency:
        specs.append(fx_spec(ask))
    if version is not None:
        for rule in compiled(version).rules:
            if rule.covers(ask):
                specs.extend(rule.specs(ask))
    return tuple(dict.fromkeys(specs))


def evaluate(
    version: VersionRules | None,
    ask: Ask,
    facts: Facts,
    now: datetime,
    *,
    approval_may_be_waived: bool = False,
    in_words: bool = False,
) -> Evaluation:
    """What policy says of an ask. Pure: the same arguments give the same answer, on any machine.

    Every rule is consulted, in no order that matters, and the most severe answer wins. Whatever is not known denies,
    and so does a rule that breaks down; nothing is raised for what an ask or a fact says. `approval_may_be_waived` lets
    a tier that needs nobody stand, on paper only. `in_words`: somebody will read the lines, so what they say is kept at
    once; otherwise the rules are asked again when somebody does.
    """
    ready = None if version is None else compiled(version)
    slippage = None if ready is None else ready.select(ask).market_slippage_bps
    case = Case(ask, facts, now, slippage, wordy=in_words)
    judgement = judge(ready, case, approval_may_be_waived)
    priced = case.priced_or_none()

    def word_lines() -> tuple[RuleLine, ...]:
        told = judgement if in_words else judge(ready, case.in_words(), approval_may_be_waived)
        return lines_of(answers(ready, case, told), ask)

    return Evaluation(
        outcome=judgement.outcome,
        tier=judgement.tier,
        remedy=find(ready, case, judgement, approval_may_be_waived) if judgement.codes else None,
        codes=tuple(map(str, judgement.codes)),
        notional=None if priced is None else priced.notional,
        worst_price=None if priced is None else priced.worst_price,
        quantity=None if priced is None else priced.quantity,
        rate=None if priced is None else case.fx,
        approval_may_be_waived=approval_may_be_waived,
        word_lines=word_lines,
    )
