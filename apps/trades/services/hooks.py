"""Hooks begin, are changed, get another secret, and are switched on and off; each with an audit event.

A hook is a key that may propose, so who may issue keys may set one up, and it lives as long as a key may. On a live
connection it takes a second person, bound to the exact content, to switch it on; any change switches it off there.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction

from apps.accounts.services import api_keys, second_person
from apps.accounts.types import Role, Scope
from apps.audit.services import events
from apps.audit.types import Actor
from apps.common import canonical
from apps.common.encryption import fingerprint
from apps.common.errors import Conflict, Invalid, NotFound
from apps.connectors.services import connections
from apps.trades.models import Hook
from apps.trades.rules import hooks as rules
from apps.trades.types import HookMode

if TYPE_CHECKING:
    from apps.accounts.models import ApiKey, SecondPersonRequest, User
    from apps.connectors.models import Connection

ENABLE_LIVE: Final = "hook.enable_live"
SECOND_PERSON_TTL: Final = timedelta(days=1)
SECOND_PERSON_ROLES: Final = (Role.RISK, Role.OPERATOR)
TEMPLATE_BYTES_MAX: Final = 16 * 1024
SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a person decides of a hook; its name and its owner never change."""

    connection: "Connection"
    mode: str
    template: Mapping[str, Any]
    secret_path: str = "secret"  # noqa: S105  a place, no password
    example: str = ""


def create(
    *,
    name: str,
    owner: "User",
    content: Content,
    expires_at: datetime,
    actor: Actor,
    now: datetime,
    networks: Sequence[str] = (),
) -> tuple[Hook, str]:
    """Make a hook, switched off, with a key of its own; returns it with its secret, which cannot be shown again. With
    `networks` (CIDR) it is heard from nowhere else.

    Raises as `api_keys.issue`, Invalid HOOK_TEMPLATE_WRONG, HOOK_MODE_UNKNOWN, HOOK_OWNER_NOT_AT_DESK, and Conflict
    HOOK_EXISTS.
    """
    _check(content, owner)
    secret = secrets.token_hex(SECRET_BYTES)
    with transaction.atomic():
        hook = Hook(
            id=uuid4(),
            name=name,
            owner=owner,
            api_key=_new_key(name, owner, content.connection, expires_at, actor, now, networks),
            secret=secret,
            secret_fingerprint=fingerprint(secret),
            created_at=now,
            changed_at=now,
        )
        _put(hook, content)
        try:
            with transaction.atomic():
                hook.save(force_insert=True)
        except IntegrityError as error:
            raise Conflict("HOOK_EXISTS", f"There is already a hook {name}.", fix="Choose another name.") from error
        _record("hook.created", hook, actor, now, **_described(hook))
    return hook, secret


def change(*, hook_id: UUID, content: Content, actor: Actor, now: datetime) -> Hook:
    """Another template, connection or way to prove who sends. On a live connection, before or after, it goes off.

    Raises as `create`, NotFound HOOK_UNKNOWN.
    """
    with transaction.atomic():
        hook = _locked(hook_id)
        _check(content, hook.owner)
        before, was_live = _described(hook), hook.connection.is_live
        if content.connection.pk != hook.connection_id:
            connections.revoke_grant(connection=hook.connection, api_key=hook.api_key, actor=actor, now=now)
            connections.grant(connection=content.connection, api_key=hook.api_key, actor=actor, now=now)
        _put(hook, content)
        after = _described(hook)
        changed = {name: value for name, value in after.items() if value != before[name]}
        if changed:
            hook.enabled = hook.enabled and not (was_live or hook.connection.is_live)
            hook.changed_at = now
        hook.save()
        if changed:
            told = {name: before[name] for name in changed}
            _record("hook.changed", hook, actor, now, before=told, after=changed, enabled=hook.enabled)
    return hook


def rotate(*, hook_id: UUID, expires_at: datetime, actor: Actor, now: datetime) -> tuple[Hook, str]:
    """Another secret from now on, and another key with its own end: the old ones stop working at once.

    Raises NotFound HOOK_UNKNOWN, and as `api_keys.issue`.
    """
    secret = secrets.token_hex(SECRET_BYTES)
    with transaction.atomic():
        hook = _locked(hook_id)
        old, before = hook.api_key, hook.secret_fingerprint
        if old.revoked_at is None:
            api_keys.revoke(key_id=old.pk, actor=actor, now=now, reason="The hook got another secret.")
        connections.revoke_grant(connection=hook.connection, api_key=old, actor=actor, now=now)
        hook.api_key = _new_key(hook.name, hook.owner, hook.connection, expires_at, actor, now, old.networks)
        hook.secret = secret
        hook.secret_fingerprint = fingerprint(secret)
        hook.changed_at = now
        hook.save()
        _record(
            "hook.secret_replaced",
            hook,
            actor,
            now,
            fingerprint_before=before,
            fingerprint_after=hook.secret_fingerprint,
            expires_at=expires_at,
        )
    return hook, secret


def enable(*, hook_id: UUID, actor: Actor, now: datetime) -> Hook:
    """Take calls from now on. Switching on what is on changes nothing.

    Raises Denied SECOND_PERSON_REQUIRED on a live connection, NotFound HOOK_UNKNOWN.
    """
    with transaction.atomic():
        hook = _locked(hook_id)
        if not hook.enabled:
            if hook.connection.is_live:
                second_person.use(kind=ENABLE_LIVE, subject=_subject(hook), digest=digest_of(hook), now=now)
            hook.enabled = True
            hook.save()
            _record("hook.enabled", hook, actor, now, digest=digest_of(hook))
    return hook


def request_enable(*, hook_id: UUID, requester: "User", now: datetime) -> "SecondPersonRequest":
    """Ask for the second person whom `enable` needs on a live connection. Raises as the request does."""
    with transaction.atomic():
        hook = _locked(hook_id)
        way = HookMode(hook.mode).name.lower().replace("_", " ")
        return second_person.request(
            kind=ENABLE_LIVE,
            subject=_subject(hook),
            digest=digest_of(hook),
            summary=f"Let the hook {hook.name} ({way}) propose with real money on {hook.connection.name}, "
            f"as {hook.owner.shown_name}.",
            requester=requester,
            now=now,
            ttl=SECOND_PERSON_TTL,
            roles=SECOND_PERSON_ROLES,
        )


def disable(*, hook_id: UUID, actor: Actor, now: datetime) -> Hook:
    """Take no call any more. One person is enough; switching off what is off changes nothing."""
    with transaction.atomic():
        hook = _locked(hook_id)
        if hook.enabled:
            hook.enabled = False
            hook.save()
            _record("hook.disabled", hook, actor, now)
    return hook


def digest_of(hook: Hook) -> str:
    """What a second person confirms: everything but the secret."""
    return canonical.digest(canonical.encode("aika.hook/1", hook.content()))


def _locked(hook_id: UUID) -> Hook:
    rows = Hook.objects.select_for_update(of=("self",)).select_related("connection", "api_key", "owner")
    hook = rows.filter(pk=hook_id).first()
    if hook is None:
        raise NotFound("HOOK_UNKNOWN", "There is no such hook.")
    return hook


def _new_key(
    name: str,
    owner: "User",
    connection: "Connection",
    expires_at: datetime,
    actor: Actor,
    now: datetime,
    networks: Sequence[str],
) -> "ApiKey":
    """A key whose secret nobody ever sees: only the hook proposes with it."""
    key, _ = api_keys.issue(
        owner=owner,
        name=f"hook {name}",
        scopes=[Scope.PROPOSE],
        expires_at=expires_at,
        actor=actor,
        now=now,
        networks=networks,
    )
    connections.grant(connection=connection, api_key=key, actor=actor, now=now)
    return key


def _check(content: Content, owner: "User") -> None:
    if content.mode not in {item.value for item in HookMode}:
        raise Invalid("HOOK_MODE_UNKNOWN", "There is no such way to prove who sends.", field="mode")
    if not content.connection.desk.members.filter(pk=owner.pk).exists():
        raise Invalid(
            "HOOK_OWNER_NOT_AT_DESK",
            f"{owner.shown_name} does not sit at the desk of {content.connection.name}.",
            fix="Choose another owner, or another connection.",
            field="connection",
        )
    in_body = content.mode == HookMode.BODY_SECRET
    rules.read_template(content.template, secret_path=content.secret_path if in_body else "")
    if len(canonical.encoded(content.template)) > TEMPLATE_BYTES_MAX:
        raise Invalid("HOOK_TEMPLATE_WRONG", f"The template has more than {TEMPLATE_BYTES_MAX} bytes.")


def _put(hook: Hook, content: Content) -> None:
    hook.connection = content.connection
    hook.mode = content.mode
    hook.template = dict(content.template)
    hook.secret_path = content.secret_path
    hook.example = content.example


def _described(hook: Hook) -> dict[str, Any]:
    return hook.content() | {"secret_fingerprint": hook.secret_fingerprint}


def _subject(hook: Hook) -> str:
    return f"hook:{hook.pk}"


def _record(kind: str, hook: Hook, actor: Actor, now: datetime, **payload: object) -> None:
    subject = _subject(hook)
    events.record(stream=subject, kind=kind, actor=actor, subject=subject, payload=payload, now=now)
