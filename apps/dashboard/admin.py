"""Beat's periodic tasks: what runs is the code's business; when, and whether, is the operator's."""

import django_celery_beat.admin  # noqa: F401  registers its own page first, so that ours can take its place
from django.contrib import admin
from django.http import HttpRequest
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from apps.common.admin import ReadOnlyAdmin

for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(model)


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(ReadOnlyAdmin[PeriodicTask]):
    """Only the schedule and the switch can be edited; what a task is, and with which arguments, stands in the code."""

    filled_by = "`manage.py sync_beat` writes what runs by itself. As long as this is empty, nothing does."

    list_display = ("name", "enabled", "interval", "crontab", "last_run_at", "total_run_count")
    list_filter = ("enabled",)
    list_select_related = ("interval", "crontab")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name", "task", "description", "enabled", "interval", "crontab", "last_run_at", "total_run_count")
    readonly_fields = ("name", "task", "description", "last_run_at", "total_run_count")

    def has_change_permission(self, request: HttpRequest, obj: PeriodicTask | None = None) -> bool:
        return request.user.has_perm("django_celery_beat.change_periodictask")


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(ReadOnlyAdmin[IntervalSchedule]):
    """New intervals may be added; one in use is not changed under the tasks that share it."""

    filled_by = "`manage.py sync_beat` writes the intervals of what runs by itself."

    list_display = ("__str__",)

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("django_celery_beat.add_intervalschedule")


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(ReadOnlyAdmin[CrontabSchedule]):
    """As intervals."""

    filled_by = "What runs by itself has intervals; hours of the day come with a task that a person gives them."

    list_display = ("__str__",)

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("django_celery_beat.add_crontabschedule")
