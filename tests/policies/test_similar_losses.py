"""Trades like this one: at the limit and beyond, what the rule asks for, what it says, and what does not escape it."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from apps.lessons.types import CaseVerdict
from apps.policies.rules import inputs_bytes, replay, results_bytes
from apps.policies.rules.similar import VERDICTS
from apps.policies.types import Evaluation, RuleRow, Tier, Verdict
from tests.policies.cases import APPROVALS, NOTIONAL, NOW, SIMILAR, ask, facts, judged, line, rule, version
from tests.policies.comparable import evidence, look

NOBODY = rule("approvals", "approvals_required", tiers=[{"needed": "0", "roles": ["approver"]}])
ASKS = Tier(2, ("approver",), difference=True)


def _with(**params: object) -> RuleRow:
    return replace(SIMILAR, params={**SIMILAR.params, **params})


def _judged(*looks: Mapping[str, str], row: RuleRow = SIMILAR, unknown: str = "0", **changes: str) -> Evaluation:
    return judged(row, of=ask(**changes), changes=evidence(*looks, unknown=unknown))


@pytest.mark.parametrize(
    ("found", "fires"),
    [
        # Of three that all lost, where 40 % is usual, 1 - .4^4 = .9744; at the limit of a rule, and one beyond.
        (look("now", 3, 0), True),
        (look("now", 2, 0), False),
        (look("now", 3, 1), False),
        (look("now", 5, 1), True),
        (look("now", 3, 0, base="0.472"), True),
        (look("now", 3, 0, base="0.473"), False),
        (look("now", 40, 50), False),
        (look("now", 60, 40), True),
        (look("now", 0, 9), False),
        (look("now", 0, 0), False),
        (look("now", 1, 9, worst_r="3"), True),
        (look("now", 1, 9, worst_r="2.99999999"), False),
    ],
)
def test_it_fires_on_enough_losses_that_are_more_than_usual_or_on_a_terrible_one(
    found: Mapping[str, str], fires: bool
) -> None:
    said = _judged(found)
    assert said.outcome == Verdict.NEEDS_APPROVAL
    assert said.tier == (ASKS if fires else Tier(1, ("approver",)))
    assert (line(said, "similar").verdict, line(said, "similar").code == "SIMILAR_LOSSES") == (
        "REQUIRE" if fires else "PASS",
        fires,
    )
    denied = _judged(found, row=_with(action="deny"))
    assert (denied.outcome, denied.codes) == ((Verdict.DENY, ("SIMILAR_LOSSES",)) if fires else (said.outcome, ()))


def test_the_probability_is_held_against_the_threshold_exactly() -> None:
    """Of three that lost where half do: 1 - .5^4."""
    at, beyond = (
        _judged(look("now", 3, 0, base="0.5"), row=_with(min_p_above_base=p)) for p in ("0.9375", "0.93750001")
    )
    assert (at.tier, beyond.tier) == (ASKS, Tier(1, ("approver",)))


def test_one_terrible_loss_is_enough_only_where_the_rule_says_so() -> None:
    calm = {name: value for name, value in SIMILAR.params.items() if name != "severe_r"}
    assert _judged(look("now", 1, 9, worst_r="40"), row=replace(SIMILAR, params=calm)).tier == Tier(1, ("approver",))


def test_no_size_would_pass_where_it_denies() -> None:
    said = _judged(look("now", 4, 0), row=_with(action="deny"))
    assert said.remedy is not None
    assert (said.remedy.value, said.remedy.bound) == (None, "none")
    assert "Trades like this one lost more often" in said.remedy.sentence


def test_what_only_shrinks_the_position_passes() -> None:
    for row in (SIMILAR, _with(action="deny")):
        out = _judged(look("now", 4, 0), row=row, side="SELL", quantity="9")
        assert (out.outcome, out.tier) == (Verdict.NEEDS_APPROVAL, Tier(1, ("approver",)))
        assert line(out, "similar").code == "ONLY_SHRINKS"
        assert line(out, "similar").message.endswith("The order passes because it only shrinks the position.")
        more = _judged(look("now", 4, 0), row=row, side="SELL", quantity="9.0001")
        assert line(more, "similar").code == "SIMILAR_LOSSES"


@pytest.mark.parametrize("name", ["asked", "now:has_resting_stop", "now:all", "asked:has_resting_stop"])
def test_no_look_makes_up_for_another(name: str) -> None:
    """A field that was left empty, and time that went by since it was proposed, take nothing back."""
    said = _judged(look("now", 0, 30), look(name, 3, 0), unknown="1 has_resting_stop")
    assert said.tier == ASKS
    assert _judged(look("now", 3, 0), look(name, 0, 30)).tier == ASKS


def test_several_rules_ask_for_one_more_together() -> None:
    again = replace(SIMILAR, key="again")
    said = judged(SIMILAR, again, changes=evidence(look("now", 3, 0)))
    assert said.tier == ASKS
    two = rule("two", "approvals_required", tiers=[{"needed": "2", "roles": ["approver", "risk"]}])
    assert judged(SIMILAR, two, APPROVALS, changes=evidence(look("now", 3, 0))).tier == replace(ASKS, needed=3)


@pytest.mark.parametrize(("waived", "needed"), [(True, 1), (False, 2)])
def test_whom_it_asks_for_is_never_waived(waived: bool, needed: int) -> None:
    said = judged(NOBODY, SIMILAR, changes=evidence(look("now", 3, 0)), waived=waived)
    assert (said.outcome, said.tier) == (Verdict.NEEDS_APPROVAL, replace(ASKS, needed=needed))
    calm = judged(NOBODY, SIMILAR, changes=evidence(look("now", 0, 0)), waived=waived)
    assert calm.outcome == (Verdict.ALLOW if waived else Verdict.NEEDS_APPROVAL)


def test_nothing_comparable_is_said_to_be_nothing_and_never_safe() -> None:
    said = line(_judged(look("now", 0, 0)), "similar")
    assert (said.verdict, said.code, said.observed, said.limit) == ("PASS", "NO_COMPARABLE_TRADES", "n = 0", "")
    assert said.message == "No comparable trades (n = 0)."
    for shown in (said.message, _judged(look("now", 1, 2)).lines[-1].message):
        assert "safe" not in shown.lower()


@pytest.mark.parametrize(
    ("looks", "unknown", "sentence"),
    [
        (
            [look("now", 0, 0)],
            "2 has_resting_stop size_of_limit",
            "No comparable trades (n = 0). Not known of this order: has resting stop and size of limit; that does not "
            "speak for it.",
        ),
        (
            [look("now", 1, 2)],
            "0",
            "1 of 3 similar trades in 30 days lost, of the others 40 %: 47 % sure that they lose more often.",
        ),
        (
            [look("now", 3, 0)],
            "0",
            "3 of 3 similar trades in 30 days lost, of the others 40 %: 97 % sure that they lose more often. One more "
            "person must approve, and each says what is different this time.",
        ),
        (
            [look("now", 1, 0, worst_r="3.456")],
            "0",
            "A trade with the same mistake lost 3.46 R, and from 3 R one of them is enough. One more person must "
            "approve, and each says what is different this time.",
        ),
        (
            [look("now", 0, 0), look("now:has_resting_stop", 3, 0)],
            "1 has_resting_stop",
            "If has resting stop, which is not known, is as bad as it was then: 3 of 3 similar trades in 30 days lost, "
            "of the others 40 %: 97 % sure that they lose more often. Not known of this order: has resting stop; that "
            "does not speak for it. One more person must approve, and each says what is different this time.",
        ),
        (
            [look("now", 0, 0), look("asked", 3, 0)],
            "0",
            "When it was proposed: 3 of 3 similar trades in 30 days lost, of the others 40 %: 97 % sure that they lose "
            "more often. One more person must approve, and each says what is different this time.",
        ),
    ],
)
def test_what_it_says(looks: list[Mapping[str, str]], unknown: str, sentence: str) -> None:
    assert line(_judged(*looks, unknown=unknown), "similar").message == sentence


def test_who_is_asked_is_said_with_what_they_write() -> None:
    said = line(_judged(look("now", 3, 0)), "always/approval")
    assert said.message == "Two people must approve, each saying what is different this time: approver."


def test_the_numbers_of_the_line_are_those_it_turned_on() -> None:
    for looks, row, numbers in (
        (look("now", 3, 0, base="0.5"), _with(min_p_above_base="0.9"), ("0.9375", "<", "0.9", "")),
        (look("now", 1, 9, worst_r="4"), SIMILAR, ("4", "<", "3", "R")),
        (look("now", 2, 0), SIMILAR, ("2", "<", "3", "losses")),
        (look("now", 3, 3, base="0.5"), SIMILAR, ("0.5", "<", "0.95", "")),
    ):
        found = line(_judged(looks, row=row), "similar")
        assert (found.observed, found.operator, found.limit, found.unit) == numbers
        assert (found.used_fraction, found.room_left) == (None, None)


def test_the_evidence_is_frozen_with_the_decision() -> None:
    changes = evidence(look("now", 3, 0), look("now:event", 4, 1), unknown="1 event")
    policy = version(SIMILAR, NOTIONAL, APPROVALS)
    known = facts(ask(), policy, changes)
    raw = inputs_bytes(version=policy, ask=ask(), facts=known, now=NOW, approval_may_be_waived=False)
    for part in (
        "now.losses",
        "now.base",
        "now.p",
        "00000000-0000-0000-0000-000000000003",
        "min_p_above_base",
        "event",
    ):
        assert part.encode() in raw
    again = replay(raw)
    assert again.tier == ASKS
    assert b'"difference":true' in results_bytes(again)
    assert b"difference" not in results_bytes(_judged(look("now", 0, 0)))


@pytest.mark.parametrize(
    "changed",
    [
        {"looks": "1 asked"},
        {"looks": "2 now now"},
        {"looks": "0"},
        {"looks": "2 now then"},
        {"now.losses": "1.5"},
        {"now.losses": "3"},
        {"now.base": "1.1"},
        {"now.p": "1.000000001"},
        {"now.p": "none"},
        {"now.losses": "0", "now.cases": "0"},
        {"now.losses": "0", "now.wins": "0", "now.worst_r": "none", "now.cases": "0"},
        {"now.cases": "1 44444444"},
        {"now.cases": "2 44444444-4444-4444-8444-444444444444 44444444-4444-4444-8444-444444444444"},
        {"unknown": "2 has_resting_stop"},
        {"unknown": "2 has_resting_stop "},
    ],
)
def test_evidence_that_contradicts_itself_denies(changed: Mapping[str, str]) -> None:
    said = judged(SIMILAR, changes={"SIMILAR_LOSSES": changed})
    assert (said.outcome, bool({"FACT_MALFORMED", "FACT_MISSING"} & set(said.codes))) == (Verdict.DENY, True)


def test_the_verdicts_are_those_that_the_memory_gives() -> None:
    assert {verdict.value for verdict in CaseVerdict} == VERDICTS
