"""Decisions on record: replayed byte for byte, never changed, and a changed one is found."""

import json
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from apps.accounts.models import Desk, User
from apps.audit.models import Alarm
from apps.common import canonical
from apps.policies.models import Decision
from apps.policies.rules import evaluate, inputs_bytes, replay, results_bytes, wording
from apps.policies.selectors import decisions_of, rules_of
from apps.policies.services import decisions, replays, versions
from apps.policies.tasks import replay_decisions
from apps.policies.types import Ask, Gate, VersionRules
from tests.factories.tampering import tamper
from tests.policies.cases import ALL_KINDS, KINDS_BEFORE_LESSONS, NOW, ask, facts
from tests.policies.cases import version as version_of
from tests.policies.rows import activated

pytestmark = pytest.mark.django_db


@pytest.fixture
def recorded(desk: Desk, risk: User, approver: User, now: datetime) -> list[Decision]:
    """One that needs people, one denied with a remedy, one denied for want of a version."""
    made = versions.create_set(slug="main", name="Main", desk_id=desk.pk, author=risk, now=now)
    policy = rules_of(activated(made, ALL_KINDS, risk, approver, now))
    found = []
    for version, wanted in ((policy, ask()), (policy, ask(quantity="500")), (None, ask())):
        known = facts(wanted, version)
        evaluation = evaluate(version, wanted, known, NOW)
        found.append(
            decisions.record(
                gate=Gate.PROPOSAL,
                subject="p-1",
                version=version,
                ask=wanted,
                facts=known,
                evaluation=evaluation,
                now=NOW,
            )
        )
    return found


def _replay(*options: str) -> tuple[int, Any]:
    out = StringIO()
    try:
        call_command("replay_decisions", "--json", *options, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def test_every_stored_decision_is_reproduced(recorded: list[Decision]) -> None:
    assert [row.outcome for row in recorded] == ["NEEDS_APPROVAL", "DENY", "DENY"]
    assert _replay() == (0, {"checked": 3, "differing": [], "other_evaluator": 0})
    assert list(decisions_of("p-1")) == sorted(recorded, key=lambda row: row.pk)


def test_since_leaves_out_the_older(recorded: list[Decision]) -> None:
    later = (NOW + timedelta(seconds=1)).isoformat()
    assert _replay("--since", later)[1]["checked"] == 0


def test_one_that_cannot_be_reproduced_is_named(recorded: list[Decision]) -> None:
    first = recorded[0]
    forged = Decision.objects.create(
        gate=first.gate,
        subject=first.subject,
        version=first.version,
        inputs=first.inputs,
        inputs_digest=first.inputs_digest,
        outcome="ALLOW",
        results=first.results,
        evaluator_version=first.evaluator_version,
        decided_at=first.decided_at,
    )
    status, report = _replay()
    assert (status, [row["decision"] for row in report["differing"]]) == (1, [str(forged.pk)])


def forged_of(row: Decision, decided_at: datetime) -> Decision:
    """The same inputs with another outcome."""
    return Decision.objects.create(
        gate=row.gate,
        subject="forged",
        version=row.version,
        inputs=row.inputs,
        inputs_digest=row.inputs_digest,
        outcome="ALLOW",
        results=row.results,
        evaluator_version=row.evaluator_version,
        decided_at=decided_at,
    )


def test_every_night_the_last_day_is_judged_again_and_nothing_older(recorded: list[Decision]) -> None:
    assert replays.watch(now=NOW + timedelta(hours=24)) == replays.Report(3, (), 0)
    forged_of(recorded[0], NOW)
    assert replays.watch(now=NOW + timedelta(hours=26)) == replays.Report(0, (), 0)
    assert not Alarm.objects.exists()


def test_one_that_differs_is_an_alarm_that_does_not_end_by_growing_old(recorded: list[Decision]) -> None:
    forged = forged_of(recorded[0], NOW)
    report = replays.watch(now=NOW + timedelta(hours=24))
    assert [row.decision for row in report.differing] == [str(forged.pk)]
    alarm = Alarm.objects.get(code="DECISION_NOT_REPRODUCED", subject="policy:decisions")
    assert str(forged.pk) in alarm.message
    replays.watch(now=NOW + timedelta(days=9))
    alarm.refresh_from_db()
    assert alarm.cleared_at is None
    tamper(forged, outcome=recorded[0].outcome)
    replays.watch(now=NOW + timedelta(days=9))
    alarm.refresh_from_db()
    assert alarm.cleared_at == NOW + timedelta(days=9)


def test_of_more_than_can_be_judged_the_newest_are_and_the_alarm_stays(
    recorded: list[Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = forged_of(recorded[0], NOW - timedelta(hours=1))
    assert len(replays.watch(now=NOW).differing) == 1
    monkeypatch.setattr(replays, "WATCHED_MAX", 3)
    assert replays.watch(now=NOW) == replays.Report(3, (), 0)
    assert Alarm.objects.get(code="DECISION_NOT_REPRODUCED").cleared_at is None
    tamper(forged, outcome=recorded[0].outcome)
    monkeypatch.setattr(replays, "WATCHED_MAX", 5)
    replays.watch(now=NOW)
    assert Alarm.objects.get(code="DECISION_NOT_REPRODUCED").cleared_at == NOW


def test_the_clock_runs_it(recorded: list[Decision]) -> None:
    assert replay_decisions() == 0


def test_one_of_another_evaluator_is_left_alone(recorded: list[Decision]) -> None:
    first = recorded[1]
    Decision.objects.create(
        gate=first.gate,
        subject="old",
        version=first.version,
        inputs=first.inputs,
        inputs_digest=first.inputs_digest,
        outcome=first.outcome,
        results=b"{}",
        evaluator_version=99,
        decided_at=first.decided_at,
    )
    assert _replay() == (0, {"checked": 3, "differing": [], "other_evaluator": 1})


def test_a_decision_never_changes(recorded: list[Decision]) -> None:
    rows = Decision.objects.filter(pk=recorded[1].pk)
    for attempt in (lambda: rows.update(outcome="ALLOW"), lambda: rows.delete()):
        with pytest.raises(IntegrityError), transaction.atomic():
            attempt()


def test_only_a_denial_can_do_without_a_version(recorded: list[Decision]) -> None:
    bare = recorded[2]
    with pytest.raises(IntegrityError), transaction.atomic():
        Decision.objects.create(
            gate=bare.gate,
            subject="x",
            inputs=bare.inputs,
            inputs_digest=bare.inputs_digest,
            outcome="ALLOW",
            results=bare.results,
            evaluator_version=1,
            decided_at=bare.decided_at,
        )


def test_the_words_do_not_depend_on_what_was_worded_before() -> None:
    """Lines are remembered; equal numbers that are written differently may read differently, and are told apart."""
    policy = version_of(*ALL_KINDS)
    asks = [ask(quantity=text, limit_price=price) for text in ("1", "1.0000000000") for price in ("100", "100.000")]

    def said(wanted: Ask) -> bytes:
        return results_bytes(evaluate(policy, wanted, facts(wanted, policy), NOW))

    alone = []
    for wanted in asks:
        wording._kept.cache_clear()
        alone.append(said(wanted))
    assert [said(wanted) for wanted in asks] == alone
    assert [said(wanted) for wanted in reversed(asks)] == alone[::-1]


def test_a_line_is_kept_as_the_bytes_of_its_fields() -> None:
    policy = version_of(*ALL_KINDS)
    for wanted in (ask(), ask(quantity="500")):
        lines = evaluate(policy, wanted, facts(wanted, policy), NOW).lines
        assert lines
        assert wording.lines_text(lines) == canonical.encoded([line._asdict() for line in lines])


@pytest.mark.parametrize("policy", [None, version_of(*ALL_KINDS)])
def test_judged_in_words_at_once_it_is_the_same_answer(policy: VersionRules | None) -> None:
    for wanted in (ask(), ask(quantity="500"), ask(side="SELL", quantity="3"), ask(quantity="0.000001")):
        known = facts(wanted, policy)
        for missing in (None, *known):
            found = {key: fact for key, fact in known.items() if key != missing}
            later, at_once = (evaluate(policy, wanted, found, NOW, in_words=at_once) for at_once in (False, True))
            assert at_once == later
            assert results_bytes(at_once) == results_bytes(later)


# Digests of inputs and of results as they were stored before there were venues where Aika only reads.
STORED_BEFORE = (
    (
        {},
        "29a9da4183dbd3fcf2248eeb30051ce1e738efa517963c2df974db707af7992f",
        "03f30b246cfae9ec0f9cd4923503c5e92ff33a48340fa1bda313115296ce4f73",
    ),
    (
        {"quantity": "500"},
        "0e60d5a1c75b2c7c2ae832a8fd7b66726c841307f787cc5acd2e8c41c770de9b",
        "3d6c6ed41909f02b7536f960e4bafea515b7bf38382e644e9871bff21ca529da",
    ),
    (
        {"side": "SELL", "quantity": "3"},
        "81cd9e85042d780f7484b574c7890f4f0f2a8b54b8e4a344f44112b2d47a2ca6",
        "7ffbe6873adbbb4a2ecd1fa76a5b239ba9cdbf3fbb331edf903913fb35fec9fd",
    ),
)
HOOD = {"TRADING_STATE": {"read_only_at": "Robinhood"}}


@pytest.mark.parametrize(("changes", "inputs", "results"), STORED_BEFORE)
def test_decisions_of_venues_that_trade_are_the_bytes_they_were(
    changes: dict[str, str], inputs: str, results: str
) -> None:
    policy, wanted = version_of(*KINDS_BEFORE_LESSONS), ask(**changes)
    known = facts(wanted, policy)
    raw = inputs_bytes(version=policy, ask=wanted, facts=known, now=NOW, approval_may_be_waived=False)
    assert canonical.digest(raw) == inputs
    assert canonical.digest(results_bytes(replay(raw))) == results
    # With a venue that is only read there is one line more, and nothing else is said otherwise.
    before = evaluate(policy, wanted, known, NOW)
    after = evaluate(policy, wanted, facts(wanted, policy, HOOD), NOW)
    assert (after.lines[0].code, after.codes[0]) == ("VENUE_READ_ONLY", "VENUE_READ_ONLY")
    assert (after.lines[1:], after.codes[1:]) == (before.lines, before.codes)


@pytest.mark.parametrize("policy", [None, version_of(*ALL_KINDS)])
def test_where_aika_only_reads_nothing_passes_whatever_else_is_known(policy: VersionRules | None) -> None:
    for state in ("ACTIVE", "REDUCING", "HALTED", "nonsense"):
        for age_s in (1, 10**6):
            known = facts(ask(), policy, {"TRADING_STATE": {"state": state, "read_only_at": ""}}, age_s=age_s)
            said = evaluate(policy, ask(), known, NOW, approval_may_be_waived=True)
            assert said.outcome == "DENY"
            assert said.codes[0] == "VENUE_READ_ONLY"
            assert said.remedy is not None
            assert said.remedy.value is None
