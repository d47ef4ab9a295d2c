"""Authorisations by OAuth: how each stands, and the three verbs: connect again, make a connection, disconnect."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from apps.common.admin import ReadOnlyAdmin
from apps.common.errors import AikaError, Denied
from apps.common.words import ago, listed, moment
from apps.connectors.admin.connections import MANAGE, _actor, _MayRead, _person
from apps.connectors.forms import OAuthConnectionForm
from apps.connectors.models import Authorisation, AuthorisationState
from apps.connectors.services import authorisations, connections
from apps.connectors.services.venue import environment_of


@admin.register(Authorisation)
class AuthorisationAdmin(_MayRead, ReadOnlyAdmin[Authorisation]):
    """No token is on any page."""

    filled_by = "Connecting an account at the venue by OAuth, on a connection's page, makes one."

    list_display = ("account_name", "venue", "person", "health", "used_by", "authorised_at")
    list_display_links = ("account_name",)
    list_select_related = ("person",)
    fieldsets = (
        ("Whose account", {"fields": ("account_name", "account_uid", "venue", "api_base", "person")}),
        ("How it stands", {"fields": ("health", "access", "refreshed", "authorised_at", "used_by")}),
        ("What it may", {"fields": ("granted", "missing")}),
    )
    change_list_template = "connectors/authorisations.html"
    change_form_template = "connectors/authorisation.html"

    @admin.display(description="health")
    def health(self, obj: Authorisation) -> str:
        if obj.state == AuthorisationState.ACTIVE:
            failed = f", though the last {obj.refresh_failures} refreshes failed" if obj.refresh_failures else ""
            return f"works{failed}"
        since = moment(obj.state_since, timezone.now())
        return f"{obj.get_state_display()} (since {since}). {obj.state_reason}".strip()

    @admin.display(description="access token")
    def access(self, obj: Authorisation) -> str:
        now = timezone.now()
        if not obj.access_token:
            return "none"
        ends = moment(obj.access_until, now)
        follows = "then it is refreshed" if obj.refresh_token else "and the venue gave none to refresh it with"
        return f"ended {ends}, {follows}" if obj.access_until <= now else f"ends {ends}, {follows}"

    @admin.display(description="last refreshed")
    def refreshed(self, obj: Authorisation) -> str:
        return "not yet" if obj.refreshed_at is None else ago(obj.refreshed_at, timezone.now())

    @admin.display(description="granted")
    def granted(self, obj: Authorisation) -> str:
        return listed([authorisations.words_of(scope) for scope in obj.granted_scopes]) or "nothing"

    @admin.display(description="asked for and not granted")
    def missing(self, obj: Authorisation) -> str:
        missing = authorisations.missing_scopes(obj)
        return listed([authorisations.words_of(scope) for scope in missing]) or "nothing"

    @admin.display(description="used by")
    def used_by(self, obj: Authorisation) -> str:
        return listed([item.name for item in obj.connections.all()]) or "no connection yet"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("connections")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<uuid:pk>/disconnect/", view(self.disconnect_view), name="connectors_authorisation_disconnect"),
            path("<uuid:pk>/connection/", view(self.connection_view), name="connectors_authorisation_connection"),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().changelist_view(request, {**(extra_context or {}), "may_manage": request.user.has_perm(MANAGE)})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {**(extra_context or {}), "may_manage": request.user.has_perm(MANAGE)}
        return super().changeform_view(request, object_id, form_url, context)

    def disconnect_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """GET says what ends, POST ends it."""
        row = self._managed(request, pk)
        if request.method != "POST":
            return self._page(request, "connectors/authorisation_disconnect.html", "Disconnect", row)
        try:
            told = authorisations.disconnect(authorisation_id=row.pk, actor=_actor(request), now=timezone.now())
        except AikaError as error:
            messages.error(request, f"{error.message} {error.fix}".strip())
            return HttpResponseRedirect(self._address(row))
        if told:
            messages.success(request, f"{row} is disconnected, and the venue was asked to forget it.")
        else:
            text = f"{row} is disconnected here. The venue did not answer: take the access back on its own pages too."
            messages.warning(request, text)
        return HttpResponseRedirect(self._address(row))

    def connection_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """GET the form, POST to make a connection that uses this account."""
        row = self._managed(request, pk)
        environment = environment_of(row.api_base)
        form = OAuthConnectionForm(request.POST if request.method == "POST" else None, environment=environment)
        if form.is_valid():
            made = self._make(request, row, form)
            if made is not None:
                return made
        context = {"form": form, "is_live": environment == "live"}
        return self._page(request, "connectors/authorisation_connection.html", "Make a connection", row, **context)

    def _make(self, request: HttpRequest, row: Authorisation, form: OAuthConnectionForm) -> HttpResponse | None:
        draft = connections.Draft(
            **{name: form.cleaned_data[name] for name in ("slug", "name", "desk")},
            environment=environment_of(row.api_base),
            api_base=row.api_base,
            authorisation=row,
        )
        now = timezone.now()
        try:
            try:
                made = connections.create(draft=draft, actor=_actor(request), now=now)
            except Denied as error:
                if error.code != "SECOND_PERSON_REQUIRED":
                    raise
                connections.request_live(draft=draft, requester=_person(request), now=now)
                text = "A second person has been asked. Once they have seconded it, enter exactly the same again."
                messages.warning(request, text)
                return HttpResponseRedirect(self._address(row))
        except AikaError as error:
            form.add_error(None, f"{error.message} {error.fix}".strip())
            return None
        return HttpResponseRedirect(reverse("admin:connectors_connection_change", args=[made.pk]))

    def _managed(self, request: HttpRequest, pk: UUID) -> Authorisation:
        if not request.user.has_perm(MANAGE):
            raise PermissionDenied
        return get_object_or_404(Authorisation.objects.select_related("person"), pk=pk)

    def _page(self, request: HttpRequest, template: str, title: str, row: Authorisation, **more: Any) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "row": row, **more}
        return TemplateResponse(request, template, context)

    def _address(self, row: Authorisation) -> str:
        return reverse("admin:connectors_authorisation_change", args=[row.pk])
