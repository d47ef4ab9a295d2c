"""What waits for a second person, and what became of it."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from apps.accounts.admin.base import person_of
from apps.accounts.models import SecondPersonRequest, SecondPersonState
from apps.accounts.services import second_person
from apps.common.admin import ReadOnlyAdmin
from apps.common.errors import AikaError, Forbidden


@admin.register(SecondPersonRequest)
class SecondPersonRequestAdmin(ReadOnlyAdmin):
    """Read-only rows; seconding and withdrawing are verbs of their own."""

    filled_by = "What takes two people waits here for the second. Nothing does."

    list_display = ("kind", "subject", "requester", "seconder", "state_now", "requested_at", "expires_at")
    list_select_related = ("requester", "seconder")
    list_filter = ("state", "kind")
    search_fields = ("^subject", "^digest")
    search_help_text = "The beginning of a subject or of a digest."
    fields = (
        "kind",
        "subject",
        "summary",
        "digest",
        "requester",
        "seconder",
        "roles_in_words",
        "state_now",
        "requested_at",
        "expires_at",
        "seconded_at",
        "ended_at",
    )
    change_form_template = "accounts/second_person_request.html"

    @admin.display(description="State")
    def state_now(self, asked: SecondPersonRequest) -> str:
        waits = asked.state in (SecondPersonState.OPEN, SecondPersonState.SECONDED)
        return "Expired" if waits and asked.expires_at <= timezone.now() else asked.get_state_display()

    @admin.display(description="Second person must be")
    def roles_in_words(self, asked: SecondPersonRequest) -> str:
        return " or ".join(asked.roles) or "anybody who may second"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<uuid:request_id>/second/", wrap(self.second_view), name="accounts_secondpersonrequest_second"),
            path("<uuid:request_id>/withdraw/", wrap(self.withdraw_view), name="accounts_secondpersonrequest_withdraw"),
            *super().get_urls(),
        ]

    def second_view(self, request: HttpRequest, request_id: UUID) -> HttpResponse:
        """GET shows what would be confirmed, with its digest; POST confirms it."""
        person = person_of(request)
        if not person.has_perm("accounts.second_request"):
            raise PermissionDenied
        if request.method == "POST":
            return self._act(
                request,
                request_id,
                lambda now: second_person.second(request_id=request_id, seconder=person, now=now),
                "Seconded. It takes effect when it is carried out, once.",
            )
        asked = get_object_or_404(SecondPersonRequest.objects.select_related("requester"), pk=request_id)
        context = {**self.admin_site.each_context(request), "title": "Second this request", "opts": self.opts}
        page = {"asked": asked, "state": self.state_now(asked), "roles": self.roles_in_words(asked)}
        is_open = asked.state == SecondPersonState.OPEN and asked.expires_at > timezone.now()
        page |= {"is_open": is_open, "is_own": asked.requester_id == person.pk}
        return TemplateResponse(request, "accounts/second_person_second.html", {**context, **page})

    def withdraw_view(self, request: HttpRequest, request_id: UUID) -> HttpResponse:
        """POST only. Ending a request tightens, so it does not ask again."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        person = person_of(request)
        return self._act(
            request,
            request_id,
            lambda now: second_person.withdraw(request_id=request_id, person=person, now=now),
            "Withdrawn. Nothing has changed.",
        )

    def _act(
        self, request: HttpRequest, request_id: UUID, act: Callable[[datetime], SecondPersonRequest], done: str
    ) -> HttpResponse:
        try:
            act(timezone.now())
            messages.info(request, done)
        except Forbidden as error:
            raise PermissionDenied(error.message) from error
        except AikaError as error:
            messages.warning(request, f"{error.message} {error.fix}".strip())
        return HttpResponseRedirect(reverse("admin:accounts_secondpersonrequest_change", args=[request_id]))
