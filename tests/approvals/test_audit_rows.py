"""The tables against the log: what the desk itself does never differs, and a row changed past it is named."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, models
from django.utils import timezone

from apps.accounts.services.people import actor_of
from apps.approvals import tasks
from apps.approvals.models import Vote
from apps.approvals.services import decide
from apps.audit.models import Alarm, Event
from apps.policies.models import Reservation, ReservedAmount
from apps.trades.models import Order, Proposal
from apps.trades.rules.log_fold import fold
from apps.trades.services import cancels, sweeps, withdrawals
from tests.factories.desk import BTC, PaperDesk
from tests.factories.tampering import guards_lifted, tamper

pytestmark = pytest.mark.django_db


@dataclass
class Day:
    """What a desk did: an order that filled, one that rests, a proposal that nobody decided, and others that ended."""

    filled: Order
    resting: Order


@pytest.fixture
def day(paper: PaperDesk) -> Day:
    paper.simulator.pin_price(BTC, "64000")
    bought, rests = paper.propose(), paper.propose(limit_price=Decimal(60_000))
    for proposal in (bought, rests):
        paper.approve(proposal)
        paper.execute(proposal)
        paper.poll(proposal)
    paper.propose(quantity=Decimal(5_000))
    paper.propose(quantity=Decimal("0.011"))
    declined = paper.propose(quantity=Decimal("0.012"))
    decide.decline(
        proposal_id=declined.pk, approver=paper.approver, digest=declined.digest, comment="No.", now=timezone.now()
    )
    return Day(paper.order_of(bought), paper.order_of(rests))


def audit_rows() -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    try:
        call_command("audit_rows", "--json", stdout=out, stderr=io.StringIO())
    except SystemExit as end:
        return int(end.code or 0), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def codes() -> set[str]:
    return {finding["code"] for finding in audit_rows()[1]["findings"]}


def test_what_the_desk_does_is_what_its_log_says(day: Day) -> None:
    assert day.filled.state == "FILLED" and day.filled.fills.exists() and day.resting.state == "ACCEPTED"
    assert set(Proposal.objects.values_list("state", flat=True)) == {
        "APPROVED",
        "DENIED",
        "AWAITING_APPROVAL",
        "DECLINED",
    }
    assert audit_rows() == (0, {"proposals": 5, "votes": 3, "findings": [], "cut_off": False})


def test_nor_does_it_differ_after_a_cancel_a_withdrawal_and_an_expiry(paper: PaperDesk, day: Day) -> None:
    cancels.request_cancel(
        order_id=day.resting.pk, actor=actor_of(paper.approver), reason="Too far off.", now=timezone.now()
    )
    paper.cancel(day.resting.proposal)
    withdrawn = Proposal.objects.get(state="AWAITING_APPROVAL")
    withdrawals.withdraw(proposal_id=withdrawn.pk, principal=paper.principal, reason="", now=timezone.now())
    late = paper.propose(quantity=Decimal("0.013"))
    sweeps.expire_due(now=late.expires_at + timedelta(seconds=1))
    states = set(Proposal.objects.values_list("state", flat=True))
    assert {"WITHDRAWN", "EXPIRED"} <= states and Order.objects.filter(state="CANCELED").exists()
    assert audit_rows()[0] == 0


def rows(day: Day) -> dict[str, models.Model]:
    return {
        "proposal": day.filled.proposal,
        "authority": day.filled.authority,
        "order": day.filled,
        "resting": day.resting,
        "fill": day.filled.fills.all()[0],
        "vote": Vote.objects.filter(proposal=day.filled.proposal).get(),
        "reservation": Reservation.objects.get(source=str(day.resting.pk)),
        "amount": ReservedAmount.objects.filter(reservation__source=str(day.resting.pk), amount_minor__gt=0)[0],
    }


CHANGES: list[tuple[str, dict[str, object], str]] = [
    ("proposal", {"state": "DECLINED"}, "PROPOSAL_DIFFERS"),
    ("proposal", {"end_code": "ELSE"}, "PROPOSAL_DIFFERS"),
    ("proposal", {"digest": "0" * 64}, "PROPOSAL_DIFFERS"),
    ("proposal", {"quantity": Decimal("0.02")}, "SEAL_DIFFERS"),
    ("proposal", {"rationale": "Something else."}, "SEAL_DIFFERS"),
    ("authority", {"needed": 2}, "AUTHORITY_DIFFERS"),
    ("authority", {"approvers": ["somebody"]}, "AUTHORITY_DIFFERS"),
    ("authority", {"seen_price": Decimal(1)}, "SEAL_DIFFERS"),
    ("order", {"state": "CANCELED"}, "ORDER_STANDS_ELSE"),
    ("order", {"venue_order_id": "another"}, "ORDER_STANDS_ELSE"),
    ("order", {"filled_quantity": Decimal("0.5")}, "ORDER_STANDS_ELSE"),
    ("order", {"fees": Decimal(0)}, "ORDER_STANDS_ELSE"),
    ("order", {"worst_price": Decimal(1)}, "SEAL_DIFFERS"),
    ("resting", {"state": "FILLED"}, "ORDER_STANDS_ELSE"),
    ("fill", {"price": Decimal(1)}, "FILL_STANDS_ELSE"),
    ("fill", {"fee": Decimal(0)}, "FILL_STANDS_ELSE"),
    ("fill", {"quantity": Decimal("0.001")}, "FILL_STANDS_ELSE"),
    ("fill", {"venue_fill_id": "another"}, "FILL_UNTOLD"),
    ("vote", {"comment": "I never said so."}, "VOTE_DIFFERS"),
    ("vote", {"digest": "0" * 64}, "VOTE_DIFFERS"),
    ("vote", {"verb": "DECLINE"}, "VOTE_DIFFERS"),
    ("reservation", {"state": "RELEASED", "ended_at": timezone.now()}, "RESERVATION_STANDS_ELSE"),
    ("reservation", {"source": "another"}, "RESERVATION_MISSING"),
    ("amount", {"amount_minor": 1, "held_minor": 1}, "RESERVATION_STANDS_ELSE"),
]


@pytest.mark.parametrize(
    ("which", "columns", "code"), CHANGES, ids=[f"{row[0]} {next(iter(row[1]))}" for row in CHANGES]
)
def test_a_row_changed_past_the_application_is_named(
    day: Day, which: str, columns: dict[str, object], code: str
) -> None:
    row = rows(day)[which]
    tamper(row, **columns)
    status, report = audit_rows()
    assert status == 1
    assert code in {finding["code"] for finding in report["findings"]}


def delete(row: models.Model) -> None:
    with guards_lifted(row._meta.db_table):
        models.QuerySet(type(row)).filter(pk=row.pk)._raw_delete(using="default")


def test_rows_that_are_gone_are_missed(day: Day) -> None:
    delete(Vote.objects.filter(proposal=day.filled.proposal).get())
    delete(day.filled.fills.all()[0])
    assert {"VOTE_MISSING", "FILL_MISSING"} <= codes()


def test_rows_that_nothing_tells_of_are_named(day: Day) -> None:
    fill = day.filled.fills.all()[0]
    fill.pk, fill.venue_fill_id = None, "made up"
    fill._state.adding = True
    fill.save(force_insert=True)
    vote = Vote.objects.filter(proposal=day.filled.proposal).get()
    other = Vote.objects.exclude(pk=vote.pk)[0]
    tamper(other, id="00000000-0000-4000-8000-000000000000")
    assert {"FILL_UNTOLD", "ORDER_STANDS_ELSE", "VOTE_UNTOLD", "VOTE_MISSING"} <= codes()


def test_a_proposal_without_its_events_and_events_without_their_proposal_are_named(day: Day) -> None:
    waiting = Proposal.objects.get(state="AWAITING_APPROVAL")
    first = Event.objects.get(stream=f"proposal:{waiting.pk}")
    with guards_lifted("audit_event", "audit_streamhead"), connection.cursor() as cursor:
        for table in ("audit_event", "audit_streamhead"):
            cursor.execute(
                f'UPDATE "{table}" SET stream = %s WHERE stream = %s',  # noqa: S608  two constants
                ["proposal:00000000-0000-4000-8000-000000000000", first.stream],
            )
    assert {"EVENTS_MISSING", "ROW_MISSING"} <= codes()


def test_an_event_that_cannot_be_read_is_named_and_the_rest_is_compared(day: Day) -> None:
    event = Event.objects.filter(stream=f"proposal:{day.filled.proposal_id}")[0]
    tamper(event, body=b"{}")
    tamper(day.resting, state="FILLED")
    assert {"EVENT_UNREADABLE", "ORDER_STANDS_ELSE"} <= codes()


def test_every_night_an_alarm_says_where_and_ends_once_all_is_right_again(day: Day) -> None:
    assert tasks.audit_rows() == 0
    assert not Alarm.objects.exists()
    before = day.resting.state
    tamper(day.resting, state="FILLED")
    assert tasks.audit_rows() == 1
    alarm = Alarm.objects.get(code="ROWS_DIFFER_FROM_LOG", subject="audit:rows", cleared_at=None)
    assert f"order {day.resting.pk}" in alarm.message and "audit_rows" in alarm.message
    day.resting.state = "FILLED"
    tamper(day.resting, state=before)
    assert tasks.audit_rows() == 0
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None


def test_it_reads_no_more_for_more_rows(
    paper: PaperDesk, day: Day, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    with django_assert_max_num_queries(40) as first:
        audit_rows()
    for _ in range(5):
        paper.propose()
    with django_assert_max_num_queries(len(first)):
        audit_rows()


def test_a_fold_goes_by_the_events_alone() -> None:
    def fact(kind: str, subject: str, **payload: object) -> dict[str, object]:
        return {"kind": kind, "subject": subject, "payload": payload}

    folded = fold(
        "p",
        [
            fact("proposal.proposed", "p", state="AWAITING_APPROVAL", codes=[], digest="d"),
            fact("vote.approve", "p", vote="v"),
            fact("proposal.approved", "p", state="APPROVED", code="APPROVED", order="o"),
            fact("order.submitted", "o", state="SUBMITTED"),
            fact("order.accepted", "o", state="ACCEPTED", venue_order_id="at-venue"),
            fact("order.cancel_told", "o", state="CANCEL_REQUESTED", answer="YES"),
        ],
    )
    assert (folded.state, folded.code, folded.begun["digest"]) == ("APPROVED", "APPROVED", "d")
    order = folded.orders["o"]
    assert (order.state, order.venue_order_id, order.fills) == ("CANCEL_REQUESTED", "at-venue", {})
    with pytest.raises(KeyError):
        fold("p", [fact("order.submitted", "nobody's", state="SUBMITTED")])
