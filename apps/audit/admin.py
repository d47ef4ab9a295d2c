"""Look back: the log and the alarms. Nothing here writes but acknowledging an alarm."""

import json
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from apps.audit import selectors
from apps.audit.models import Alarm, Event
from apps.audit.services import alarms
from apps.audit.types import Actor, ActorKind
from apps.common.admin import ReadOnlyAdmin
from apps.common.errors import Conflict, NotFound


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
