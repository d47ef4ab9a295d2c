"""Knowledge under /api/v1/."""

from django.urls import path

from apps.lessons.api import knowledge_views as views

urlpatterns = [
    path("knowledge", views.KnowledgeView.as_view(), name="api-knowledge"),
    path("knowledge/query", views.KnowledgeQueryView.as_view(), name="api-knowledge-query"),
]
