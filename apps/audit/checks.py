"""What must be true of the database before Aika writes to it."""

from collections.abc import Sequence
from typing import Any

from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DEFAULT_DB_ALIAS, connections

from apps.audit.rules import webhooks
from apps.audit.services import database_roles
from apps.common.guards import missing_guards


@register(Tags.database)
def guards_stand(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """audit.E001: a trigger that the applied migrations installed is missing, altered or not ours."""
    return [
        Error(
            f"Guard: {problem}.",
            hint="A migration rebuilt the table without InstallGuards, or somebody changed the triggers. "
            "Find out which; a migration that repeats InstallGuards puts them back (migrate --skip-checks).",
            id="audit.E001",
        )
        for alias in databases or ()
        for problem in missing_guards(connections[alias])
    ]


@register(Tags.database)
def application_owns_no_table(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """audit.E002: the application's role could take the guards off, or do what they refuse once they are off."""
    if settings.ENVIRONMENT != "production" or settings.CONNECTED_AS_OWNER or DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    tables = database_roles.too_mighty()
    if not tables:
        return []
    return [
        Error(
            f"The role of DATABASE_URL may change what is only ever added to: {', '.join(tables)}.",
            hint="Connect as a role that owns no table: the owner's URL goes into MIGRATION_DATABASE_URL, another "
            "role's into DATABASE_URL, and manage.py grant_roles runs after migrate (docs/audit.md).",
            id="audit.E002",
        )
    ]


@register(Tags.security)
def checkpoints_can_be_verified(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """audit.E003: in production, no public key of the sealer is known."""
    if settings.ENVIRONMENT != "production" or settings.AUDIT_SEAL_PUBLIC_KEYS:
        return []
    return [
        Error(
            "No checkpoint of the audit log can be verified: AUDIT_SEAL_PUBLIC_KEYS is empty.",
            hint="Make a key with manage.py audit_keygen and set the public key that it prints.",
            id="audit.E003",
        )
    ]


@register(Tags.security)
def alarms_get_out(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """audit.E004: the webhook that is set up is one that nothing would be sent to. audit.E005: in production, alarms
    would go by mail in the clear, beyond this machine."""
    found: list[CheckMessage] = []
    url, secret = settings.ALARM_WEBHOOK_URL, settings.ALARM_WEBHOOK_SECRET
    if url and (trouble := webhooks.why_not(url=url, secret=secret, environment=settings.ENVIRONMENT)):
        found.append(Error(trouble, hint="docs/alarms.md says what a receiver needs.", id="audit.E004"))
    here = settings.EMAIL_HOST in {"localhost", "127.0.0.1", "::1"}
    plain = settings.EMAIL_SECURITY == "none" and not here
    if settings.ENVIRONMENT == "production" and settings.ALARM_EMAIL_TO and plain:
        found.append(
            Error(
                "Alarms would go to EMAIL_HOST in the clear.",
                hint="Set EMAIL_SECURITY to starttls or tls.",
                id="audit.E005",
            )
        )
    return found
