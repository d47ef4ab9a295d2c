"""The log and the alarms in the admin: looked at by who may, written by nobody."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from apps.accounts.services.roles import sync_roles
from apps.audit.models import Alarm, Checkpoint, Delivery, Event
from apps.audit.services import alarms, notices, verifications
from apps.audit.types import Actor
from tests.factories.alarms import Receiver


@pytest.fixture
def alarm(empty_log: None, now: datetime) -> Alarm:
    return alarms.raise_alarm(code="ORDER_UNKNOWN", subject="order:1", message="No answer.", now=now)


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_the_log_can_be_read_and_never_changed_superusers_included(log: list[Event], admin_user: Any) -> None:
    client = signed_in(admin_user)
    listing = client.get(reverse("admin:audit_event_changelist"))
    assert listing.status_code == 200
    assert "proposal.proposed" in listing.content.decode()
    assert "momentum-bot" in listing.content.decode()
    page = reverse("admin:audit_event_change", args=[log[0].pk])
    detail = client.get(page).content.decode()
    assert log[0].hash in detail
    assert 'name="_save"' not in detail
    assert client.post(page, {"kind": "x.y"}).status_code == 403
    assert client.get(reverse("admin:audit_event_add")).status_code == 403
    assert client.post(reverse("admin:audit_event_delete", args=[log[0].pk]), {"post": "yes"}).status_code == 403
    deed = {"action": "delete_selected", "_selected_action": [log[0].pk]}
    client.post(reverse("admin:audit_event_changelist"), deed)
    assert Event.objects.count() == 5


def test_checkpoints_say_what_they_cover_who_signed_and_where_they_are_anchored(
    sealed: list[Event], key: Any, auditor: Any, settings: Any, django_assert_max_num_queries: Any
) -> None:
    sync_roles(now=sealed[0].recorded_at)
    client = signed_in(auditor)
    listing = client.get(reverse("admin:audit_checkpoint_changelist")).content.decode()
    assert listing.count(f'">{key.id}</td>') == 3
    assert "3: places 1 to 3 in the order of sealing" in listing
    assert listing.count("not known: the last verification is not intact") == 3
    assert listing.count("not yet, or not intact") == 3
    verifications.verify_and_record(by=Actor.system("test"), now=sealed[0].recorded_at + timedelta(hours=1))
    with django_assert_max_num_queries(8):
        listing = client.get(reverse("admin:audit_checkpoint_changelist")).content.decode()
    assert listing.count(f"in {settings.AUDIT_ANCHOR_DIR}, read ") == 3
    assert listing.count(">intact, ") == 3
    page = reverse("admin:audit_checkpoint_change", args=[2])
    detail = client.get(page).content.decode()
    assert "The signature holds, and the 2 events give this root." in detail
    assert "audit_verify --anchors DIR" in detail
    assert Checkpoint.objects.get(number=2).root in detail
    assert client.post(page, {"number": "7"}).status_code == 403
    assert 'name="_save"' not in detail


def test_a_checkpoint_that_was_changed_says_so(
    sealed: list[Event], key: Any, admin_user: Any, unguarded: Any, settings: Any
) -> None:
    unguarded(("UPDATE audit_event SET hash = %s WHERE id = %s", ["0" * 64, sealed[3].pk]))
    client = signed_in(admin_user)
    said = {n: client.get(reverse("admin:audit_checkpoint_change", args=[n])).content.decode() for n in (1, 2, 3)}
    assert [n for n, text in said.items() if "Tampered with." in text] == [2]
    assert "ROOT_WRONG at checkpoint 2" in said[2]
    settings.AUDIT_SEAL_PUBLIC_KEYS = []
    unsigned = client.get(reverse("admin:audit_checkpoint_change", args=[3])).content.decode()
    assert "Not vouched for: no public key is known" in unsigned
    assert "which is none of ours" in unsigned


def test_a_stranger_reads_nothing(log: list[Event], alarm: Alarm, outsider: Any) -> None:
    client = signed_in(outsider)
    assert client.get(reverse("admin:audit_checkpoint_changelist")).status_code == 403
    for name, pk in (("event", Event.objects.order_by("id")[0].pk), ("alarm", alarm.pk)):
        assert client.get(reverse(f"admin:audit_{name}_changelist")).status_code == 403
        assert client.get(reverse(f"admin:audit_{name}_change", args=[pk])).status_code == 403
    assert client.post(reverse("admin:audit_alarm_acknowledge", args=[alarm.pk])).status_code == 403


def test_the_page_of_a_tampered_event_still_opens(log: list[Event], admin_user: Any, unguarded: Any) -> None:
    unguarded(("UPDATE audit_event SET body = %s WHERE id = %s", [b"\xff", log[0].pk]))
    client = signed_in(admin_user)
    assert "audit_verify" in client.get(reverse("admin:audit_event_change", args=[log[0].pk])).content.decode()
    assert client.get(reverse("admin:audit_event_changelist")).status_code == 200


def test_text_from_outside_is_inert(record: Any, admin_user: Any) -> None:
    event = record(payload={"note": "<script>alert(1)</script>"})
    detail = signed_in(admin_user).get(reverse("admin:audit_event_change", args=[event.pk])).content.decode()
    assert "<script>alert" not in detail
    assert "&lt;script&gt;alert" in detail


def test_acknowledging_is_a_post_by_who_may(alarm: Alarm, auditor: Any, admin_user: Any) -> None:
    page = reverse("admin:audit_alarm_change", args=[alarm.pk])
    deed = reverse("admin:audit_alarm_acknowledge", args=[alarm.pk])
    auditor.user_permissions.add(Permission.objects.get(codename="view_alarm"))
    reader = signed_in(auditor)
    assert deed not in reader.get(page).content.decode()
    assert reader.post(deed).status_code == 403
    client = signed_in(admin_user)
    assert deed in client.get(page).content.decode()
    assert client.get(deed).status_code == 405
    alarm.refresh_from_db()
    assert alarm.acknowledged_at is None
    assert client.post(deed, follow=True).status_code == 200
    alarm.refresh_from_db()
    assert alarm.acknowledged_by == admin_user.get_username()
    assert deed not in client.get(page).content.decode()
    assert "has acknowledged this alarm" in client.post(deed, follow=True).content.decode()
    gone = client.post(reverse("admin:audit_alarm_acknowledge", args=[alarm.pk + 1]), follow=True)
    assert "There is no such alarm." in gone.content.decode()


def test_acknowledging_needs_the_token_of_the_page(alarm: Alarm, admin_user: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(reverse("admin:audit_alarm_acknowledge", args=[alarm.pk])).status_code == 403


@pytest.mark.parametrize("model", [Event, Alarm, Checkpoint, Delivery])
def test_the_lists_are_cheap(model: Any) -> None:
    found = admin.site._registry[model]
    assert found.show_full_result_count is False
    assert found.date_hierarchy is None
    assert found.actions is None


def test_the_list_offers_the_deed_to_who_may_and_leads_back_to_itself(
    alarm: Alarm, auditor: Any, approver: Any, now: datetime
) -> None:
    alarms.raise_alarm(code="FILLS_DIFFER", subject="order:2", message="They differ.", now=now)
    alarms.clear_alarm(code="FILLS_DIFFER", subject="order:2", now=now)
    listing, deed = reverse("admin:audit_alarm_changelist"), reverse("admin:audit_alarm_acknowledge", args=[alarm.pk])
    shown = signed_in(auditor).get(listing).content.decode()
    assert "by nobody yet" in shown and "over before" in shown and deed not in shown
    client = signed_in(approver)
    assert f'formaction="{deed}"' in client.get(listing).content.decode()
    answer = client.post(deed, {"from": "list"})
    assert answer.status_code == 302 and answer["Location"] == f"{listing}?cleared_at__isempty=1"
    after = client.get(listing).content.decode()
    assert approver.username in after and deed not in after


def test_an_alarm_says_what_to_do_and_how_it_got_out(alarm: Alarm, approver: Any, now: datetime) -> None:
    client, page = signed_in(approver), reverse("admin:audit_alarm_change", args=[alarm.pk])
    assert "It has not got out yet." in client.get(page).content.decode()
    webhook = Receiver(up=False)
    notices.tell_due(channels=[webhook.channel], now=now)
    notices.send_owed(senders=[webhook], clock=lambda: now)
    shown = client.get(page).content.decode()
    assert "Do not place it again by other ways." in shown
    assert "14:46:00 UTC, that it is open, by webhook: 503" in shown
    rows = client.get(reverse("admin:audit_delivery_changelist")).content.decode()
    assert page in rows and "503" in rows
    row = Delivery.objects.get()
    detail = client.get(reverse("admin:audit_delivery_change", args=[row.pk])).content.decode()
    assert str(row.notice.key) in detail and 'name="_save"' not in detail


def test_an_alarm_of_an_older_version_still_has_a_page(approver: Any, now: datetime) -> None:
    old = alarms.raise_alarm(code="GONE_SINCE", subject="x", message="<script>alert(1)</script>", now=now)
    for name, args in (("changelist", []), ("change", [old.pk])):
        shown = signed_in(approver).get(reverse(f"admin:audit_alarm_{name}", args=args)).content.decode()
        assert "<script>alert" not in shown and "GONE_SINCE" in shown
