"""The market under /api/v1/."""

from django.urls import path

from apps.quotes.api.views import CandlesView, FeedView, QuotesView

urlpatterns = [
    path("candles", CandlesView.as_view(), name="api-candles"),
    path("feed", FeedView.as_view(), name="api-feed"),
    path("quotes", QuotesView.as_view(), name="api-quotes"),
]
