"""Trading states as rows. The page people work on is the dashboard's: it asks orders too."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from apps.common.admin import ReadOnlyAdmin
from apps.policies.admin.base import HALT, MayRead
from apps.policies.models import TradingState


@admin.register(TradingState)
class TradingStateAdmin(MayRead, ReadOnlyAdmin):
    """Every link to the list leads to the page of the trading state."""

    filled_by = "`manage.py migrate` writes the row for everything. Without it all is halted."

    fields = ("scope", "connection", "state", "reason", "changed_by", "changed_at")

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return MayRead.has_view_permission(self, request, obj) or request.user.has_perm(HALT)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(reverse("admin:trading_state"))
