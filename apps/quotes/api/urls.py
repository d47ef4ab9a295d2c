"""The market under /api/v1/."""

from django.urls import path

from apps.quotes.api.views import CandlesView, QuotesView

urlpatterns = [
    path("candles", CandlesView.as_view(), name="api-candles"),
    path("quotes", QuotesView.as_view(), name="api-quotes"),
]
