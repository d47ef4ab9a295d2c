"""API keys: issued on a page that shows the key once, revoked with one POST, never edited or deleted."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables

from apps.accounts.admin.base import person_of
from apps.accounts.forms import IssueKeyForm
from apps.accounts.models import ApiKey
from apps.accounts.services import api_keys, people
from apps.common.admin import ReadOnlyAdmin
from apps.common.errors import AikaError, Conflict


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """The hash is on no page; what a key may do is fixed when it is made."""

    filled_by = "`Add` makes a key for a program. Its secret is shown once."

    list_display = ("name", "prefix", "owner", "scopes_in_words", "status", "last_used_at", "expires_at")
    list_select_related = ("owner",)
    list_filter = ("revoked_at",)
    search_fields = ("^prefix", "name", "owner__username")
    search_help_text = (
        "Name, owner, or the prefix: the part of a key between the first two underscores. Never type the rest of a key."
    )
    fields = (
        "name",
        "owner",
        "prefix",
        "scopes_in_words",
        "networks_in_words",
        "requests_per_minute",
        "status",
        "created_at",
        "rotated_from",
        "expires_at",
        "ends_at",
        "revoked_at",
        "last_used_at",
        "refused_at",
        "refused_address",
    )
    change_form_template = "accounts/api_key.html"

    @admin.display(description="Scopes")
    def scopes_in_words(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @admin.display(description="State")
    def status(self, key: ApiKey) -> str:
        return key.state_at(timezone.now())

    @admin.display(description="From")
    def networks_in_words(self, key: ApiKey) -> str:
        return ", ".join(key.networks) or "anywhere"

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """`aika_<prefix>`, as a leak shows it, is found too."""
        return super().get_search_results(request, queryset, search_term.strip().lower().removeprefix("aika_"))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("accounts.add_apikey")

    def may_revoke(self, request: HttpRequest) -> bool:
        """Revoking tightens: who may issue may revoke, and so may who may only change."""
        return request.user.has_perms(["accounts.change_apikey"])

    def get_urls(self) -> list[URLPattern]:
        revoke = path(
            "<uuid:key_id>/revoke/", self.admin_site.admin_view(self.revoke_view), name="accounts_apikey_revoke"
        )
        return [revoke, *super().get_urls()]

    @method_decorator(never_cache)
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """GET the form, POST to issue. The answer to the POST is the only page that ever shows the key."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = IssueKeyForm(request.POST if request.method == "POST" else None)
        if form.is_valid() and (page := self._issue(request, form)) is not None:
            return page
        context = {**self.admin_site.each_context(request), "title": "Issue an API key", "form": form}
        return TemplateResponse(request, "accounts/api_key_issue.html", {**context, "opts": self.opts})

    @sensitive_variables("secret")
    def _issue(self, request: HttpRequest, form: IssueKeyForm) -> HttpResponse | None:
        now, values = timezone.now(), form.cleaned_data
        try:
            key, secret = api_keys.issue(
                owner=values["owner"],
                name=values["name"],
                scopes=values["scopes"],
                expires_at=now + form.lifetime,
                networks=values["networks"],
                requests_per_minute=values["requests_per_minute"],
                actor=people.actor_of(person_of(request)),
                now=now,
            )
        except AikaError as error:
            form.add_error(error.field if error.field in form.fields else None, f"{error.message} {error.fix}".strip())
            return None
        context = {**self.admin_site.each_context(request), "title": "The key, shown once", "opts": self.opts}
        return TemplateResponse(request, "accounts/api_key_issued.html", {**context, "key": key, "secret": secret})

    def revoke_view(self, request: HttpRequest, key_id: UUID) -> HttpResponse:
        """GET says what stops working, POST does it."""
        if not self.may_revoke(request):
            raise PermissionDenied
        key = get_object_or_404(ApiKey.objects.select_related("owner"), pk=key_id)
        if request.method != "POST":
            context = {**self.admin_site.each_context(request), "title": "Revoke this key", "opts": self.opts}
            return TemplateResponse(request, "accounts/api_key_revoke.html", {**context, "key": key})
        try:
            api_keys.revoke(key_id=key_id, actor=people.actor_of(person_of(request)), now=timezone.now())
            messages.info(request, f"The key {key.prefix} is revoked. Programs that hold it are refused from now on.")
        except Conflict as error:
            messages.warning(request, error.message)
        return HttpResponseRedirect(reverse("admin:accounts_apikey_change", args=[key_id]))
