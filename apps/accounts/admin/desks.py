"""Desks: who trades together, in which currency."""

from django.contrib import admin
from django.db.models import ManyToManyField
from django.forms import CheckboxSelectMultiple
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.admin.base import AuditedAdmin, person_of
from apps.accounts.models import Desk
from apps.accounts.services import desks, people


@admin.register(Desk)
class DeskAdmin(AuditedAdmin):
    """The currency is fixed with the first save: sums of the past would change their meaning."""

    filled_by = "`Add` makes one; people and connections belong to desks."

    list_display = ("name", "slug", "reporting_currency")
    search_fields = ("name", "slug")
    # Boxes to tick: both of Django's pickers of many bar people who listen to a page.
    formfield_overrides = {ManyToManyField: {"widget": CheckboxSelectMultiple}}

    def get_readonly_fields(self, request: HttpRequest, obj: Desk | None = None) -> tuple[str, ...]:
        return ("slug", "reporting_currency") if obj else ()

    def describe(self, obj: Desk) -> dict[str, object]:
        return desks.description_of(obj)

    def record(self, request: HttpRequest, obj: Desk, before: dict[str, object] | None) -> None:
        actor = people.actor_of(person_of(request))
        desks.record_change(desk=obj, before=before, actor=actor, now=timezone.now())
