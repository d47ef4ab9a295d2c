"""Keys of programs: `Authorization: Bearer aika_<prefix>_<secret>`. Made and rotated by people, never by a key."""

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NoReturn
from uuid import UUID

from django.core.cache import cache
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce

from apps.accounts import selectors
from apps.accounts.errors import Unauthenticated
from apps.accounts.models import ApiKey, User
from apps.accounts.types import Scope
from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.client_address import is_within
from apps.common.errors import Conflict, Forbidden, Invalid, NotFound

KEY_LIFETIME_MAX = timedelta(days=366)
KEYS_PER_OWNER_MAX = 20
NAME_LENGTH_MAX = 80
LAST_USED_INTERVAL = timedelta(minutes=1)
NETWORKS_MAX = 20
RATE_MAX = 1_000_000
OVERLAP_MAX = timedelta(days=30)
ADDRESS_REFUSED_EVERY_S = 600

_PREFIX_BYTES = 6
_SECRET_BYTES = 32
_HEADER = re.compile(r"Bearer aika_([0-9a-f]{12})_([0-9a-f]{64})", re.IGNORECASE | re.ASCII)
_FOUND = re.compile(r"(?:aika_)?(?<![0-9a-f])([0-9a-f]{12})(?:_([0-9a-f]{64}))?(?![0-9a-f])", re.IGNORECASE | re.ASCII)


@transaction.atomic
def issue(
    *,
    owner: User,
    name: str,
    scopes: Collection[str],
    expires_at: datetime,
    actor: Actor,
    now: datetime,
    networks: Sequence[str] = (),
    requests_per_minute: int | None = None,
) -> tuple[ApiKey, str]:
    """Make a key for a program of `owner`; returns the row and the whole key, which cannot be shown again.

    A key never has a scope its owner could not use. With `networks` (CIDR) it is refused from anywhere else, with
    `requests_per_minute` it is slower than the installation allows. Raises `Invalid` OWNER_INACTIVE, KEY_NAME_MISSING,
    KEY_NAME_TOO_LONG, SCOPE_MISSING, SCOPE_UNKNOWN, SCOPE_EXCEEDS_OWNER, EXPIRY_OUT_OF_RANGE, NETWORK_MALFORMED,
    RATE_OUT_OF_RANGE or KEY_LIMIT_REACHED.
    """
    made = ApiKey(
        owner=owner,
        name=name.strip(),
        scopes=[scope.value for scope in _checked_scopes(owner, scopes)],
        networks=_checked_networks(networks),
        requests_per_minute=requests_per_minute,
        expires_at=expires_at,
        created_at=now,
    )
    _check_name_and_expiry(name, expires_at, now)
    _check_rate(requests_per_minute)
    return _made(made, actor, now)


@transaction.atomic
def rotate(
    *, key_id: UUID, expires_at: datetime, overlap: timedelta, actor: Actor, now: datetime
) -> tuple[ApiKey, str]:
    """Make a successor that may exactly what the key may; the old key works on for `overlap` at most, and then ends.

    Returns the successor and its whole key, which cannot be shown again. `apps.connectors.services.key_rotation` also
    hands on the connections. Raises `NotFound` KEY_NOT_FOUND, `Conflict` KEY_ALREADY_REVOKED, KEY_ENDED or
    KEY_ALREADY_ROTATED, `Invalid` OVERLAP_OUT_OF_RANGE, and as `issue`: a role may have been lost meanwhile.
    """
    old = ApiKey.objects.select_for_update(of=("self",)).select_related("owner").filter(pk=key_id).first()
    if old is None:
        raise NotFound("KEY_NOT_FOUND", "There is no such key.")
    _refuse_rotation(old, overlap, now)
    _check_name_and_expiry(old.name, expires_at, now)
    made = ApiKey(
        owner=old.owner,
        name=old.name,
        scopes=[scope.value for scope in _checked_scopes(old.owner, old.scopes)],
        networks=old.networks,
        requests_per_minute=old.requests_per_minute,
        rotated_from=old,
        expires_at=expires_at,
        created_at=now,
    )
    key, secret = _made(made, actor, now, within=KEYS_PER_OWNER_MAX + 1)
    old.ends_at = min(now + overlap, old.over_at)
    old.save(update_fields=["ends_at"])
    _record("api_key.rotated", old, actor, {"prefix": old.prefix, "successor": key.prefix, "ends_at": old.ends_at}, now)
    return key, secret


def _made(made: ApiKey, actor: Actor, now: datetime, within: int = KEYS_PER_OWNER_MAX) -> tuple[ApiKey, str]:
    owner = made.owner
    over_at = Coalesce("ends_at", "expires_at")
    live = ApiKey.objects.alias(over=over_at).filter(owner=owner, revoked_at=None, over__gt=now).count()
    if live >= within:
        raise Invalid(
            "KEY_LIMIT_REACHED",
            f"This person already has {live} keys; at most {KEYS_PER_OWNER_MAX} are allowed.",
            fix="Revoke a key that is not used.",
            field="owner",
        )
    secret = secrets.token_hex(_SECRET_BYTES)
    made.prefix, made.secret_hash = secrets.token_hex(_PREFIX_BYTES), _hash(secret)
    made.save(force_insert=True)
    payload = {
        "name": made.name,
        "prefix": made.prefix,
        "owner": owner.pk,
        "scopes": made.scopes,
        "networks": made.networks,
        "requests_per_minute": made.requests_per_minute,
        "expires_at": made.expires_at,
        "rotated_from": made.rotated_from.prefix if made.rotated_from else None,
    }
    _record("api_key.issued", made, actor, payload, now)
    return made, f"aika_{made.prefix}_{secret}"


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


def found_in(text: str) -> tuple[ApiKey, bool | None] | None:
    """The key whose prefix, or whole key, stands first in `text`, such as a line of a leak; None where none is ours.

    Beside it whether the secret found there is the key's own: None where the text has only a prefix.
    """
    for match in _FOUND.finditer(text):
        key = selectors.key_of(match[1].lower())
        if key is not None:
            return key, None if match[2] is None else hmac.compare_digest(_hash(match[2].lower()), key.secret_hash)
    return None


def authenticate(*, header: str, address: str, now: datetime) -> ApiKey:
    """The live key a request from `address` carries, with its owner and what their roles allow: one round trip, and at
    most one small write a minute.

    Raises `Unauthenticated` KEY_MALFORMED, KEY_UNKNOWN (a wrong secret too: which prefixes exist stays unknown),
    and, only to who holds the whole secret, KEY_REVOKED, KEY_EXPIRED or OWNER_INACTIVE, and `Forbidden`
    KEY_ADDRESS_REFUSED from outside its networks: that is no failure to count, it would lock out the key's own program.
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
    refuse_ended(key, now)
    if key.networks and not is_within(address, key.networks):
        _refuse_address(key, address, now)
    if key.last_used_at is None or now - key.last_used_at >= LAST_USED_INTERVAL:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - LAST_USED_INTERVAL)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
        key.last_used_at = now
    return key


def as_they_are(key_ids: Collection[UUID]) -> dict[UUID, ApiKey]:
    """Keys that were authenticated before, as they are now, with their owners: one query."""
    return ApiKey.objects.select_related("owner").in_bulk(key_ids) if key_ids else {}


def refuse_ended(key: ApiKey, now: datetime) -> None:
    """Raises `Unauthenticated` KEY_REVOKED, KEY_EXPIRED or OWNER_INACTIVE."""
    ended = {
        "KEY_REVOKED": (key.revoked_at is not None, "This API key was revoked."),
        "KEY_EXPIRED": (key.over_at <= now, "This API key has expired."),
        "OWNER_INACTIVE": (not key.owner.is_active, "The owner of this API key is no longer active."),
    }
    for code, (is_so, message) in ended.items():
        if is_so:
            raise Unauthenticated(code, message, fix="Ask an operator for a new key.")


def _refuse_address(key: ApiKey, address: str, now: datetime) -> NoReturn:
    """A whole secret from elsewhere is likely a leak: written down, at most every ten minutes a key. The sweep for
    alarms goes by it."""
    if cache.add(f"api_key:address_refused:{key.pk}", 1, timeout=ADDRESS_REFUSED_EVERY_S):
        with transaction.atomic():
            payload = {"prefix": key.prefix, "address": address[:64], "networks": key.networks}
            ApiKey.objects.filter(pk=key.pk).update(refused_address=address[:64], refused_at=now)
            _record("api_key.address_refused", key, Actor.system("api_keys"), payload, now)
    raise Forbidden(
        "KEY_ADDRESS_REFUSED",
        "This API key is not accepted from this address.",
        fix="Call from a network the key names, or ask an operator for a key that names yours.",
    )


def _refuse_rotation(old: ApiKey, overlap: timedelta, now: datetime) -> None:
    if old.revoked_at is not None:
        raise Conflict("KEY_ALREADY_REVOKED", f"The key {old.prefix} was revoked before.", fix="Issue a new key.")
    if ApiKey.objects.filter(rotated_from=old).exists():
        raise Conflict("KEY_ALREADY_ROTATED", f"The key {old.prefix} has a successor.", fix="Rotate the successor.")
    if old.over_at <= now:
        raise Conflict("KEY_ENDED", f"The key {old.prefix} has ended.", fix="Issue a new key.")
    if not timedelta(0) <= overlap <= OVERLAP_MAX:
        raise Invalid("OVERLAP_OUT_OF_RANGE", f"Both keys work for at most {OVERLAP_MAX.days} days.", field="overlap")


def _checked_networks(networks: Sequence[str]) -> list[str]:
    if len(networks) > NETWORKS_MAX:
        raise Invalid("NETWORK_MALFORMED", f"A key names at most {NETWORKS_MAX} networks.", field="networks")
    try:
        return sorted({str(ipaddress.ip_network(text)) for text in networks})
    except ValueError as error:
        raise Invalid(
            "NETWORK_MALFORMED",
            f"Not a network: {error}.",
            fix="Write networks as 203.0.113.0/24 or 2001:db8::/32, one address without a slash.",
            field="networks",
        ) from error


def _check_rate(requests_per_minute: int | None) -> None:
    if requests_per_minute is not None and not 1 <= requests_per_minute <= RATE_MAX:
        raise Invalid("RATE_OUT_OF_RANGE", f"A rate is 1 to {RATE_MAX:,} a minute.", field="requests_per_minute")


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
