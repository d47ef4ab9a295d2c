"""Lessons under /api/v1/."""

from django.urls import path

from apps.lessons.api.views import FeedbackView, LessonView, ReviewView

urlpatterns = [
    path("lessons/<str:lesson_id>", LessonView.as_view(), name="api-lesson"),
    path("lessons/<str:lesson_id>/review", ReviewView.as_view(), name="api-lesson-review"),
    path("lessons/<str:lesson_id>/feedback", FeedbackView.as_view(), name="api-lesson-feedback"),
]
