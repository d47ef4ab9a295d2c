"""Pages beside the admin's own that need the connections of a key: signed-in staff only."""

from django.contrib import admin
from django.urls import path

from apps.connectors.views import rotate_key

urlpatterns = [path("<uuid:key_id>/rotate/", admin.site.admin_view(rotate_key.page), name="rotate_key")]
