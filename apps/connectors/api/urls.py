"""Connections under /api/v1/."""

from django.urls import path

from apps.connectors.api.views import ConnectorsView

urlpatterns = [path("connectors", ConnectorsView.as_view(), name="api-connectors")]
