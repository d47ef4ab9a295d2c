"""People: added, given roles and deactivated by an administrator; never deleted."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from allauth.mfa.admin import Authenticator
from allauth.socialaccount.admin import SocialAccount, SocialApp, SocialToken
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from apps.accounts import selectors
from apps.accounts.admin.base import AuditedAdmin, person_of
from apps.accounts.forms import PersonCreationForm
from apps.accounts.models import User
from apps.accounts.services import browser_sessions, factor_secrets, lockouts, people, second_factors

if TYPE_CHECKING:
    DjangoUserAdmin = UserAdmin[User]
else:  # Django's class is generic in its stubs only
    DjangoUserAdmin = UserAdmin

# What a role may do is the table in services/roles.py, not a form.
admin.site.unregister(Group)
# Second factors belong to who has them. An administrator may only take all of them away.
admin.site.unregister(Authenticator)
# No token is in allauth's tables and no application: the settings have them. A link to an identity is not edited.
for model in (SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(model)


@admin.register(User)
class PersonAdmin(AuditedAdmin, DjangoUserAdmin):
    """Roles are the only way to a permission: there is no field for single permissions."""

    filled_by = "`Add` makes one, or `manage.py createsuperuser` the first."

    add_form = PersonCreationForm
    list_display = ("username", "shown_name", "email", "is_active", "is_staff", "is_superuser")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    search_fields = ("username", "email", "display_name")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password", "email", "display_name")}),
        (
            "What they may do",
            {
                "description": "Rights come from roles. Staff may open the admin; a superuser may everything there, "
                "but still cannot approve an own proposal.",
                "fields": ("is_active", "is_staff", "is_superuser", "groups"),
            },
        ),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "email", "display_name", "usable_password", "password1", "password2")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Who may only look does not see even a part of the password's hash."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name != "password"]})
            for title, options in fieldsets
        ]

    change_form_template = "accounts/person.html"

    def get_urls(self) -> list[URLPattern]:
        sign_in = path(
            "<uuid:person_id>/sign-in/", self.admin_site.admin_view(self.sign_in_view), name="accounts_user_sign_in"
        )
        return [sign_in, *super().get_urls()]

    def sign_in_view(self, request: HttpRequest, person_id: UUID) -> HttpResponse:
        """GET says how this person signs in, POST unlocks, ends sessions or takes second factors away."""
        person = get_object_or_404(User, pk=person_id)
        if not self.has_change_permission(request, person):
            raise PermissionDenied
        actor, now, verb = people.actor_of(person_of(request)), timezone.now(), request.POST.get("verb", "")
        if request.method == "POST":
            keep = _own_session(request, person)
            verbs: dict[str, Callable[[], int]] = {
                "unlock": lambda: lockouts.unlock(person=person, actor=actor, now=now),
                "end": lambda: browser_sessions.end_all(person, why="by hand", actor=actor, now=now, keep=keep),
                "factors": lambda: second_factors.remove_all(person=person, actor=actor, now=now),
            }
            if verb not in verbs:
                raise PermissionDenied
            done = verbs[verb]()
            messages.info(request, f"Done: {done} gone." if done else "There was nothing to do.")
            return HttpResponseRedirect(reverse("admin:accounts_user_sign_in", args=[person_id]), status=303)
        context = {
            **self.admin_site.each_context(request),
            "title": f"How {person.shown_name} signs in",
            "opts": self.opts,
            "person": person,
            "factors": sorted(selectors.second_factors_of(person)),
            "closed": factor_secrets.closed_of(person),
            "is_required": second_factors.is_required_of(person),
            "session_count": browser_sessions.sessions_of(person, now=now).count(),
            "locked": lockouts.locked_from(person),
        }
        return TemplateResponse(request, "accounts/person_sign_in.html", context)

    def describe(self, obj: User) -> dict[str, object]:
        return people.description_of(obj)

    def record(self, request: HttpRequest, obj: User, before: dict[str, object] | None) -> None:
        actor = people.actor_of(person_of(request))
        people.record_change(
            person=obj, before=before, actor=actor, now=timezone.now(), keep_session=_own_session(request, obj)
        )

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():
            response = super().user_change_password(request, id, form_url)
            person = self.get_object(request, id)
            if request.method == "POST" and response.status_code == 302 and person is not None:
                actor = people.actor_of(person_of(request))
                people.record_password_set(
                    person=person, actor=actor, now=timezone.now(), keep_session=_own_session(request, person)
                )
        return response


def _own_session(request: HttpRequest, person: User) -> str:
    """Who changes themselves stays where they are."""
    return (request.session.session_key or "") if person.pk == request.user.pk else ""
