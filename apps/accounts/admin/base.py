"""What the pages of this app share: the person at the keyboard, and changes that leave an audit event."""

from abc import abstractmethod
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse

from apps.accounts.errors import Unauthenticated
from apps.accounts.models import User
from apps.common.admin import ModelAdmin


def person_of(request: HttpRequest) -> User:
    """The signed-in person. Raises `Unauthenticated` NOT_SIGNED_IN."""
    if not isinstance(request.user, User):
        raise Unauthenticated("NOT_SIGNED_IN", "Sign in first.")
    return request.user


class AuditedAdmin(ModelAdmin):
    """Edited with the stock form; the event is written in the transaction of the change. Nothing is deleted."""

    actions = None

    @abstractmethod
    def describe(self, obj: Any) -> dict[str, object]:
        """The object as an event says it."""

    @abstractmethod
    def record(self, request: HttpRequest, obj: Any, before: dict[str, object] | None) -> None:
        """Write the event; `before` is None for a new object."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if request.method != "POST" or object_id is None:
            return super().changeform_view(request, object_id, form_url, extra_context)
        with transaction.atomic():
            obj = self.get_object(request, object_id)
            before = self.describe(obj) if obj else None
            response = super().changeform_view(request, object_id, form_url, extra_context)
            changed = self.get_object(request, object_id)
            if changed is not None and before is not None:
                self.record(request, changed, before)
        return response

    def save_related(self, request: HttpRequest, form: "ModelForm[Any]", formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if not change:
            self.record(request, form.instance, None)
