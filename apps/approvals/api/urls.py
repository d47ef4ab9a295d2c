"""Decisions under /api/v1/."""

from django.urls import path

from apps.approvals.api import views

urlpatterns = [
    path("trades/proposals/<str:proposal_id>", views.ProposalView.as_view(), name="api-proposal"),
    path("approvals", views.QueueView.as_view(), name="api-approvals"),
    path("approvals/<str:proposal_id>", views.BallotView.as_view(), name="api-ballot"),
    path("approvals/<str:proposal_id>/approve", views.ApproveView.as_view(), name="api-approve"),
    path("approvals/<str:proposal_id>/challenge", views.ChallengeView.as_view(), name="api-challenge"),
    path("approvals/<str:proposal_id>/decline", views.DeclineView.as_view(), name="api-decline"),
]
