"""All URLs, put together in one place: doors do not follow apps."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
