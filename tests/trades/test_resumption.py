"""The way back from a halt: evidence gathered from orders and the audit log, at both steps, on the page."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Event
from apps.common.errors import Denied
from apps.policies.selectors import trading_state
from apps.policies.services import trading_state as states
from apps.trades.models import Order
from apps.trades.services import resumption
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.tampering import tamper
from tests.factories.trading import change_connection

pytestmark = pytest.mark.django_db


def halted(paper: PaperDesk) -> None:
    states.halt(connection_id=None, actor=paper.principal.actor(), reason="Odd.", now=timezone.now())


def enter(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_two_people_resume_on_the_page(paper: PaperDesk) -> None:
    halted(paper)
    address = {verb: reverse(f"admin:trading_{verb}", args=["global"]) for verb in ("ask", "second", "resume")}
    rosa, mara = enter(paper.risk), enter(paper.approver)
    rosa.post(address["ask"], {"reason": "Explained."})
    for verb in ("second", "resume"):
        rosa.post(address[verb])
    assert trading_state(None) == "HALTED", "one person alone does not loosen"
    page = mara.get(reverse("admin:trading_state")).content.decode()
    assert f"{paper.risk.shown_name} asks to resume" in page and "Second it, and resume now" in page
    assert "Second it, and resume now" not in rosa.get(reverse("admin:trading_state")).content.decode()
    mara.post(address["second"])
    assert trading_state(None) == "ACTIVE"


def test_an_order_of_unknown_fate_keeps_it_shut(paper: PaperDesk) -> None:
    paper.approve(paper.propose())
    halted(paper)
    resumption.ask(connection_id=None, requester=paper.risk, reason="Fine.", clock=timezone.now)
    Order.objects.update(state=OrderState.SUBMITTED)
    Order.objects.update(state=OrderState.UNKNOWN)
    with pytest.raises(Denied, match="RESUME_UNFOUNDED") as refused:
        resumption.second(connection_id=None, seconder=paper.approver, clock=timezone.now)
    assert "1 orders are of unknown fate" in refused.value.message
    assert trading_state(None) == "HALTED"


def test_a_log_that_was_tampered_with_keeps_it_shut(paper: PaperDesk) -> None:
    halted(paper)
    resumption.ask(connection_id=None, requester=paper.risk, reason="Fine.", clock=timezone.now)
    tamper(Event.objects.get(stream="trading_state:global", seq=1), body=b"{}")
    with pytest.raises(Denied, match="not intact"):
        resumption.second(connection_id=None, seconder=paper.approver, clock=timezone.now)


def test_a_venue_that_does_not_answer_keeps_it_shut(paper: PaperDesk) -> None:
    """Nothing is known of what rests there. Halting worked all the same."""
    change_connection(paper, api_base="http://127.0.0.1:1")
    halted(paper)
    with pytest.raises(Denied, match="could not be compared"):
        resumption.ask(connection_id=None, requester=paper.risk, reason="Fine.", clock=timezone.now)
