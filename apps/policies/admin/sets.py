"""Policy sets: made once, then a list of their versions."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from apps.common.admin import ModelAdmin, act
from apps.policies.admin.base import DRAFT, MayRead, person_of
from apps.policies.models import PolicySet
from apps.policies.services import versions
from apps.policies.types import VersionState


@admin.register(PolicySet)
class PolicySetAdmin(MayRead, ModelAdmin):
    """A set is fixed once made; what changes are its versions."""

    filled_by = "`Add` makes one. Until a version of one is active, everything is denied."

    actions = None
    list_display = ("name", "desk", "in_force", "drafts")
    list_select_related = ("desk",)
    fields = ("slug", "name", "desk")
    change_form_template = "admin/policies/policyset/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PolicySet]:
        return super().get_queryset(request).prefetch_related("versions")

    @admin.display(description="in force")
    def in_force(self, obj: PolicySet) -> str:
        active = [version for version in obj.versions.all() if version.state == VersionState.ACTIVE]
        return f"version {active[0].number}" if active else "none: it neither allows nor denies"

    @admin.display(description="drafts")
    def drafts(self, obj: PolicySet) -> str:
        return str(sum(version.state == VersionState.DRAFT for version in obj.versions.all()))

    @admin.display(description="versions")
    def version_links(self, obj: PolicySet) -> str:
        rows = (
            (reverse("admin:policies_policyversion_change", args=[row.pk]), row.number, row.state.lower(), row.note)
            for row in obj.versions.all()
        )
        return format_html("<ul>{}</ul>", format_html_join("", '<li><a href="{}">{}, {}</a> {}</li>', rows)) or "none"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(DRAFT)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj is None else (*self.fields, "version_links")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else (*self.fields, "version_links")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.draft_view)
        return [path("<uuid:pk>/draft/", view, name="policies_policyset_draft"), *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: PolicySet, form: Any, change: bool) -> None:
        made = versions.create_set(
            slug=obj.slug, name=obj.name, desk_id=obj.desk_id, author=person_of(request), now=timezone.now()
        )
        obj.pk = made.pk
        obj.refresh_from_db()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), "may_draft": request.user.has_perm(DRAFT)}
        return super().change_view(request, object_id, form_url, context)

    def draft_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """POST: a draft with the rules in force, to be edited."""

        def draft(now: Any) -> str:
            made = versions.create_draft(policy_set_id=pk, author=person_of(request), now=now)
            return f"{made} is a draft. Open it below to edit its rules."

        return act(request, draft, back=reverse("admin:policies_policyset_change", args=[pk]))
