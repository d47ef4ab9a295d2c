"""Versions: a draft is edited here, activated (by two people where it loosens), and read-only from then on."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils import timezone

from apps.accounts.services.people import actor_of
from apps.common.admin import ModelAdmin, act
from apps.common.errors import Invalid
from apps.common.lists import SeenRelatedFilter
from apps.policies.admin.base import DRAFT, MayRead, person_of
from apps.policies.forms import RuleForm, params_help
from apps.policies.models import PolicyVersion, Rule
from apps.policies.rules import loosenings
from apps.policies.selectors import rules_of
from apps.policies.services import versions
from apps.policies.types import VersionState

if TYPE_CHECKING:
    StackedInline = admin.StackedInline[Any, Any]
else:  # Django's class is generic in its stubs only
    StackedInline = admin.StackedInline


def _is_draft(obj: PolicyVersion | None) -> bool:
    return obj is not None and obj.state == VersionState.DRAFT


class RuleInline(StackedInline):
    """The rules of a version, editable while it is a draft."""

    model = Rule
    form = RuleForm
    extra = 0
    fields = (("key", "kind"), "params", ("connection", "instrument"), ("side", "proposer"), "reason")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # whoever may open the version may read its rules

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and request.user.has_perm(DRAFT)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_add_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_add_permission(request, obj)


@admin.register(PolicyVersion)
class PolicyVersionAdmin(MayRead, ModelAdmin):
    """Made from its set's page; what left draft is shown and not changed."""

    filled_by = "Draft one from its policy set; a second person activates it."

    actions = None
    list_display = ("__str__", "state", "author", "created_at", "activated_at", "retired_at")
    list_select_related = ("policy_set", "author")
    list_filter = ("state", ("policy_set", SeenRelatedFilter))
    show_full_result_count = False
    fields = ("policy_set", "number", "state", "note", "digest_now", "author", "activated_by", "activated_at")
    inlines = (RuleInline,)
    change_form_template = "admin/policies/policyversion/change_form.html"

    @admin.display(description="digest")
    def digest_now(self, obj: PolicyVersion) -> str:
        return f"{rules_of(obj).digest} (as it stands)" if _is_draft(obj) else obj.digest

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(DRAFT) and (obj is None or _is_draft(obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return tuple(name for name in self.fields if name != "note" or not _is_draft(obj))

    def get_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, "policies_policyversion"
        return [
            path("<uuid:pk>/activate/", wrap(self.activate_view), name=f"{name}_activate"),
            path("<uuid:pk>/request/", wrap(self.request_view), name=f"{name}_request"),
            path("<uuid:pk>/discard/", wrap(self.discard_view), name=f"{name}_discard"),
            *super().get_urls(),
        ]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {
            **(extra_context or {}),
            "may_draft": request.user.has_perm(DRAFT),
            "params_help": params_help(),
        }
        try:
            with transaction.atomic():
                return super().changeform_view(request, object_id, form_url, context)
        except IntegrityError:
            messages.warning(request, "This version left draft meanwhile. Nothing was saved; look at it again.")
            return HttpResponseRedirect(request.get_full_path(), status=303)

    def save_model(self, request: HttpRequest, obj: PolicyVersion, form: Any, change: bool) -> None:
        obj.save(update_fields=["note"])

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The event is written in the transaction of the change, with the digest of the draft as it now stands."""
        super().save_related(request, form, formsets, change)
        version = PolicyVersion.objects.select_related("policy_set").get(pk=form.instance.pk)
        versions.record_version(
            "policy.draft_edited",
            version,
            actor_of(person_of(request)),
            timezone.now(),
            digest=rules_of(version).digest,
        )

    def activate_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """GET shows what would judge from then on, and whether it was seconded; POST activates."""
        if not request.user.has_perm(DRAFT):
            raise PermissionDenied
        back = reverse("admin:policies_policyversion_change", args=[pk])
        if request.method == "POST":
            return act(request, lambda now: self._activate(request, pk, now), back=back)
        version = get_object_or_404(PolicyVersion.objects.select_related("policy_set", "author"), pk=pk)
        problem, why = "", loosenings(versions.active_rules(version.policy_set_id), rules_of(version))
        try:
            versions.check_draft(version)
        except Invalid as error:
            problem = f"{error.message} {error.fix}".strip()
        context = {
            **self.admin_site.each_context(request),
            "title": f"Activate {version}",
            "opts": self.opts,
            "version": version,
            "rules": rules_of(version),
            "problem": problem,
            "loosenings": why,
            "is_draft": _is_draft(version),
        }
        return TemplateResponse(request, "policies/activate.html", context)

    def request_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """POST: ask a second person."""

        def ask(now: datetime) -> str:
            asked = versions.request_activation(version_id=pk, requester=person_of(request), now=now)
            return f"A second person is asked, until {asked.expires_at:%d %b %H:%M} UTC. Then activate it here."

        return act(request, ask, back=reverse("admin:policies_policyversion_activate", args=[pk]))

    def discard_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """POST: end a draft that is not wanted."""

        def end(now: datetime) -> str:
            return f"{versions.discard(version_id=pk, person=person_of(request), now=now)} will not be used."

        return act(request, end, back=reverse("admin:policies_policyversion_change", args=[pk]))

    def _activate(self, request: HttpRequest, pk: UUID, now: datetime) -> str:
        version = versions.activate(version_id=pk, person=person_of(request), now=now)
        return f"{version} judges from now on."
