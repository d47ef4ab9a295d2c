"""The market under /api/v1/."""

from django.urls import path

from apps.quotes.api.views import QuotesView

urlpatterns = [path("quotes", QuotesView.as_view(), name="api-quotes")]
