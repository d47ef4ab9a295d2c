"""The page that asks before an order is asked to be canceled, and who is shown the way there."""

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.trades.models import Proposal
from apps.trades.types import OrderState
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk
from tests.factories.trading import rest

pytestmark = pytest.mark.django_db


@pytest.fixture
def resting(paper: PaperDesk) -> Proposal:
    return rest(paper)


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_looked_at_and_asked(paper: PaperDesk, resting: Proposal) -> None:
    client, order = client_of(paper.approver), paper.order_of(resting)
    url, story = reverse("admin:trades_order_cancel", args=[order.pk]), reverse("decide:story", args=[resting.pk])
    decision, row = reverse("decide:page", args=[resting.pk]), reverse("admin:trades_order_change", args=[order.pk])
    for page in (story, decision, row):
        assert url in client.get(page).content.decode()
    shown = client.get(url).content.decode()
    assert "may still fill" in shown
    assert paper.order_of(resting).state == OrderState.ACCEPTED, "looking changes nothing"
    answer = client.post(url, {"reason": "Night."})
    assert (answer.status_code, answer["Location"]) == (303, story)
    assert paper.order_of(resting).state == OrderState.CANCEL_REQUESTED
    after = client.get(story).content.decode()
    assert "asked to cancel it" in after
    assert url not in after
    assert "asked to cancel it" in client.get(url).content.decode()
    paper.cancel(resting)
    assert client.post(url).status_code == 303


def test_who_may_not(paper: PaperDesk, resting: Proposal) -> None:
    url = reverse("admin:trades_order_cancel", args=[paper.order_of(resting).pk])
    colleague = client_of(UserFactory(role="auditor", desk=paper.desk))
    stranger = client_of(UserFactory(role="approver"))
    for client, status in ((colleague, 403), (stranger, 404)):
        assert client.get(url).status_code == status
        assert client.post(url).status_code == status
    assert url not in colleague.get(reverse("decide:story", args=[resting.pk])).content.decode()
    assert client_of(paper.approver).delete(url).status_code == 405
    assert paper.order_of(resting).state == OrderState.ACCEPTED
