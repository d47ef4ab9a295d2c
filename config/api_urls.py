"""The API, version 1. No address ends with a slash; what is not here is answered in the form of the API."""

from django.urls import include, path, re_path

from apps.common.api import docs, pages

urlpatterns = [
    # First: its `trades/proposals/batch` is no id of a proposal.
    path("v1/", include("apps.trades.api.urls")),
    path("v1/", include("apps.approvals.api.urls")),
    path("v1/", include("apps.policies.api.urls")),
    path("v1/", include("apps.lessons.api.knowledge_urls")),
    path("v1/", include("apps.lessons.api.urls")),
    path("v1/", include("apps.quotes.api.urls")),
    path("v1/", include("apps.connectors.api.urls")),
    path("v1/schema", docs.schema, name="api-schema"),
    path("v1/docs", docs.DocsView.as_view(), name="api-docs"),
    re_path(r"", pages.unknown_address),
]
