"""A key's successor may propose on the same connections: the key and its grants are handed on as one act."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction

from apps.accounts.services import api_keys
from apps.audit.types import Actor
from apps.connectors.models import ConnectionGrant
from apps.connectors.services import connections

if TYPE_CHECKING:
    from apps.accounts.models import ApiKey


@transaction.atomic
def rotate_key(
    *, key_id: UUID, expires_at: datetime, overlap: timedelta, actor: Actor, now: datetime
) -> tuple["ApiKey", str]:
    """The successor of a key, granted on what the old key is granted on, and its whole text, shown once.

    The old key ends `overlap` from now at the latest. Raises as `api_keys.rotate`.
    """
    key, secret = api_keys.rotate(key_id=key_id, expires_at=expires_at, overlap=overlap, actor=actor, now=now)
    for given in ConnectionGrant.objects.filter(api_key=key.rotated_from).select_related("connection"):
        connections.grant(connection=given.connection, api_key=key, actor=actor, now=now)
    return key, secret
