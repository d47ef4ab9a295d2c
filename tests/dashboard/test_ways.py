"""From cause to effect: what a row is about is a link, and only for who may open what it leads to."""

import html
import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Event
from apps.audit.services import alarms
from apps.common import subjects
from apps.common.subjects import Named, read, way_to
from apps.lessons.models import Case
from apps.policies.models import Decision
from apps.trades.models import Outcome, Position, Proposal
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk

ONE, OTHER = "6f1c0000-0000-4000-8000-000000000001", "6f1c0000-0000-4000-8000-000000000002"


def enter(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text_of(user: User, url: str) -> str:
    answer = enter(user).get(url)
    assert answer.status_code == 200, url
    return html.unescape(answer.content.decode())


def request_of(user: User) -> Any:
    request = RequestFactory().get("/")
    request.user = user
    return request


def change(model: str, pk: object) -> str:
    return reverse(f"admin:{model}_change", args=[pk])


@pytest.mark.parametrize(
    ("subject", "stream", "named"),
    [
        (f"order:{ONE}", "", Named("order", ONE)),
        (f"connection:{ONE} BTC 1.5", "", Named("connection", ONE)),
        ("alarm:17", "", Named("alarm", "17")),
        (ONE, f"proposal:{ONE}", Named("proposal", ONE)),
        (OTHER, f"proposal:{ONE}", Named("order", OTHER)),
        (ONE, "", None),
        (ONE, "keys", None),
        ("connection:paper", "", None),
        ("audit:log", "", None),
        ("order:", "", None),
        ("order:../../halt", "", None),
        ("alarm:1/../2", "", None),
        ("alarm:" + "9" * 40, "", None),
        ("", "", None),
    ],
)
def test_a_subject_names_a_row_or_none(subject: str, stream: str, named: Named | None) -> None:
    assert read(subject, stream=stream) == named


def test_each_kind_has_a_page() -> None:
    for kind in subjects.MODELS:
        assert subjects._page_of(kind) in admin.site._registry.values()
        assert subjects.url_of(Named(kind, "1" if kind == "alarm" else ONE)).startswith("/admin/")


@pytest.mark.django_db
class TestWays:
    def test_only_for_whose_pages_show_the_row(self, paper: PaperDesk, admin_user: User, auditor: User) -> None:
        subject = f"proposal:{paper.propose().pk}"
        url = change("trades_proposal", subject.partition(":")[2])
        assert way_to(request_of(paper.approver), subject) == url
        assert way_to(request_of(admin_user), subject) == url
        elsewhere = UserFactory(role="approver")
        assert elsewhere.has_perm("accounts.view_ledger"), "the kind is open to them, this row is not"
        assert way_to(request_of(elsewhere), subject) == ""
        assert way_to(request_of(UserFactory()), subject) == ""
        assert way_to(request_of(admin_user), f"proposal:{uuid4()}") == ""

    def test_one_query_at_most(self, paper: PaperDesk, admin_user: User) -> None:
        subject, request = f"proposal:{paper.propose().pk}", request_of(admin_user)
        with CaptureQueriesContext(connection) as asked:
            assert way_to(request, subject)
        assert len(asked) == 1
        with CaptureQueriesContext(connection) as asked:
            assert way_to(request, "audit:log") == ""
        assert len(asked) == 0

    def test_an_alarm_leads_to_what_it_is_about(self, paper: PaperDesk) -> None:
        asked = paper.propose()
        paper.approve(asked)
        order, now = paper.order_of(asked), timezone.now()
        raised = alarms.raise_alarm(code="FILLS_DIFFER", subject=f"order:{order.pk}", message="They differ.", now=now)
        page = change("audit_alarm", raised.pk)
        way = f'<a href="{change("trades_order", order.pk)}">order:{order.pk}</a>'
        assert way in text_of(paper.approver, page)
        elsewhere = text_of(UserFactory(role="approver"), page)
        assert f"order:{order.pk}" in elsewhere and way not in elsewhere
        plain = alarms.raise_alarm(code="LOG_TAMPERED", subject="audit:log", message="It differs.", now=now)
        assert "audit:log" in text_of(paper.approver, change("audit_alarm", plain.pk))

    def test_an_event_leads_to_its_subject(self, paper: PaperDesk) -> None:
        asked = paper.propose()
        paper.approve(asked)
        paper.execute(asked)
        order, stream = paper.order_of(asked), f"proposal:{asked.pk}"
        for subject, url in (
            (asked.pk, change("trades_proposal", asked.pk)),
            (order.pk, change("trades_order", order.pk)),
        ):
            event = Event.objects.filter(stream=stream, subject=str(subject)).latest("id")
            page = change("audit_event", event.pk)
            assert f'<a href="{url}">{subject}</a>' in text_of(paper.approver, page)
            assert f'<a href="{url}">' not in text_of(UserFactory(role="approver"), page)

    def test_a_decision_leads_to_its_proposal(self, paper: PaperDesk) -> None:
        asked = paper.propose()
        page, url = change("policies_decision", asked.decision_id), change("trades_proposal", asked.pk)
        assert Decision.objects.get(pk=asked.decision_id).subject == str(asked.pk)
        assert f'<a href="{url}">{asked.pk}</a>' in text_of(paper.approver, page)
        assert f'<a href="{url}">' not in text_of(UserFactory(role="approver"), page)

    def test_a_position_leads_to_the_orders_and_fills_it_came_from(self, paper: PaperDesk, closed: Proposal) -> None:
        position = Position.objects.get()
        text = text_of(paper.approver, change("trades_position", position.pk))
        for name in ("order", "fill"):
            url = next(found for found in re.findall(r'href="([^"]+)"', text) if f"/trades/{name}/?" in found)
            assert f'">its {name}s</a>' in text
            shown = text_of(paper.approver, url)
            assert shown.count(f'href="/admin/trades/{name}/') >= 2 and closed.label in shown


@pytest.mark.django_db
class TestStory:
    def ways(self, user: User, asked: Proposal) -> dict[str, str]:
        answer = enter(user).get(reverse("decide:story", args=[asked.pk]))
        assert answer.status_code == 200
        text = html.unescape(answer.content.decode())
        found = {way.name: way.url for way in answer.context["ways"]}
        assert all(f'href="{url}"' in text for url in found.values())
        return found

    def test_it_leads_to_all_that_came_of_the_proposal(self, paper: PaperDesk, closed: Proposal) -> None:
        case, outcome = Case.objects.get(), Outcome.objects.get()
        found = self.ways(paper.approver, closed)
        events = found.pop("Its audit events")
        assert found == {
            "The proposal\u2019s row": change("trades_proposal", closed.pk),
            "The policy decision": change("policies_decision", closed.decision_id),
            "The order": change("trades_order", paper.order_of(closed).pk),
            "The outcome": change("trades_outcome", outcome.pk),
            "The case": change("lessons_case", case.pk),
            "The lesson": change("lessons_lesson", case.lesson.pk),
        }
        for url in found.values():
            assert enter(paper.approver).get(url).status_code == 200, url
        listed = text_of(paper.approver, events)
        assert all(kind in listed for kind in ("proposal.", "order."))

    def test_one_that_waits_leads_to_what_there_is(self, paper: PaperDesk) -> None:
        found = self.ways(paper.approver, paper.propose())
        assert list(found) == ["The proposal\u2019s row", "The policy decision", "Its audit events"]

    def test_each_event_of_it_is_a_link_for_who_reads_the_log(self, paper: PaperDesk) -> None:
        asked = paper.propose()
        event = Event.objects.filter(subject=str(asked.pk)).earliest("id")
        way = f'href="{change("audit_event", event.pk)}"'
        story = reverse("decide:story", args=[asked.pk])
        assert way in text_of(paper.approver, story)
        assert not paper.trader.has_perm("audit.view_event") or way in text_of(paper.trader, story)

    def test_who_may_not_open_a_page_is_not_led_there(self, paper: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
        asked, refused = paper.propose(), {"audit.view_event", "accounts.view_ledger", "accounts.activate_policy"}
        has = User.has_perm
        monkeypatch.setattr(User, "has_perm", lambda self, perm, obj=None: perm not in refused and has(self, perm, obj))
        assert self.ways(paper.approver, asked) == {}
        assert enter(UserFactory(role="approver")).get(reverse("decide:story", args=[asked.pk])).status_code == 404
