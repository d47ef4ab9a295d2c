"""Trades under /api/v1/."""

from django.urls import path

from apps.trades.api import batches, desk_views, lesson_views, outcomes, views

urlpatterns = [
    path("trades/proposals", views.ProposalsView.as_view(), name="api-proposals"),
    path("trades/proposals/batch", batches.BatchView.as_view(), name="api-batch"),
    path("trades/proposals/<str:proposal_id>/withdraw", views.WithdrawView.as_view(), name="api-withdraw"),
    path("trades/orders/<str:order_id>/cancel", views.CancelView.as_view(), name="api-cancel"),
    path("trades/preview", views.PreviewView.as_view(), name="api-preview"),
    path("trades/outcome", outcomes.OutcomeView.as_view(), name="api-outcome"),
    path("trades/lessons/query", lesson_views.LessonsQueryView.as_view(), name="api-lessons-query"),
    path("positions", desk_views.PositionsView.as_view(), name="api-positions"),
    path("trading-state", desk_views.TradingStateView.as_view(), name="api-trading-state"),
    path("trading-state/halt", desk_views.HaltView.as_view(), name="api-halt"),
    path("trading-state/reduce", desk_views.ReduceView.as_view(), name="api-reduce"),
]
