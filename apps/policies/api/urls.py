"""Policy under /api/v1/."""

from django.urls import path

from apps.policies.api.views import PoliciesView

urlpatterns = [path("policies", PoliciesView.as_view(), name="api-policies")]
