"""All URLs, put together in one place: doors do not follow apps."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from apps.dashboard.views.health import healthz, readyz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("admin/decide/", include("apps.approvals.urls")),
    path("admin/", admin.site.urls),
    path("accounts/", include("apps.accounts.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
]
