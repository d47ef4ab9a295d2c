"""The admin as a desk: named by string in config, so that every app registers with it without importing it."""

from typing import Any

from django.contrib import admin
from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from apps.dashboard.views import desk, halt, search, trading


class AikaAdminSite(admin.AdminSite):
    """Sign-in and passwords go through allauth: there is no second door. Nothing is deleted in bulk."""

    site_header = "Aika"
    site_title = "Aika"
    index_title = "Desk"
    site_url = None
    enable_nav_sidebar = False
    empty_value_display = "\u2013"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.disable_action("delete_selected")

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own: list[URLResolver | URLPattern] = [
            path("status.json", self.admin_view(desk.status), name="status"),
            path("halt/", self.admin_view(halt.halt), name="halt"),
            *trading.urls(self.admin_view),
            path("search/", self.admin_view(search.search), name="search"),
            path("watch/", self.admin_view(desk.watch), name="watch"),
            path("set-up/", self.admin_view(desk.set_up), name="set_up"),
            path("look-back/", self.admin_view(desk.look_back), name="look_back"),
        ]
        return own + super().get_urls()

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # type: ignore[override]  # Django answers with less than its stubs say
        """The desk: what waits for people first, then the way to everything else."""
        return desk.index(request)

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """allauth signs people in. Who is signed in and has no business here is told so, not asked again."""
        if request.user.is_authenticated:
            if request.user.is_staff and request.user.is_active:
                return HttpResponseRedirect(reverse("admin:index"))
            raise PermissionDenied("You are signed in, and nothing on the desk is open to you.")
        target = request.GET.get("next") or reverse("admin:index")
        return redirect_to_login(target, reverse("account_login"))

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # type: ignore[override]  # as index
        """Sign out and say where one can sign in again."""
        return _sign_out(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # type: ignore[override]  # as index
        return HttpResponseRedirect(reverse("account_change_password"))

    def password_change_done(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # type: ignore[override]  # as index
        return HttpResponseRedirect(reverse("admin:index"))


@require_POST
def _sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponseRedirect(reverse("account_login"))
