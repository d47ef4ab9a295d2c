"""Approvals waived: policy approves a paper proposal by itself where setting and tier both say so, nowhere else."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.approvals.models import Vote
from apps.approvals.services import decide
from apps.audit.models import Event
from apps.audit.selectors import facts_of
from apps.common import tasks as publishing
from apps.common.errors import Conflict
from apps.connectors.models import Connection
from apps.connectors.types import Side
from apps.policies.models import Decision, Reservation
from apps.trades.models import Authority, Order, Proposal
from apps.trades.services import approval, sweeps
from tests.factories.desk import PaperDesk
from tests.factories.tampering import guards_lifted, tamper
from tests.factories.trading import ONE_NEEDED, change_policy, halt, kinds, learn, move, replayed, rules_with, sent

pytestmark = pytest.mark.django_db

NOBODY_NEEDED = [{"up_to": "2500", "needed": "0", "roles": ["approver"]}, {"needed": "2", "roles": ["approver"]}]


@pytest.fixture
def waiving(paper: PaperDesk, settings: Any) -> PaperDesk:
    """The setting is off and the tier of small orders names nobody."""
    settings.POLICY_REQUIRE_APPROVAL = False
    change_policy(paper, rules_with(approvals={"tiers": NOBODY_NEEDED}))
    return paper


def approvals_of(proposal: Proposal) -> list[dict[str, Any]]:
    events = Event.objects.filter(subject=str(proposal.pk), kind="proposal.approved")
    return [facts_of(event) for event in events]


def test_policy_approves_in_the_transaction_of_the_proposal(waiving: PaperDesk) -> None:
    proposal = waiving.propose()
    words = f"No person was asked: paper, policy version {proposal.decision.version.number} waives."
    assert (proposal.state, proposal.end_code, proposal.end_reason) == ("APPROVED", "APPROVAL_WAIVED", words)
    assert kinds(proposal) == ["proposal.proposed", "proposal.approved"]
    (event,) = approvals_of(proposal)
    assert (event["actor"]["kind"], event["actor"]["id"]) == ("system", "policy")
    assert (event["payload"]["approvers"], event["payload"]["reason"]) == ([], words)
    authority, order = Authority.objects.get(), Order.objects.get()
    assert (authority.needed, authority.approvers, authority.environment) == (0, [], "paper")
    assert (authority.waiver, authority.digest) == (words, proposal.digest)
    assert Reservation.objects.get().source == str(order.pk)
    assert list(Decision.objects.values_list("gate", "outcome").order_by("gate")) == [
        ("APPROVAL", "ALLOW"),
        ("PROPOSAL", "ALLOW"),
    ]
    assert not Vote.objects.exists()
    assert replayed() == 2


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What goes to the broker, instead of going there."""
    found: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(publishing, "_send", lambda name, arguments, headers: found.append((name, arguments)))
    return found


def test_it_is_executed_once_like_any_other(
    waiving: PaperDesk, django_capture_on_commit_callbacks: Any, published: list[Any]
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        proposal = waiving.propose()
    assert published == [("trades.execute_trade", {"order_id": str(waiving.order_of(proposal).pk)})]
    assert waiving.execute(proposal) == "ACCEPTED"
    assert waiving.execute(proposal) == "ACCEPTED"
    assert waiving.poll(proposal) == "FILLED"
    assert len(sent(waiving)) == 1


def test_a_lost_message_is_found_by_the_sweep(
    waiving: PaperDesk, published: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=False):
        proposal = waiving.propose()
    assert published == []
    with django_capture_on_commit_callbacks(execute=True):
        sweeps.publish_pending(now=timezone.now() + sweeps.PUBLISH_GRACE)
    assert [arguments["order_id"] for _, arguments in published] == [str(waiving.order_of(proposal).pk)]


@pytest.mark.parametrize(("late_s", "passes"), [(4, True), (1, False), (0, False)])
def test_what_was_learned_while_it_waited_for_its_turn(
    waiving: PaperDesk, monkeypatch: pytest.MonkeyPatch, late_s: int, passes: bool
) -> None:
    """Prices and balances of four seconds later are of the moment where it is as late here; else a clock is wrong."""
    now, locked = timezone.now(), approval.locked_connection
    late, asked = now + timedelta(seconds=late_s), iter([now])

    def then_locked(connection_id: UUID) -> Connection:
        learn(waiving, at=now + timedelta(seconds=4))
        return locked(connection_id)

    monkeypatch.setattr(approval, "locked_connection", then_locked)
    proposal = waiving.propose(now=now, clock=lambda: next(asked, late))
    if passes:
        assert (proposal.state, proposal.end_code) == ("APPROVED", "APPROVAL_WAIVED")
        assert proposal.created_at == Decision.objects.get(gate="APPROVAL").decided_at == late
        assert replayed() == 2
    else:
        assert (proposal.state, proposal.end_code) == ("DENIED", "FACT_FROM_FUTURE")


@pytest.mark.parametrize("why", ["the setting is on", "the tier names somebody", "a larger order's tier does"])
def test_otherwise_it_waits_for_people(waiving: PaperDesk, settings: Any, why: str) -> None:
    quantity = Decimal("0.01")
    if why == "the setting is on":
        settings.POLICY_REQUIRE_APPROVAL = True
    elif why == "the tier names somebody":
        change_policy(waiving, rules_with(approvals={"tiers": ONE_NEEDED}))
    else:
        quantity = Decimal("0.05")
    proposal = waiving.propose(quantity=quantity)
    assert proposal.state == "AWAITING_APPROVAL"
    assert proposal.needed == (2 if quantity > Decimal("0.01") else 1)
    assert not Authority.objects.exists()


def test_what_policy_denies_is_denied(waiving: PaperDesk) -> None:
    halt(waiving)
    proposal = waiving.propose()
    assert (proposal.state, proposal.end_code) == ("DENIED", "TRADING_HALTED")
    assert not Authority.objects.exists()


def test_budgets_hold_among_what_nobody_was_asked_about(waiving: PaperDesk) -> None:
    rules = rules_with(approvals={"tiers": NOBODY_NEEDED}, daily_notional={"max_notional": "1500"})
    change_policy(waiving, rules)
    first, second = waiving.propose(quantity=Decimal("0.012")), waiving.propose(quantity=Decimal("0.013"))
    assert (first.state, second.state) == ("APPROVED", "DENIED")
    assert Order.objects.count() == 1


def test_what_waited_when_it_was_switched_off_is_still_a_persons(waiving: PaperDesk, settings: Any) -> None:
    settings.POLICY_REQUIRE_APPROVAL = True
    proposal = waiving.propose()
    settings.POLICY_REQUIRE_APPROVAL = False
    assert proposal.state == "AWAITING_APPROVAL"
    assert waiving.approve(proposal).order_id
    authority = Authority.objects.get()
    assert (authority.needed, authority.approvers) == (1, [str(waiving.approver.pk)])
    assert waiving.execute(proposal) == "ACCEPTED"


class TestClaim:
    """The claim asks everything of a waived approval that it asks of any other."""

    @pytest.mark.parametrize(
        ("loss", "code"),
        [
            ("switched on again", "TIER_CHANGED"),
            ("halted", "POLICY_DENIES"),
            ("another policy", "POLICY_CHANGED"),
            ("drifted", "DRIFTED"),
            ("tampered", "CONTENT_CHANGED"),
        ],
    )
    def test_it_is_void_when_its_ground_is_lost(self, waiving: PaperDesk, settings: Any, loss: str, code: str) -> None:
        proposal = waiving.propose()
        if loss == "switched on again":
            settings.POLICY_REQUIRE_APPROVAL = True
        elif loss == "halted":
            halt(waiving)
        elif loss == "another policy":
            change_policy(waiving, rules_with(approvals={"tiers": NOBODY_NEEDED}, max_order={"max_notional": "4000"}))
        elif loss == "drifted":
            move(waiving, waiving.crossing_price("BTC-USD", Side(proposal.side)) * Decimal("1.03"))
        else:
            tamper(Authority.objects.get(), seen_price=Decimal(1))
        assert waiving.execute(proposal) == "CANCELED"
        proposal.refresh_from_db()
        assert (proposal.state, proposal.end_code) == ("VOIDED", code)
        assert sent(waiving) == []

    def test_a_person_cannot_vote_on_it(self, waiving: PaperDesk) -> None:
        proposal = waiving.propose()
        with pytest.raises(Conflict, match="PROPOSAL_NOT_WAITING"):
            decide.decline(
                proposal_id=proposal.pk,
                approver=waiving.approver,
                digest=proposal.digest,
                comment="No.",
                now=timezone.now(),
            )


class TestLive:
    """No SQL waives the approval of a live order. That policy does not: tests/policies/test_approvals.py."""

    @pytest.mark.parametrize("lie", ["live", "paper"])
    def test_the_database_refuses(self, waiving: PaperDesk, lie: str) -> None:
        proposal = waiving.propose()
        with guards_lifted("connectors_connection"):
            waiving.connection.environment, waiving.connection.verified_at = "live", timezone.now()
            waiving.connection.save(update_fields=["environment", "verified_at"])
        other = Proposal.objects.get(pk=proposal.pk)
        other.pk, other.client_order_id, other.state = uuid4(), uuid4(), "AWAITING_APPROVAL"
        other.idempotency_key, other.end_code, other.end_reason, other.ended_at = "", "", "", None
        other.save(force_insert=True)
        kept = {"environment": lie, "proposal_id": other.pk.hex if connection.vendor == "sqlite" else other.pk}
        # The guard knows the connection whatever the row says; the CHECK stands where the guards do not.
        lifted = ("trades_authority",) if lie == "live" else ()
        name = "authority_waived_on_paper_only" if lie == "live" else "guard true_copies"
        with guards_lifted(*lifted), pytest.raises(IntegrityError, match=name), transaction.atomic():
            copy_authority(kept)
        with guards_lifted(*lifted), transaction.atomic():
            copy_authority({**kept, "environment": "live", "needed": 1})
        assert Authority.objects.count() == 2


def copy_authority(changes: dict[str, object]) -> None:
    """A row by raw SQL: the one authority there is, with some columns changed."""
    columns = [f.column for f in Authority._meta.concrete_fields if f.column != "id"]
    values = ", ".join("%s" if column in changes else f'"{column}"' for column in columns)
    listed = ", ".join(f'"{column}"' for column in columns)
    key = uuid4() if connection.vendor == "postgresql" else uuid4().hex
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO trades_authority (id, {listed}) SELECT %s, {values} FROM trades_authority",  # noqa: S608  a test's own names
            [key, *(changes[column] for column in columns if column in changes)],
        )


class TestWords:
    """Wherever people would be named, it says that none was asked."""

    def test_on_the_pages_of_the_proposal(self, waiving: PaperDesk, client: Client) -> None:
        proposal = waiving.propose()
        client.force_login(waiving.approver)
        for name in ("decide:page", "decide:story"):
            assert proposal.end_reason in client.get(reverse(name, args=[proposal.pk])).content.decode()

    def test_in_the_admin(self, waiving: PaperDesk, client: Client, admin_user: Any) -> None:
        proposal = waiving.propose()
        client.force_login(admin_user)
        authority = Authority.objects.get()
        for page in (
            reverse("admin:trades_authority_changelist"),
            reverse("admin:trades_authority_change", args=[authority.pk]),
            reverse("admin:trades_proposal_change", args=[proposal.pk]),
        ):
            assert proposal.end_reason in client.get(page).content.decode()

    def test_over_the_api(self, waiving: PaperDesk, client: Client) -> None:
        intent = waiving.intent()
        answered = client.post(
            "/api/v1/trades/proposals",
            {
                "connection": intent.connection,
                "instrument": intent.instrument,
                "side": intent.side.value,
                "order_type": intent.order_type.value,
                "time_in_force": intent.time_in_force.value,
                "quantity": str(intent.quantity),
                "limit_price": str(intent.limit_price),
            },
            content_type="application/json",
            headers={"Authorization": waiving.authorization, "Idempotency-Key": str(uuid4())},
        )
        assert answered.status_code == 201
        said = answered.json()
        assert (said["state"], said["end_code"]) == ("APPROVED", "APPROVAL_WAIVED")
        assert said["end_reason"].startswith("No person was asked: paper, policy version ")
        story = client.get(said["links"]["self"], headers={"Authorization": waiving.authorization}).json()
        assert (story["votes"], story["order"]["state"]) == ([], "INITIALIZED")
