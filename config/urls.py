"""All URLs, put together in one place: doors do not follow apps."""

from django.contrib import admin
from django.urls import include, path

from apps.connectors.views import oauth
from apps.dashboard.views.halt import halt
from apps.dashboard.views.health import healthz, readyz
from apps.dashboard.views.metrics import metrics
from apps.dashboard.views.watch import home, parts
from apps.trades.api.hooks import HookView

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("admin/decide/", include("apps.approvals.urls")),
    path("admin/keys/", include("apps.connectors.urls")),
    path("admin/", admin.site.urls),
    path("api/", include("config.api_urls")),
    path("hooks/<slug:name>", HookView.as_view(), name="hook"),
    path("accounts/", include("apps.accounts.urls")),
    path("oauth/coinbase/connect", oauth.connect, name="coinbase_connect"),
    path("oauth/coinbase/callback", oauth.callback, name="coinbase_callback"),
    path("", home, name="home"),
    path("watch/parts", parts, name="watch_parts"),
    path("halt", halt, name="halt"),
]

# Under /api/ these answer in the form of the API, elsewhere with Django's own pages.
handler400 = "apps.common.api.pages.bad_request"
handler403 = "apps.common.api.pages.forbidden"
handler404 = "apps.common.api.pages.not_found"
handler500 = "apps.common.api.pages.broken"
