"""Secrets of second factors that are there are sealed to their rows. What no key opens stays as it is."""

from collections.abc import Callable
from typing import Any

from django.db import migrations

from apps.common.encryption import SEALED_PREFIX, open_text, seal_text
from apps.common.errors import Misconfigured

BEFORE = "second factor"
KINDS = ("totp", "recovery_codes")


def forwards(apps: Any, schema_editor: Any) -> None:
    """From any person's to this one's."""
    _reseal(apps, lambda row: (BEFORE, f"second factor of {row.user_id}:{row.type}"))


def backwards(apps: Any, schema_editor: Any) -> None:
    """From this person's to any one's."""
    _reseal(apps, lambda row: (f"second factor of {row.user_id}:{row.type}", BEFORE))


def _reseal(apps: Any, purposes: Callable[[Any], tuple[str, str]]) -> None:
    rows = apps.get_model("mfa", "Authenticator").objects.filter(type__in=KINDS)
    for row in rows.select_for_update().iterator():
        row.data = _walked(row.data, *purposes(row))
        row.save(update_fields=["data"])


def _walked(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _walked(inner, old, new) for key, inner in value.items()}
    if isinstance(value, list):
        return [_walked(inner, old, new) for inner in value]
    if not isinstance(value, str) or not value.startswith(SEALED_PREFIX):
        return value
    try:
        return seal_text(open_text(value, purpose=old), purpose=new)
    except Misconfigured:
        return value


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_api_key_refused"),
        ("mfa", "0003_authenticator_type_uniq"),
    ]

    operations = [migrations.RunPython(forwards, backwards)]
