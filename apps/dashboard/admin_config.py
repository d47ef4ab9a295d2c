from django.contrib.admin.apps import AdminConfig


class AikaAdminConfig(AdminConfig):
    """Django's admin with our site in place of its own. `apps.py` cannot hold it: an app has one default config."""

    default_site = "apps.dashboard.site.AikaAdminSite"
