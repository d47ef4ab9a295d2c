"""Look back: the log and the alarms. Nothing here writes but acknowledging an alarm."""

import json
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import BigIntegerField, BooleanField, DateTimeField, QuerySet, Value
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.audit import selectors
from apps.audit.models import Alarm, Checkpoint, Delivery, Event
from apps.audit.services import alarms, keys, seal_verification
from apps.audit.types import Actor, ActorKind
from apps.common import words
from apps.common.admin import AboutAdmin, ReadOnlyAdmin
from apps.common.alarm_kinds import ALARM_KINDS
from apps.common.errors import Conflict, Misconfigured, NotFound

SHORT_CHARS = 16
DELIVERIES_SHOWN = 20


@admin.register(Event)
class EventAdmin(AboutAdmin[Event]):
    filled_by = "Every change writes one in its own transaction."
    list_display = ["recorded_at", "kind", "subject", "actor", "stream", "seq"]
    list_filter = ["actor_kind"]
    search_fields = ["=subject", "=stream"]
    search_help_text = "A whole subject or stream, such as proposal:6f1c…"
    ordering = ["-id"]
    sortable_by = ["recorded_at"]
    fields = ["recorded_at", "kind", "about", "actor", "facts", "stream", "seq", "prev_hash", "hash"]
    readonly_fields = ["about", "actor", "facts"]

    def stream_of(self, row: Event) -> str:
        return row.stream

    @admin.display(description="who")
    def actor(self, event: Event) -> str:
        return f"{event.actor_kind} {_actor_name(event)}"

    @admin.display(description="what was recorded")
    def facts(self, event: Event) -> str:
        try:
            text = json.dumps(selectors.facts_of(event).get("payload"), ensure_ascii=False, indent=2)
        except ValueError:
            text = "These bytes are no event. Run manage.py audit_verify."
        return format_html('<pre tabindex="0">{}</pre>', text)


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin[Checkpoint]):
    """What was sealed, signed and anchored. Only a page of its own recomputes; the list reads."""

    filled_by = "A worker that holds the sealing key signs what was written since the last; see docs/audit.md."

    list_display = ["name", "sealed_at", "events", "short_root", "key", "last_verified", "anchored"]
    list_display_links = ["name"]
    search_fields = ["=number"]
    search_help_text = "A number. manage.py audit_verify recomputes all of them, down to every event"
    ordering = ["-number"]
    sortable_by = ["sealed_at"]
    fields = ["sealed_at", "verified", "last_verified", "events", "anchored", "key", "root", "root_before", "how"]
    readonly_fields = ["verified", "last_verified", "events", "anchored", "key", "root_before", "how"]

    @admin.display(description="checkpoint")
    def name(self, row: Checkpoint) -> str:
        return f"Checkpoint {row.number:,}"

    @admin.display(description="events covered")
    def events(self, row: Checkpoint) -> str:
        return f"{row.size:,}: places {row.first_seq:,} to {row.last_seq:,} in the order of sealing"

    @admin.display(description="root")
    def short_root(self, row: Checkpoint) -> str:
        return f"{row.root[:SHORT_CHARS]}…"

    @admin.display(description="root before it")
    def root_before(self, row: Checkpoint) -> str:
        return row.prev_root

    @admin.display(description="verified with the whole log")
    def last_verified(self, row: Any) -> str:
        intact = row.read_at is not None and row.sealed_at <= row.read_at
        return f"intact, {row.read_at:%Y-%m-%d %H:%M} UTC" if intact else "not yet, or not intact"

    @admin.display(description="signed by the key")
    def key(self, row: Checkpoint) -> str:
        try:
            known = row.key_id in keys.believed()
        except Misconfigured:
            known = False
        return row.key_id if known else f"{row.key_id}, which is none of ours"

    @admin.display(description="anchored")
    def anchored(self, row: Any) -> str:
        """Anchors are where the database's owner cannot write: what is known here is what a verification read."""
        if row.read_at is None:
            return "not known: the last verification is not intact, or there was none"
        read = f"{row.read_at:%Y-%m-%d %H:%M} UTC"
        if row.number > row.read_to:
            return f"not seen yet: at {read} anchors were read up to {row.read_to:,}"
        return f"in {settings.AUDIT_ANCHOR_DIR or 'the folder of the worker that seals'}, read {read}"

    @admin.display(description="verified just now")
    def verified(self, row: Checkpoint) -> SafeString | str:
        report = seal_verification.check_one(row.number)
        if report.findings:
            said = format_html_join("", "<div>{}</div>", ((str(finding),) for finding in report.findings))
            return format_html('<strong class="bad">Tampered with.</strong>{}', said)
        if report.incomplete:
            return f"Not vouched for: {'; '.join(report.incomplete)}."
        return f"The signature holds, and the {row.size:,} events give this root. The chain before it is not looked at."

    @admin.display(description="how to verify all of it")
    def how(self, row: Checkpoint) -> SafeString:
        return format_html(
            "<code>manage.py audit_verify --anchors DIR</code> recomputes every event, checkpoint and anchor. Without "
            "trusting this machine: <code>audit_export --output log.jsonl --with-verifier</code>, then "
            "<code>python3 -I -S aika_verify.py log.jsonl --key PUBLIC_KEY --anchors DIR</code> with the key and the "
            "anchors you kept."
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Checkpoint]:
        """With what the last verification read of the anchors, asked once for all rows."""
        try:
            last = selectors.last_verification()
        except (ValueError, KeyError):
            last = None
        intact = last is not None and last.intact
        return (
            super()
            .get_queryset(request)
            .annotate(
                read_to=Value(last.anchored if last is not None and intact else 0, BigIntegerField()),
                read_at=Value(last.verified_at if last is not None and intact else None, DateTimeField()),
            )
        )


@admin.register(Alarm)
class AlarmAdmin(AboutAdmin[Alarm]):
    filled_by = "What stays unresolved beyond its bound raises one. None is good news."
    list_display = ["since", "what", "told_words", "seen", "cleared_at"]
    list_filter = [("cleared_at", admin.EmptyFieldListFilter), ("acknowledged_at", admin.EmptyFieldListFilter)]
    search_fields = ["=subject", "=code"]
    search_help_text = "A whole subject or code"
    ordering = ["-since", "-id"]
    sortable_by = ["since"]
    list_display_links = ["since"]
    fields = [
        "code", "about", "message", "means", "do", "extent", "since", "told_words", "acknowledged_by",
        "acknowledged_at", "cleared_at", "deliveries",
    ]  # fmt: skip
    readonly_fields = ["about", "means", "do", "told_words", "deliveries"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alarm]:
        may = request.user.has_perm("audit.acknowledge_alarm")
        return super().get_queryset(request).annotate(may_acknowledge=Value(may, output_field=BooleanField()))

    @admin.display(description="alarm")
    def what(self, alarm: Alarm) -> str:
        return format_html(
            '<b>{}</b><div>{}</div><span class="age">{}</span>', alarm.code, alarm.message, alarm.subject
        )

    @admin.display(description="what it means")
    def means(self, alarm: Alarm) -> str:
        kind = ALARM_KINDS.get(alarm.code)
        return kind.means if kind else "This version of Aika does not raise it any more."

    @admin.display(description="what to do")
    def do(self, alarm: Alarm) -> str:
        kind = ALARM_KINDS.get(alarm.code)
        return kind.do if kind else "Look at what it is about, and acknowledge it."

    @admin.display(description="told")
    def told_words(self, alarm: Alarm) -> str:
        if alarm.told_at is None:
            return "not yet"
        return f"{'once' if alarm.told == 1 else f'{alarm.told} times'}, last at {words.clock(alarm.told_at)}"

    @admin.display(description="acknowledged")
    def seen(self, alarm: Alarm) -> str:
        if alarm.acknowledged_at is not None:
            return f"{alarm.acknowledged_by}, {words.clock(alarm.acknowledged_at)}"
        if alarm.cleared_at is not None:
            return "over before"
        if not getattr(alarm, "may_acknowledge", False):
            return "by nobody yet"
        deed = reverse("admin:audit_alarm_acknowledge", args=[alarm.pk])
        label = f"Acknowledge {alarm.code} of {alarm.subject}"
        # The form around the list has the token; this button sends it somewhere else.
        return format_html(
            '<button class="btn" type="submit" formaction="{}" name="from" value="list" aria-label="{}">'
            "Acknowledge</button>",
            deed,
            label,
        )

    @admin.display(description="how it got out")
    def deliveries(self, alarm: Alarm) -> str:
        newest = Delivery.objects.filter(notice__alarm=alarm).select_related("notice").order_by("-id")
        lines = (
            (words.clock(row.sent_at), row.notice.get_says_display(), row.get_channel_display(), row.answer)
            for row in newest[:DELIVERIES_SHOWN]
        )
        return format_html_join("", "<div>{}, that it is {}, by {}: {}</div>", lines) or "It has not got out yet."

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.acknowledge_view)
        return [path("<int:alarm_id>/acknowledge/", view, name="audit_alarm_acknowledge"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        alarm = self.get_object(request, object_id)
        waiting = alarm is not None and alarm.acknowledged_at is None and alarm.cleared_at is None
        context = {"may_acknowledge": waiting and request.user.has_perm("audit.acknowledge_alarm")}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def acknowledge_view(self, request: HttpRequest, alarm_id: int) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("audit.acknowledge_alarm"):
            raise PermissionDenied
        actor = Actor(ActorKind.USER, str(request.user.pk), request.user.get_username())
        listing = reverse("admin:audit_alarm_changelist") + "?cleared_at__isempty=1"
        try:
            alarm = alarms.acknowledge(alarm_id=alarm_id, actor=actor, now=timezone.now())
        except NotFound as error:
            messages.error(request, error.message)
            return HttpResponseRedirect(listing)
        except Conflict as error:
            messages.warning(request, error.message)
        else:
            messages.success(
                request, f"You acknowledged {alarm.code} for {alarm.subject}. It stays open until it is over."
            )
        back = listing if request.POST.get("from") == "list" else reverse("admin:audit_alarm_change", args=[alarm_id])
        return HttpResponseRedirect(back)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin[Delivery]):
    filled_by = "An alarm that is sent out, by webhook or e-mail, leaves one here."
    list_display = ["sent_at", "alarm", "number", "says", "channel", "attempt", "delivered", "answer"]
    list_filter = ["channel", "delivered"]
    list_select_related = ["notice__alarm"]
    search_fields = ["=notice__alarm__code", "=notice__alarm__subject"]
    search_help_text = "A whole code or subject of an alarm"
    ordering = ["-id"]
    sortable_by = ["sent_at"]
    fields = ["alarm", "number", "says", "channel", "attempt", "sent_at", "answered_at", "delivered", "answer", "key"]
    readonly_fields = ["alarm", "number", "says", "key"]

    @admin.display(description="alarm")
    def alarm(self, delivery: Delivery) -> str:
        alarm = delivery.notice.alarm
        url = reverse("admin:audit_alarm_change", args=[alarm.pk])
        return format_html('<a href="{}">{} {}</a>', url, alarm.code, alarm.subject)

    @admin.display(description="telling")
    def number(self, delivery: Delivery) -> int:
        return delivery.notice.number

    @admin.display(description="that it is")
    def says(self, delivery: Delivery) -> str:
        return delivery.notice.get_says_display()

    @admin.display(description="id to the receiver")
    def key(self, delivery: Delivery) -> str:
        return str(delivery.notice.key)


def _actor_name(event: Event) -> str:
    try:
        actor = selectors.facts_of(event).get("actor")
    except ValueError:
        return event.actor_id
    return str(actor.get("name", event.actor_id)) if isinstance(actor, dict) else event.actor_id
