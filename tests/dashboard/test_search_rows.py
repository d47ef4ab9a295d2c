"""The search by id: every row of the console that has one, for who may open it, in a bounded number of queries."""

from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Alarm
from apps.audit.services import alarms
from apps.common import subjects
from apps.lessons.models import Case
from apps.trades.models import Fill, HookCall, Outcome, Proposal
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db


def search(user: User, text: object) -> HttpResponse:
    client = Client()
    client.force_login(user)
    return client.get(reverse("admin:search"), {"q": str(text)})


def leads_to(user: User, text: object) -> str:
    """Where the search sends this person at once; empty where it does not."""
    answer = search(user, text)
    assert answer.status_code in (200, 302)
    return str(answer.headers.get("Location", ""))


def page(model: str, pk: object) -> str:
    return reverse(f"admin:{model}_change", args=[pk])


@pytest.fixture
def alarm(db: None) -> Alarm:
    return alarms.raise_alarm(code="LOG_TAMPERED", subject="audit:log", message="It differs.", now=timezone.now())


@pytest.fixture
def rows(paper: PaperDesk, closed: Proposal, alarm: Alarm) -> dict[str, tuple[object, str]]:
    """What is typed, and the page of the row, of each kind."""
    fill, case = Fill.objects.filter(order__proposal=closed).latest("pk"), Case.objects.get()
    outcome = Outcome.objects.get()
    found: dict[str, tuple[object, str]] = {
        "alarm": (alarm.pk, page("audit_alarm", alarm.pk)),
        "api_key": (paper.key.pk, page("accounts_apikey", paper.key.pk)),
        "case": (case.pk, page("lessons_case", case.pk)),
        "decision": (closed.decision_id, page("policies_decision", closed.decision_id)),
        "fill": (fill.pk, page("trades_fill", fill.pk)),
        "lesson": (case.lesson.pk, page("lessons_lesson", case.lesson.pk)),
        "outcome": (outcome.pk, page("trades_outcome", outcome.pk)),
        "user": (paper.trader.pk, page("accounts_user", paper.trader.pk)),
    }
    return found


def test_an_id_leads_to_its_row_and_that_opens(rows: dict[str, tuple[object, str]], admin_user: User) -> None:
    assert set(rows) | {"hook_call"} == {*subjects.LOOKED_FOR, "alarm"}
    client = Client()
    client.force_login(admin_user)
    for kind, (typed, url) in rows.items():
        # The number of an alarm is short: no head of an id.
        assert leads_to(admin_user, typed) == url, kind
        assert client.get(url).status_code == 200, kind
        if isinstance(typed, UUID):
            assert leads_to(admin_user, typed.hex[:12]) == leads_to(admin_user, typed.hex.upper()) == url, kind


def test_whose_desk_it_is_finds_it_and_another_desk_does_not(
    paper: PaperDesk, rows: dict[str, tuple[object, str]]
) -> None:
    elsewhere = UserFactory(role="approver")
    for kind in ("case", "fill", "lesson", "outcome"):
        typed, url = rows[kind]
        assert leads_to(paper.approver, typed) == url, kind
        answer = search(elsewhere, typed)
        assert answer.status_code == 200 and b"Nothing found" in answer.content, kind
        assert url.encode() not in answer.content, kind


def test_without_the_right_to_a_page_its_rows_are_not_found(
    paper: PaperDesk, rows: dict[str, tuple[object, str]], auditor: User
) -> None:
    for kind, (typed, url) in rows.items():
        answer = search(UserFactory(), typed)
        assert answer.status_code == 200 and url.encode() not in answer.content, kind
    for kind in ("alarm", "api_key", "user"):
        typed, url = rows[kind]
        assert leads_to(auditor, typed) == url, kind
    key, url = rows["api_key"]
    assert not paper.trader.has_perm("accounts.view_apikey") and leads_to(paper.trader, key) == ""


def test_a_call_of_a_hook(paper: PaperDesk) -> None:
    call = HookCall.objects.create(
        name="nowhere", called_at=timezone.now(), outcome="REFUSED", status=404, code="HOOK_UNKNOWN"
    )
    assert leads_to(paper.approver, call.pk) == page("trades_hookcall", call.pk)
    assert b"Nothing found" in search(UserFactory(), call.pk).content


def test_what_an_alarm_says_it_is_about_can_be_pasted(paper: PaperDesk, closed: Proposal) -> None:
    order = paper.order_of(closed)
    assert leads_to(paper.approver, f"order:{order.pk}") == page("trades_order", order.pk)
    for text in (f"order:{order.pk}", "order:1", "audit:log", ":"):
        assert leads_to(UserFactory(role="approver"), text) == "", text


def test_a_head_that_fits_several_lists_them(paper: PaperDesk, closed: Proposal, admin_user: User) -> None:
    """Ids of a proposal and its decision that begin alike: made by hand, since they are drawn."""
    head = closed.pk.hex[:8]
    alike = UserFactory(pk=UUID(head + "0" * 24))
    answer: Any = search(admin_user, head)
    assert answer.status_code == 200
    assert [row.url for row in answer.context["rows"]] == [page("accounts_user", alike.pk)]
    text = answer.content.decode()
    assert "1 proposal and 1 other row for" in text and closed.label in text
    assert b"other row" not in search(paper.trader, "BTC").content


def test_all_kinds_are_one_query(
    rows: dict[str, tuple[object, str]], admin_user: User, rf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = rf.get("/")
    request.user = admin_user
    everything = (UUID(int=0), UUID(int=2**128 - 1))
    with CaptureQueriesContext(connection) as asked:
        found = subjects.rows_by_id(request, ids=everything, number=str(rows["alarm"][0]), limit=200)
    assert len(asked) == 1
    assert {named.kind for named, _ in found} == set(rows)
    assert {subjects.url_of(named) for named, _ in found} >= {url for _, url in rows.values()}
    assert len(subjects.rows_by_id(request, ids=everything, limit=3)) == 3
    with CaptureQueriesContext(connection) as asked:
        assert subjects.rows_by_id(request, ids=None, number="BTC", limit=3) == []
    assert len(asked) == 0


def test_an_empty_search_says_what_would_be_found(paper: PaperDesk) -> None:
    text = search(paper.approver, "nothing-like-it").content.decode()
    assert "Nothing found for" in text and "Proposals come from programs over the API and from staff" in text
    assert "Nothing of your desks fits" not in search(paper.approver, "").content.decode()
