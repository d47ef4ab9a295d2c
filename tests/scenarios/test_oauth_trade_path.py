"""The whole path over what a person consented to: proposed, approved, sent with a bearer, filled. And where the access
is no use any more: nothing is bought, and people are told what to do."""

import base64
import hashlib
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import people
from apps.audit.models import Alarm, Event
from apps.common.errors import Misconfigured
from apps.connectors.models import Authorisation, AuthorisationState
from apps.connectors.services import authorisations, connections
from apps.connectors.services import venue as venues
from apps.policies.selectors import gate_findings
from apps.trades.models import Fill, Proposal
from apps.trades.services import cancels
from apps.trades.types import OrderState, ProposalState
from tests.factories.desk import PaperDesk
from tests.factories.oauth import OAuthSimulator, authorise
from tests.factories.oauth_desk import oauth_desk
from tests.factories.trading import rest, sent

pytestmark = pytest.mark.django_db

TRADE = "wallet:buys:create"


class Desk:
    """A desk whose connection stands on an authorisation, and what its tests ask of it."""

    def __init__(self, venue: OAuthSimulator) -> None:
        self.venue = venue
        self.paper, self.authorisation, self.operator = oauth_desk(venue)

    @property
    def row(self) -> Authorisation:
        return Authorisation.objects.get(pk=self.authorisation.pk)

    def approved(self) -> Proposal:
        proposal = self.paper.propose()
        assert self.paper.approve(proposal).state == ProposalState.APPROVED
        return proposal

    def grow_old(self, left_s: int = -1) -> None:
        """The access token has ended, or will in so many seconds: another one is asked for with the next call."""
        row, until = self.row, timezone.now() + timedelta(seconds=left_s)
        row.access_from, row.access_until = until - timedelta(hours=1), until
        row.save(update_fields=["access_from", "access_until"])
        if left_s <= 0:
            self.venue.oauth(expire=True)
        venues.close_all()  # as in another process, which has read no token yet

    def page(self, proposal: Proposal) -> str:
        """What the approver sees after the vote."""
        client = Client()
        client.force_login(self.paper.approver)
        return client.get(reverse("decide:page", args=[proposal.pk])).content.decode()

    def waits(self, proposal: Proposal, code: str, advice: str) -> None:
        """Nothing was bought, the approval stands, and the page says what to do."""
        order = self.paper.order_of(proposal)
        assert (order.state, order.reason_code) == (OrderState.INITIALIZED, code)
        assert advice in order.reason
        assert self.paper.venue_orders(proposal) == []
        page = self.page(proposal)
        assert "Approved, and not sent yet" in page and "It leaves within a second." not in page
        assert advice in page.replace("&#x27;", "'")


@pytest.fixture
def desk(db: None, oauth_venue: OAuthSimulator) -> Desk:
    cache.clear()
    return Desk(oauth_venue)


def credential(token: str) -> str:
    """How the venue's log names a bearer."""
    return f"oauth:{hashlib.sha256(token.encode()).hexdigest()[:16]}"


def codes(paper: PaperDesk) -> list[str]:
    """What the console says that would be denied on the connection, whatever is asked."""
    paper.connection.refresh_from_db()
    return [str(found.code) for found in gate_findings(paper.connection)]


def alarm(desk: Desk, code: str) -> Alarm | None:
    return Alarm.objects.filter(code=code, subject=f"authorisation:{desk.authorisation.pk}", cleared_at=None).first()


def test_an_approved_order_leaves_with_the_bearer_and_is_filled(desk: Desk) -> None:
    proposal = desk.approved()
    assert desk.paper.execute(proposal) == OrderState.ACCEPTED
    (request,) = sent(desk.paper)
    assert base64.b64decode(request["body"]) == bytes(proposal.request_body)
    assert request["credential"] == credential(desk.row.access_token.reveal())
    assert desk.venue.oauth()["refreshes"] == 0
    assert desk.paper.poll(proposal) == OrderState.FILLED
    assert Fill.objects.filter(order=desk.paper.order_of(proposal)).exists()
    assert len(desk.paper.venue_orders(proposal)) == 1
    assert codes(desk.paper) == []


def test_what_was_approved_waits_for_a_new_token_and_leaves_with_it(desk: Desk) -> None:
    proposal, old = desk.approved(), desk.row.access_token.reveal()
    desk.grow_old()
    assert desk.paper.execute(proposal) == OrderState.ACCEPTED
    (request,) = sent(desk.paper)
    assert request["credential"] == credential(desk.row.access_token.reveal()) != credential(old)
    assert (desk.venue.oauth()["refreshes"], desk.row.generation) == (1, 2)
    assert desk.paper.poll(proposal) == OrderState.FILLED


@pytest.mark.slow
def test_an_order_rests_and_is_canceled_with_the_bearer(desk: Desk) -> None:
    proposal = rest(desk.paper)
    order = desk.paper.order_of(proposal)
    cancels.request_cancel(order_id=order.pk, actor=people.actor_of(desk.paper.approver), reason="", now=timezone.now())
    assert desk.paper.cancel(proposal) == OrderState.CANCELED
    (asked,) = desk.venue.requests("/orders/batch_cancel")
    assert asked["credential"] == credential(desk.row.access_token.reveal())


def revoked_there(desk: Desk) -> None:
    desk.venue.oauth(revoke_all=True)


def lost_on_the_way(desk: Desk) -> None:
    desk.grow_old()
    desk.venue.add_fault("oauth-token", "reset-after")


def lost_while_the_old_one_lasts(desk: Desk) -> None:
    """Balances can still be read with it, and orders canceled; none is begun that may outlive it."""
    desk.grow_old(left_s=60)
    desk.venue.add_fault("oauth-token", "reset-after")


@pytest.mark.slow
@pytest.mark.parametrize("end", [revoked_there, lost_on_the_way, lost_while_the_old_one_lasts])
def test_access_that_has_ended_sends_nothing_and_says_connect_again(desk: Desk, end: Callable[[Desk], None]) -> None:
    proposal = desk.approved()
    end(desk)
    for _ in range(3):
        assert desk.paper.execute(proposal) == OrderState.INITIALIZED
    desk.waits(proposal, "AUTHORISATION_RECONNECT_NEEDED", "Connect again on the authorisation's page")
    assert not [request for request in sent(desk.paper) if request["status"] == 200]
    assert desk.row.state == AuthorisationState.RECONNECT_NEEDED
    assert len(desk.venue.requests("/oauth2/token")) == 1 + 1, "the code and one refresh"
    assert alarm(desk, "AUTHORISATION_RECONNECT_NEEDED") is not None
    assert codes(desk.paper) == ["AUTHORISATION_RECONNECT_NEEDED"]

    authorise(desk.operator)
    venues.close_all()  # as two seconds later: for so long a process goes by what it read
    assert codes(desk.paper) == [] and alarm(desk, "AUTHORISATION_RECONNECT_NEEDED") is None
    assert desk.paper.execute(proposal) == OrderState.ACCEPTED
    assert len(desk.paper.venue_orders(proposal)) == 1


@pytest.mark.slow
def test_an_approver_is_told_too_and_their_vote_not_counted(desk: Desk) -> None:
    proposal = desk.paper.propose()
    seen = desk.paper.seen(proposal)
    desk.venue.oauth(revoke_all=True)
    cache.clear()
    client = Client()
    client.force_login(desk.paper.approver)
    form = {name: getattr(seen, name) for name in ("digest", "signed_quote", "policy_version", "tier")}
    answer = client.post(reverse("decide:approve", args=[proposal.pk]), form)
    page = answer.content.decode()
    assert "Your vote was not counted." in page and "Connect again on the authorisation" in page
    proposal.refresh_from_db()
    assert proposal.state == ProposalState.AWAITING_APPROVAL and not sent(desk.paper)


def test_a_scope_that_a_refresh_does_not_bring_back_keeps_the_order_here(desk: Desk) -> None:
    proposal = desk.approved()
    desk.venue.oauth(narrow=[TRADE])
    desk.grow_old()
    for _ in range(2):
        assert desk.paper.execute(proposal) == OrderState.INITIALIZED
    assert sent(desk.paper) == [], "it is known not to be taken there"
    desk.waits(proposal, "AUTHORISATION_LACKS_SCOPE", "Connect again on the authorisation's page, and allow it there.")
    assert alarm(desk, "AUTHORISATION_NARROWED") is not None
    assert codes(desk.paper) == ["AUTHORISATION_LACKS_SCOPE"]


@pytest.mark.slow
def test_a_scope_taken_back_meanwhile_is_believed_after_one_refusal(desk: Desk) -> None:
    proposal = desk.approved()
    desk.venue.oauth(narrow=[TRADE])
    for _ in range(3):
        assert desk.paper.execute(proposal) == OrderState.INITIALIZED
    assert [request["status"] for request in sent(desk.paper)] == [403]
    desk.waits(proposal, "AUTHORISATION_LACKS_SCOPE", "Connect again on the authorisation's page, and allow it there.")
    assert TRADE not in desk.row.granted_scopes and desk.row.state == AuthorisationState.ACTIVE
    event = Event.objects.get(kind="authorisation.scopes_changed")
    assert TRADE in bytes(event.body).decode()
    assert alarm(desk, "AUTHORISATION_NARROWED") is not None

    authorise(desk.operator)
    assert alarm(desk, "AUTHORISATION_NARROWED") is None
    venues.close_all()
    assert desk.paper.execute(proposal) == OrderState.ACCEPTED


@pytest.mark.slow
def test_canceling_is_tried_whatever_is_known_of_the_scopes(desk: Desk) -> None:
    proposal = rest(desk.paper)
    desk.venue.oauth(narrow=[TRADE])
    with pytest.raises(Misconfigured, match="KEY_LACKS_PERMISSION"):
        connections.verify(connection=desk.paper.connection, actor=people.actor_of(desk.operator), now=timezone.now())
    assert TRADE not in desk.row.granted_scopes
    order = desk.paper.order_of(proposal)
    cancels.request_cancel(order_id=order.pk, actor=people.actor_of(desk.paper.approver), reason="", now=timezone.now())
    desk.paper.cancel(proposal)
    assert [request["status"] for request in desk.venue.requests("/orders/batch_cancel")] == [403]


@pytest.mark.slow
def test_nothing_is_bought_in_the_name_of_who_is_gone_and_what_rests_is_canceled(desk: Desk) -> None:
    resting, proposal = rest(desk.paper), desk.paper.propose(limit_price=Decimal("60001"))
    desk.paper.approve(proposal)
    User.objects.filter(pk=desk.operator.pk).update(is_active=False)
    venues.close_all()
    assert desk.paper.execute(proposal) == OrderState.INITIALIZED
    assert len(sent(desk.paper)) == 1, "the one that rests"
    desk.waits(proposal, "AUTHORISER_INACTIVE", "Somebody who is active connects an account")
    assert codes(desk.paper) == ["AUTHORISER_INACTIVE"]
    order = desk.paper.order_of(resting)
    cancels.request_cancel(order_id=order.pk, actor=people.actor_of(desk.paper.approver), reason="", now=timezone.now())
    assert desk.paper.cancel(resting) == OrderState.CANCELED

    User.objects.filter(pk=desk.operator.pk).update(is_active=True)
    venues.close_all()
    assert codes(desk.paper) == []
    assert desk.paper.execute(proposal) == OrderState.ACCEPTED


@pytest.mark.slow
def test_disconnecting_here_voids_what_was_approved(desk: Desk) -> None:
    proposal = desk.approved()
    authorisations.disconnect(
        authorisation_id=desk.authorisation.pk, actor=people.actor_of(desk.operator), now=timezone.now()
    )
    results: list[Any] = [desk.paper.execute(proposal) for _ in range(2)]
    proposal.refresh_from_db()
    assert sent(desk.paper) == [] and desk.paper.venue_orders(proposal) == []
    assert (results, proposal.state, proposal.end_code) == (
        [OrderState.CANCELED] * 2,
        ProposalState.VOIDED,
        "CONNECTION_INACTIVE",
    )
