"""What policy asks of the memory: whether trades like a proposal lost more often than the desk's others.

A proposal is held against what was known of it when it was made (`ProposalFacts`), at every gate. What the memory said
then stays beside what it says now, so that nothing that is reviewed or grows old meanwhile lets an order out.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from apps.common import canonical
from apps.common.decimals import decimal_text
from apps.lessons.rules import kept_facts
from apps.lessons.rules.detectors import DETECTORS
from apps.lessons.rules.mistakes import tags_of
from apps.lessons.selectors.evidence import evidence
from apps.lessons.services import holding
from apps.lessons.types import Evidence
from apps.lessons.types import Fact as Known
from apps.policies.rules.similar import CASES_MAX, NONE, NOW, cases_held
from apps.policies.types import Evaluation, Fact, Facts, FactSpec
from apps.trades.models import Proposal
from apps.trades.services import lesson_facts
from apps.trades.services.gathering import DAY_S, Gathering

ASKED: Final = "asked"


def similar_losses(g: Gathering, spec: FactSpec) -> Fact:
    """The evidence as a fact: the count of now, and of when it was proposed for what is stored already."""
    known, asked = _of_proposal(g.proposal_id, spec) if g.proposal_id else (lesson_facts.at_proposal(g).facts, {})
    found = _evidence(g, spec, known)
    looks = {NOW: found} | {f"{NOW}:{name}": one for name, one in found.supposing.items()}
    values = {
        "tags": _listed(found.tags),
        "violated": _listed([one.name for one in known if one.violated]),
        "unknown": _listed(found.unknown_facts),
    }
    for name, one in looks.items():
        values |= _look(name, one)
    names = [*looks, *sorted({name.rpartition(".")[0] for name in asked})]
    return Fact(values={"looks": _listed(names), **values, **asked}, as_of=g.now)


def hold(proposal: Proposal, facts: Facts, evaluation: Evaluation, *, desk_id: UUID, now: datetime) -> None:
    """Keep which lost trades were counted against this proposal, and whose it is: they do not review these. Nothing is
    written where no rule asks for anything. In the transaction that keeps the decision."""
    cases = cases_held(facts, evaluation)
    if cases:
        holding.hold(desk_id=desk_id, proposal_id=proposal.pk, person_id=proposal.proposer_id, cases=cases, now=now)


def unknown(known: Sequence[Known]) -> list[str]:
    """What could have been known when it was proposed, and was not; all of it where nothing was kept."""
    names = {one.name for one in known}
    missing = [one.name for one in DETECTORS if one.limit is not None and not one.afterwards and one.name not in names]
    return [one.name for one in known if one.value is None and one.limit is not None] + missing


def _evidence(g: Gathering, spec: FactSpec, known: Sequence[Known]) -> Evidence:
    """What the memory counts, looked up once a moment for what is alike in all it is asked by."""
    tags, violated = tuple(one.tag.value for one in tags_of(known)), tuple(one.name for one in known if one.violated)
    missing = tuple(unknown(known))
    key = spec.key, tags, violated, missing
    if key not in g.moment.evidence:
        g.moment.evidence[key] = evidence(
            desk_id=g.connection.desk_id,
            tags=tags,
            violated_facts=violated,
            unknown_facts=missing,
            window_days=(spec.window_s or 0) // DAY_S,
            verdicts=spec.scope.split(","),
            now=g.remembered_at,
            closed=g.closed_cases.get(spec.key),
        )
    return g.moment.evidence[key]


def _of_proposal(proposal_id: UUID, spec: FactSpec) -> tuple[tuple[Known, ...], dict[str, str]]:
    """What was known of a stored proposal, and the looks of its first decision under their name of today."""
    rows = Proposal.objects.filter(pk=proposal_id).values_list("known_then__facts", "decision__inputs")
    kept, inputs = rows.get()
    facts = canonical.decode(bytes(inputs))["facts"]
    then = facts[spec.key]["values"] if isinstance(facts, dict) and spec.key in facts else {}
    looks = then.get("looks", "").split(" ")[1:]
    return kept_facts.facts_of(kept or ()), {
        f"{ASKED}{name.removeprefix(NOW)}": text for name, text in then.items() if name.rpartition(".")[0] in looks
    }


def _look(name: str, found: Evidence) -> dict[str, str]:
    values = {
        "losses": str(found.losses),
        "wins": str(found.wins),
        "base": _text(found.base_rate),
        "p": _text(found.p_above_base),
        "worst_r": _text(found.worst_r),
        "cases": _listed([str(case) for case in found.case_ids[:CASES_MAX]]),
    }
    return {f"{name}.{key}": text for key, text in values.items()}


def _text(value: Decimal | None) -> str:
    return NONE if value is None else decimal_text(value)


def _listed(names: Sequence[str]) -> str:
    """As policy reads lists: their number first, so that one that got lost is missed."""
    return " ".join([str(len(names)), *names])
