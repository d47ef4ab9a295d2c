"""The alarms as people meet them: in the bar of every page, in the list, and acknowledged with one click."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from apps.audit.models import Alarm
from apps.audit.services import alarms, notices
from tests.browser.conftest import PHONE, WIDE, SignIn
from tests.browser.looks import barriers, sideways
from tests.factories.alarms import Receiver
from tests.factories.desk import PaperDesk

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

OPEN = "/admin/audit/alarm/?cleared_at__isempty=1"


def three_alarms(desk: PaperDesk) -> Alarm:
    """One that nobody has seen for a while, one of just now, and one that was over by itself. Returns the first."""
    now = timezone.now()
    first = alarms.raise_alarm(
        code="ORDER_NEEDS_PERSON",
        subject="order:0f7d3c1e-5a53-4a5c-9d0e-4e8f3b8f2a11",
        message="The venue was asked 14 times and shows no order under this name. Two people must say what became of "
        "it; until then what it binds stays bound.",
        now=now - timedelta(minutes=12),
    )
    alarms.raise_alarm(
        code="RECONCILIATION_LATE",
        subject=f"connection:{desk.connection.pk}",
        message=f"{desk.connection.name} was last compared with its venue completely at 14:46:00 UTC.",
        now=now,
    )
    alarms.raise_alarm(code="FILLS_DIFFER", subject="order:2", message="They differ.", now=now - timedelta(hours=2))
    alarms.clear_alarm(code="FILLS_DIFFER", subject="order:2", now=now - timedelta(hours=1))
    webhook = Receiver(up=False)
    notices.tell_due(channels=[webhook.channel], now=now)
    notices.send_owed(senders=[webhook], clock=lambda: now)
    return first


def test_seen_from_every_page_and_acknowledged_from_the_list(
    desk_live: PaperDesk, sign_in: SignIn, shots: Path | None
) -> None:
    first = three_alarms(desk_live)
    wide, phone = sign_in(desk_live.approver), sign_in(desk_live.approver2, viewport=PHONE, scheme="dark")
    for path in ("/admin/", "/admin/watch/", OPEN, f"/admin/audit/alarm/{first.pk}/change/", "/admin/audit/delivery/"):
        for name, page in (("wide", wide), ("phone", phone)):
            page.goto(path)
            bar = page.locator("#bar-alarms").inner_text()
            assert "Two alarms not acknowledged" in bar and "oldest 12 min" in bar
            assert (sideways(page), barriers(page)) == (0, []), f"{path} {name}"
            if shots is not None:
                page.screenshot(path=shots / f"alarms-{path.strip('/').replace('/', '-')[:30]}-{name}.png")
    phone.goto(OPEN)
    assert phone.get_by_role("button", name="Acknowledge ORDER_NEEDS_PERSON").bounding_box()["x"] < 390  # type: ignore[index]
    wide.goto(OPEN)
    expect(wide.get_by_text("Two people must say what became of it")).to_be_visible()
    wide.get_by_role("button", name="Acknowledge ORDER_NEEDS_PERSON").click()
    wide.wait_for_url("**" + OPEN)
    expect(wide.locator(".messagelist")).to_contain_text("You acknowledged ORDER_NEEDS_PERSON")
    wide.get_by_text("One alarm not acknowledged").wait_for()
    first.refresh_from_db()
    assert first.acknowledged_by == desk_live.approver.username
    phone.goto(f"/admin/audit/alarm/{Alarm.objects.get(code='RECONCILIATION_LATE').pk}/change/")
    phone.get_by_role("button", name="Acknowledge").click()
    phone.get_by_text("Two alarms, all acknowledged").wait_for()
    if shots is not None:
        wide.goto(OPEN)
        wide.screenshot(path=shots / "alarms-acknowledged-wide.png")
    assert wide.troubles == phone.troubles == []  # type: ignore[attr-defined]


def test_the_bar_of_an_open_page_hears_of_a_new_alarm(desk_live: PaperDesk, sign_in: SignIn) -> None:
    page = sign_in(desk_live.approver, viewport=WIDE)
    page.goto("/admin/")
    expect(page.locator("#bar-alarms")).to_have_text("No alarm")
    alarms.raise_alarm(code="BEAT_SILENT", subject="beat", message="Nothing runs.", now=timezone.now())
    page.get_by_text("One alarm not acknowledged").wait_for()
    assert "is-warn" in (page.locator("#bar-alarms").get_attribute("class") or "")
