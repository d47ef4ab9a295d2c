"""Keys of programs: `Authorization: Bearer aika_<prefix>_<secret>`."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from apps.accounts import selectors
from apps.accounts.errors import Unauthenticated
from apps.accounts.models import ApiKey, User
from apps.accounts.types import Scope
from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.errors import Conflict, Invalid, NotFound

KEY_LIFETIME_MAX = timedelta(days=366)
KEYS_PER_OWNER_MAX = 20
NAME_LENGTH_MAX = 80
LAST_USED_INTERVAL = timedelta(minutes=1)

_PREFIX_BYTES = 6
_SECRET_BYTES = 32
_HEADER = re.compile(r"Bearer aika_([0-9a-f]{12})_([0-9a-f]{64})", re.IGNORECASE | re.ASCII)


@transaction.atomic
def issue(
    *, owner: User, name: str, scopes: Collection[str], expires_at: datetime, actor: Actor, now: datetime
) -> tuple[ApiKey, str]:
    """Make a key for a program of `owner`; returns the row and the whole key, which cannot be shown again.

    A key never has a scope its owner could not use. Raises `Invalid` OWNER_INACTIVE, KEY_NAME_MISSING,
    KEY_NAME_TOO_LONG, SCOPE_MISSING, SCOPE_UNKNOWN, SCOPE_EXCEEDS_OWNER, EXPIRY_OUT_OF_RANGE or KEY_LIMIT_REACHED.
    """
    wanted = _checked_scopes(owner, scopes)
    _check_name_and_expiry(name, expires_at, now)
    live = ApiKey.objects.filter(owner=owner, revoked_at=None, expires_at__gt=now).count()
    if live >= KEYS_PER_OWNER_MAX:
        raise Invalid(
            "KEY_LIMIT_REACHED",
            f"This person already has {live} keys; at most {KEYS_PER_OWNER_MAX} are allowed.",
            fix="Revoke a key that is not used.",
            field="owner",
        )
    prefix, secret = secrets.token_hex(_PREFIX_BYTES), secrets.token_hex(_SECRET_BYTES)
    key = ApiKey.objects.create(
        owner=owner,
        name=name.strip(),
        prefix=prefix,
        secret_hash=_hash(secret),
        scopes=[scope.value for scope in wanted],
        expires_at=expires_at,
        created_at=now,
    )
    payload = {
        "name": key.name,
        "prefix": prefix,
        "owner": owner.pk,
        "scopes": key.scopes,
        "expires_at": expires_at,
    }
    _record("api_key.issued", key, actor, payload, now)
    return key, f"aika_{prefix}_{secret}"


@transaction.atomic
def revoke(*, key_id: UUID, actor: Actor, now: datetime, reason: str = "") -> ApiKey:
    """End a key at once and for good. Raises `NotFound` KEY_NOT_FOUND or `Conflict` KEY_ALREADY_REVOKED."""
    revoked = ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=now)
    key = ApiKey.objects.filter(pk=key_id).first()
    if key is None:
        raise NotFound("KEY_NOT_FOUND", "There is no such key.")
    if revoked != 1:
        raise Conflict("KEY_ALREADY_REVOKED", f"The key {key.prefix} was revoked before.")
    _record("api_key.revoked", key, actor, {"prefix": key.prefix, "reason": reason}, now)
    return key


def prefix_in(header: str) -> str | None:
    """The prefix of the key that a header carries, known or not; None where it carries none."""
    match = _HEADER.fullmatch(header)
    return match[1].lower() if match else None


def authenticate(*, header: str, now: datetime) -> ApiKey:
    """The live key a request carries, with its owner and what their roles allow: one round trip, and at most one
    small write a minute.

    Raises `Unauthenticated` KEY_MALFORMED, KEY_UNKNOWN (a wrong secret too: which prefixes exist stays unknown),
    and, only to who holds the whole secret, KEY_REVOKED, KEY_EXPIRED or OWNER_INACTIVE.
    """
    match = _HEADER.fullmatch(header)
    if match is None:
        raise Unauthenticated(
            "KEY_MALFORMED",
            "The Authorization header is not `Bearer aika_<prefix>_<secret>`.",
            fix="Send the key exactly as it was shown when it was made.",
        )
    prefix, secret = match[1].lower(), match[2].lower()
    key = selectors.key_of(prefix)
    # An unknown prefix costs the same hash and comparison as a wrong secret.
    if not hmac.compare_digest(_hash(secret), key.secret_hash if key else _hash(prefix)) or key is None:
        raise Unauthenticated("KEY_UNKNOWN", "This API key is not known.", fix="Ask an operator for a new key.")
    _refuse_ended(key, now)
    if key.last_used_at is None or now - key.last_used_at >= LAST_USED_INTERVAL:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - LAST_USED_INTERVAL)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
        key.last_used_at = now
    return key


def still_valid(*, key_id: UUID, now: datetime) -> ApiKey:
    """A key that was authenticated before, as it is now, with its owner.

    Raises `Unauthenticated` KEY_REVOKED, KEY_EXPIRED or OWNER_INACTIVE.
    """
    key = ApiKey.objects.select_related("owner").get(pk=key_id)
    _refuse_ended(key, now)
    return key


def _refuse_ended(key: ApiKey, now: datetime) -> None:
    ended = {
        "KEY_REVOKED": (key.revoked_at is not None, "This API key was revoked."),
        "KEY_EXPIRED": (key.expires_at <= now, "This API key has expired."),
        "OWNER_INACTIVE": (not key.owner.is_active, "The owner of this API key is no longer active."),
    }
    for code, (is_so, message) in ended.items():
        if is_so:
            raise Unauthenticated(code, message, fix="Ask an operator for a new key.")


def _checked_scopes(owner: User, scopes: Collection[str]) -> list[Scope]:
    if not owner.is_active:
        raise Invalid("OWNER_INACTIVE", "The owner of a key must be an active person.", field="owner")
    unknown = sorted(set(scopes) - {scope.value for scope in Scope})
    if unknown:
        raise Invalid("SCOPE_UNKNOWN", f"There is no scope {', '.join(unknown)}.", field="scopes")
    wanted = [scope for scope in Scope if scope.value in scopes]
    if not wanted:
        raise Invalid("SCOPE_MISSING", "A key needs at least one scope.", field="scopes")
    beyond = [scope.value for scope in wanted if not selectors.may_use_scope(owner, scope)]
    if beyond:
        raise Invalid(
            "SCOPE_EXCEEDS_OWNER",
            f"{owner.shown_name} may not {', '.join(beyond)}, so a key of theirs may not either.",
            fix="Choose other scopes, or an owner whose role allows them.",
            field="scopes",
        )
    return wanted


def _check_name_and_expiry(name: str, expires_at: datetime, now: datetime) -> None:
    if not name.strip():
        raise Invalid("KEY_NAME_MISSING", "A key needs a name that says what it is for.", field="name")
    if len(name.strip()) > NAME_LENGTH_MAX:
        raise Invalid("KEY_NAME_TOO_LONG", f"The name has at most {NAME_LENGTH_MAX} characters.", field="name")
    if not now < expires_at <= now + KEY_LIFETIME_MAX:
        raise Invalid(
            "EXPIRY_OUT_OF_RANGE",
            f"A key expires in the future, at most {KEY_LIFETIME_MAX.days} days from now.",
            field="expires_at",
        )


def _hash(secret: str) -> str:
    """SHA-256 is right here, and fast: the secret has 256 random bits, so there is nothing to guess."""
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def _record(kind: str, key: ApiKey, actor: Actor, payload: Mapping[str, object], now: datetime) -> None:
    subject = f"api_key:{key.pk}"
    events.record(stream=subject, kind=kind, actor=actor, subject=subject, payload=payload, now=now)
