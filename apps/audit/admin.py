"""Look back: the log and the alarms. Nothing here writes but acknowledging an alarm."""

import json
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import BigIntegerField, DateTimeField, QuerySet, Value
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.audit import selectors
from apps.audit.models import Alarm, Checkpoint, Event
from apps.audit.services import alarms, keys, seal_verification
from apps.audit.types import Actor, ActorKind
from apps.common.admin import ReadOnlyAdmin
from apps.common.errors import Conflict, Misconfigured, NotFound

SHORT_CHARS = 16


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin[Event]):
    list_display = ["recorded_at", "kind", "subject", "actor", "stream", "seq"]
    list_filter = ["actor_kind"]
    search_fields = ["=subject", "=stream"]
    search_help_text = "A whole subject or stream, such as proposal:6f1c…"
    ordering = ["-id"]
    sortable_by = ["recorded_at"]
    fields = ["recorded_at", "kind", "subject", "actor", "facts", "stream", "seq", "prev_hash", "hash"]
    readonly_fields = ["actor", "facts"]

    @admin.display(description="who")
    def actor(self, event: Event) -> str:
        return f"{event.actor_kind} {_actor_name(event)}"

    @admin.display(description="what was recorded")
    def facts(self, event: Event) -> str:
        try:
            text = json.dumps(selectors.facts_of(event).get("payload"), ensure_ascii=False, indent=2)
        except ValueError:
            text = "These bytes are no event. Run manage.py audit_verify."
        return format_html("<pre>{}</pre>", text)


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin[Checkpoint]):
    """What was sealed, signed and anchored. Only a page of its own recomputes; the list reads."""

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
        return super().get_queryset(request).annotate(
            read_to=Value(last.anchored if last is not None and intact else 0, BigIntegerField()),
            read_at=Value(last.verified_at if last is not None and intact else None, DateTimeField()),
        )


@admin.register(Alarm)
class AlarmAdmin(ReadOnlyAdmin[Alarm]):
    list_display = ["since", "code", "subject", "message", "acknowledged_by", "cleared_at"]
    list_filter = [("cleared_at", admin.EmptyFieldListFilter), ("acknowledged_at", admin.EmptyFieldListFilter)]
    search_fields = ["=subject", "=code"]
    search_help_text = "A whole subject or code"
    ordering = ["-since", "-id"]
    sortable_by = ["since"]
    fields = ["since", "code", "subject", "message", "acknowledged_by", "acknowledged_at", "cleared_at"]

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
        try:
            alarm = alarms.acknowledge(alarm_id=alarm_id, actor=actor, now=timezone.now())
        except NotFound as error:
            messages.error(request, error.message)
            return HttpResponseRedirect(reverse("admin:audit_alarm_changelist"))
        except Conflict as error:
            messages.warning(request, error.message)
        else:
            messages.success(
                request, f"You acknowledged {alarm.code} for {alarm.subject}. It stays open until it is over."
            )
        return HttpResponseRedirect(reverse("admin:audit_alarm_change", args=[alarm_id]))


def _actor_name(event: Event) -> str:
    try:
        actor = selectors.facts_of(event).get("actor")
    except ValueError:
        return event.actor_id
    return str(actor.get("name", event.actor_id)) if isinstance(actor, dict) else event.actor_id
