"""Pages about one proposal, under the admin's roof: signed-in staff only."""

from django.contrib import admin
from django.urls import path

from apps.approvals.views import decide, story

app_name = "decide"
urlpatterns = [
    path("<uuid:proposal_id>/", admin.site.admin_view(decide.page), name="page"),
    path("<uuid:proposal_id>/live/", admin.site.admin_view(decide.live), name="live"),
    path("<uuid:proposal_id>/approve/", admin.site.admin_view(decide.approve), name="approve"),
    path("<uuid:proposal_id>/challenge/", admin.site.admin_view(decide.challenge), name="challenge"),
    path("<uuid:proposal_id>/decline/", admin.site.admin_view(decide.decline), name="decline"),
    path("<uuid:proposal_id>/revoke/", admin.site.admin_view(decide.revoke), name="revoke"),
    path("<uuid:proposal_id>/lessons/<uuid:item_id>/", admin.site.admin_view(decide.rate), name="rate"),
    path("<uuid:proposal_id>/story/", admin.site.admin_view(story.page), name="story"),
]
