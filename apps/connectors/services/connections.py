"""Connections begin, are checked, get a new secret, and end; each with an audit event in the same transaction.

A live connection, and a new secret for one, need a second person bound to the exact content. A live connection places
nothing until `verify` has read that its key may trade and may not transfer.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from apps.accounts.services import second_person
from apps.accounts.types import Role
from apps.audit.selectors import events_of, facts_of
from apps.audit.services import events
from apps.audit.types import Actor
from apps.common import canonical
from apps.common.encryption import fingerprint
from apps.common.errors import Conflict, Forbidden, Invalid, Misconfigured
from apps.connectors.models import AuthorisationState, Connection, ConnectionGrant
from apps.connectors.services.venue import check_address, check_authorisation, check_key, connect
from apps.connectors.types import Environment, Permissions, Venue

if TYPE_CHECKING:
    from apps.accounts.models import ApiKey, Desk, SecondPersonRequest, User
    from apps.connectors.models import Authorisation

SECOND_PERSON_TTL = timedelta(days=1)
SECOND_PERSON_ROLES = (Role.RISK, Role.OPERATOR)
CREATE_LIVE = "connection.create_live"
REPLACE_LIVE_SECRET = "connection.replace_live_secret"  # noqa: S105  the name of an act


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A connection as asked for. The secret is in no repr and in no digest, only its fingerprint is."""

    slug: str
    name: str
    desk: "Desk"
    environment: str
    api_base: str
    key_name: str = ""
    secret: str = field(default="", repr=False)
    venue: str = Venue.COINBASE.value
    authorisation: "Authorisation | None" = None
    """In place of a key."""

    @property
    def is_live(self) -> bool:
        return self.environment != Environment.PAPER

    @property
    def digest(self) -> str:
        """What a second person confirms: every field, the secret by its fingerprint."""
        return canonical.digest(canonical.encode("aika.connection/1", self.described()))

    def described(self) -> dict[str, object]:
        described: dict[str, object] = {
            "slug": self.slug,
            "name": self.name,
            "desk": self.desk.pk,
            "venue": self.venue,
            "environment": self.environment,
            "api_base": self.api_base,
            "key_name": self.key_name,
            "secret_fingerprint": fingerprint(self.secret),
        }
        return described if self.authorisation is None else {**described, "authorisation": self.authorisation.pk}


def create(*, draft: Draft, actor: Actor, now: datetime) -> Connection:
    """Make the connection. Paper may place orders at once; live only after `verify`.

    Raises Denied SECOND_PERSON_REQUIRED (live, not seconded), Conflict CONNECTION_EXISTS, Invalid ENVIRONMENT_UNKNOWN,
    Misconfigured for a key or an address that cannot be used, Forbidden AUTHORISATION_OF_ANOTHER_PERSON.
    """
    _check(draft)
    _refuse_anothers(draft, actor.id)
    with transaction.atomic():
        if draft.is_live:
            second_person.use(kind=CREATE_LIVE, subject=f"connection:{draft.slug}", digest=draft.digest, now=now)
        connection = Connection(
            slug=draft.slug,
            name=draft.name,
            desk=draft.desk,
            venue=draft.venue,
            environment=draft.environment,
            api_base=draft.api_base,
            key_name=draft.key_name if draft.authorisation is None else draft.authorisation.key_name,
            secret=draft.secret,
            secret_fingerprint=fingerprint(draft.secret) if draft.secret else "",
            authorisation=draft.authorisation,
            is_active=not draft.is_live,
            created_at=now,
        )
        try:
            with transaction.atomic():
                connection.save(force_insert=True)
        except IntegrityError as error:
            raise Conflict(
                "CONNECTION_EXISTS", f"There is already a connection {draft.slug}.", fix="Choose another short name."
            ) from error
        _record("connection.created", connection, actor, now, **draft.described())
    return connection


def request_live(*, draft: Draft, requester: "User", now: datetime) -> "SecondPersonRequest":
    """Ask for the second person whom `create` needs for a live connection. Raises as `create` and as the request."""
    _check(draft)
    _refuse_anothers(draft, str(requester.pk))
    return second_person.request(
        kind=CREATE_LIVE,
        subject=f"connection:{draft.slug}",
        digest=draft.digest,
        summary=f"Connect {draft.desk} to {draft.api_base} with real money: {draft.slug}, key {draft.key_name}.",
        requester=requester,
        now=now,
        ttl=SECOND_PERSON_TTL,
        roles=SECOND_PERSON_ROLES,
    )


def replace_secret(*, connection: Connection, key_name: str, secret: str, actor: Actor, now: datetime) -> None:
    """Use another key from now on. A live connection needs a second person, and places nothing until verified again."""
    _refuse_without_key(connection)
    check_key(venue=connection.venue, key_name=key_name, secret=secret)
    with transaction.atomic():
        locked = Connection.objects.select_for_update().get(pk=connection.pk)
        if locked.is_live:
            second_person.use(
                kind=REPLACE_LIVE_SECRET,
                subject=f"connection:{locked.slug}",
                digest=_secret_digest(locked, key_name, secret),
                now=now,
            )
        before = locked.secret_fingerprint
        locked.key_name = key_name
        locked.secret = secret
        locked.secret_fingerprint = fingerprint(secret)
        locked.verified_at = None
        locked.is_active = locked.is_active and not locked.is_live
        locked.save(update_fields=["key_name", "secret", "secret_fingerprint", "verified_at", "is_active"])
        _record(
            "connection.secret_replaced",
            locked,
            actor,
            now,
            key_name=key_name,
            fingerprint_before=before,
            fingerprint_after=locked.secret_fingerprint,
        )
    connection.refresh_from_db()


def request_replace_secret(
    *, connection: Connection, key_name: str, secret: str, requester: "User", now: datetime
) -> "SecondPersonRequest":
    """Ask for the second person whom `replace_secret` needs for a live connection."""
    _refuse_without_key(connection)
    check_key(venue=connection.venue, key_name=key_name, secret=secret)
    return second_person.request(
        kind=REPLACE_LIVE_SECRET,
        subject=f"connection:{connection.slug}",
        digest=_secret_digest(connection, key_name, secret),
        summary=f"Give the live connection {connection.slug} the key {key_name}.",
        requester=requester,
        now=now,
        ttl=SECOND_PERSON_TTL,
        roles=SECOND_PERSON_ROLES,
    )


def verify(*, connection: Connection, actor: Actor, now: datetime) -> Permissions:
    """Ask the venue what the key may do; on a good answer the connection is verified, and active unless it was ended.

    Call it outside a transaction. A key that may transfer is refused and the connection deactivated: Misconfigured
    KEY_MAY_TRANSFER. One that may not view, or not trade at a venue where Aika trades: Misconfigured
    KEY_LACKS_PERMISSION. Raises what asking raises.
    """
    permissions = connect(connection).permissions()
    if permissions.can_transfer:
        deactivate(
            connection=connection, reason="The venue says that its key may transfer money.", actor=actor, now=now
        )
        raise Misconfigured(
            "KEY_MAY_TRANSFER",
            f"The key of {connection.slug} may move money out. Aika does not use such a key; the connection is ended.",
            fix="Revoke it at the venue; make a key with view and trade only, and a new connection with it.",
        )
    if not (permissions.can_view and (permissions.can_trade or not connection.places_orders)):
        raise Misconfigured(
            "KEY_LACKS_PERMISSION",
            f"The key of {connection.slug} may not view and trade.",
            fix="Make a key with view and trade at the venue and replace the secret.",
        )
    with transaction.atomic():
        locked = Connection.objects.select_for_update().get(pk=connection.pk)
        _refuse_changed(locked, connection)
        locked.verified_at = now
        locked.is_active = locked.deactivated_at is None
        locked.save(update_fields=["verified_at", "is_active"])
        _record(
            "connection.verified",
            locked,
            actor,
            now,
            is_active=locked.is_active,
            can_view=permissions.can_view,
            can_trade=permissions.can_trade,
            can_transfer=permissions.can_transfer,
            key_fingerprint=locked.secret_fingerprint,
        )
    connection.refresh_from_db()
    return permissions


def permissions_read(connection: Connection) -> Permissions | None:
    """What the venue last said of the key that the connection has now; None where that key was never checked."""
    found = events_of(f"connection:{connection.pk}").filter(kind="connection.verified").last()
    said = facts_of(found)["payload"] if found is not None else None
    if not isinstance(said, dict) or said.get("key_fingerprint") != connection.secret_fingerprint:
        return None
    return Permissions(**{name: said[name] is True for name in ("can_view", "can_trade", "can_transfer")})


def deactivate(*, connection: Connection, reason: str, actor: Actor, now: datetime) -> None:
    """End the connection: no order leaves over it any more. One person is enough; a second call changes nothing."""
    with transaction.atomic():
        locked = Connection.objects.select_for_update().get(pk=connection.pk)
        if locked.deactivated_at is None:
            locked.is_active = False
            locked.deactivated_at = now
            locked.deactivated_reason = reason[:200]
            locked.save(update_fields=["is_active", "deactivated_at", "deactivated_reason"])
            _record("connection.deactivated", locked, actor, now, reason=reason)
    connection.refresh_from_db()


def grant(*, connection: Connection, api_key: "ApiKey", actor: Actor, now: datetime) -> ConnectionGrant:
    """Let an API key propose on this connection. Granting twice is one grant."""
    with transaction.atomic():
        given, is_new = ConnectionGrant.objects.get_or_create(
            connection=connection, api_key=api_key, defaults={"granted_at": now}
        )
        if is_new:
            _record("connection.granted", connection, actor, now, api_key=api_key.pk)
    return given


def revoke_grant(*, connection: Connection, api_key: "ApiKey", actor: Actor, now: datetime) -> None:
    """Take it back. Nothing to take back is no error."""
    with transaction.atomic():
        deleted, _ = ConnectionGrant.objects.filter(connection=connection, api_key=api_key).delete()
        if deleted:
            _record("connection.grant_revoked", connection, actor, now, api_key=api_key.pk)


def _check(draft: Draft) -> None:
    if draft.environment not in {item.value for item in Environment}:
        raise Invalid("ENVIRONMENT_UNKNOWN", "The environment is paper or live.", field="environment")
    check_address(venue=draft.venue, environment=draft.environment, api_base=draft.api_base)
    if draft.authorisation is None:
        check_key(venue=draft.venue, key_name=draft.key_name, secret=draft.secret)
        return
    if draft.secret or draft.key_name:
        raise Invalid("KEY_AND_AUTHORISATION", "A connection has a key or an authorisation, not both.")
    if draft.authorisation.state != AuthorisationState.ACTIVE:
        raise Invalid("AUTHORISATION_NOT_ACTIVE", f"{draft.authorisation} is not active.", fix="Connect again.")
    check_authorisation(draft.authorisation, venue=draft.venue, api_base=draft.api_base)


def _refuse_anothers(draft: Draft, person_id: str) -> None:
    if draft.authorisation is not None and str(draft.authorisation.person_id) != person_id:
        raise Forbidden(
            "AUTHORISATION_OF_ANOTHER_PERSON",
            f"{draft.authorisation} was authorised by somebody else, who alone makes connections with it.",
            fix="Ask them, or connect an account of your own.",
        )


def _refuse_without_key(connection: Connection) -> None:
    if connection.authorisation_id is not None:
        raise Invalid(
            "CONNECTION_HAS_NO_KEY",
            f"{connection.name} has an authorisation in place of a key.",
            fix="Make another connection for the key.",
        )


def _secret_digest(connection: Connection, key_name: str, secret: str) -> str:
    content = {"connection": connection.pk, "key_name": key_name, "secret_fingerprint": fingerprint(secret)}
    return canonical.digest(canonical.encode("aika.connection_secret/1", content))


def _refuse_changed(locked: Connection, asked: Connection) -> None:
    if (locked.key_name, locked.secret_fingerprint) != (asked.key_name, asked.secret_fingerprint):
        raise Conflict("CONNECTION_CHANGED", "The key was replaced meanwhile.", fix="Check it again.")


def _record(kind: str, connection: Connection, actor: Actor, now: datetime, **payload: object) -> None:
    subject = f"connection:{connection.pk}"
    events.record(stream=subject, kind=kind, actor=actor, subject=subject, payload=payload, now=now)
