"""Acts that loosen something: one person asks, another seconds, and then the act happens once.

The request is bound to a digest of the exact content, so what was seconded is what takes effect. Only people take part:
these functions take a `User` who is signed in, never a key.
"""

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts import selectors
from apps.accounts.models import LIVE_STATES, SecondPersonRequest, SecondPersonState, User
from apps.accounts.services.people import actor_of
from apps.accounts.types import Role
from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.errors import Conflict, Denied, Forbidden, Invalid, NotFound

TTL_MAX = timedelta(days=7)
SUMMARY_LENGTH_MAX = 2000

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@transaction.atomic
def request(
    *,
    kind: str,
    subject: str,
    digest: str,
    summary: str,
    requester: User,
    now: datetime,
    ttl: timedelta,
    roles: Collection[str] = (),
) -> SecondPersonRequest:
    """Ask for a second person. The caller has checked that `requester` may ask for this act.

    `digest` is SHA-256 in hex of the content that would take effect, `summary` says it in words, `roles` narrows who
    may second it. Raises `Forbidden` REQUESTER_INACTIVE, `Invalid` DIGEST_MALFORMED, SUMMARY_OUT_OF_RANGE, ROLE_UNKNOWN
    or TTL_OUT_OF_RANGE, `Conflict` SECOND_PERSON_PENDING if the same thing is already asked for.
    """
    _check_request(digest, summary, requester, ttl, roles)
    _expire(kind=kind, subject=subject, digest=digest, now=now)
    try:
        with transaction.atomic():
            asked = SecondPersonRequest.objects.create(
                kind=kind,
                subject=subject,
                digest=digest,
                summary=summary,
                roles=sorted(roles),
                requester=requester,
                requested_at=now,
                expires_at=now + ttl,
            )
    except IntegrityError as error:
        raise Conflict(
            "SECOND_PERSON_PENDING",
            "A second person has already been asked for exactly this.",
            fix="Wait for them, or withdraw the earlier request.",
        ) from error
    _record("second_person.requested", asked, actor_of(requester), now, summary=summary, roles=asked.roles)
    return asked


@transaction.atomic
def second(*, request_id: UUID, seconder: User, now: datetime) -> SecondPersonRequest:
    """Confirm another person's request.

    Raises `NotFound` SECOND_PERSON_NOT_FOUND, `Forbidden` SECOND_PERSON_NOT_PERMITTED, `Denied`
    SECOND_PERSON_IS_REQUESTER, `Conflict` SECOND_PERSON_EXPIRED or SECOND_PERSON_NOT_OPEN.
    """
    asked = _get(request_id)
    if asked.requester_id == seconder.pk:
        raise Denied(
            "SECOND_PERSON_IS_REQUESTER",
            "The second person must be somebody else than who asked.",
            fix="Ask a colleague.",
        )
    if not _may_second(asked, seconder):
        raise Forbidden("SECOND_PERSON_NOT_PERMITTED", "You may not second this request.")
    moved = SecondPersonRequest.objects.filter(pk=asked.pk, state=SecondPersonState.OPEN, expires_at__gt=now).update(
        state=SecondPersonState.SECONDED, seconder=seconder, seconded_at=now
    )
    if moved != 1:
        _refuse_moved(asked, now)
    asked.refresh_from_db()
    _record("second_person.seconded", asked, actor_of(seconder), now)
    return asked


@transaction.atomic
def use(*, kind: str, subject: str, digest: str, now: datetime) -> SecondPersonRequest:
    """Consume the seconded request for exactly this content; call it in the transaction of the act itself.

    Both people must still be active, and the seconder still permitted. Raises `Denied` SECOND_PERSON_REQUIRED
    where there is no such request, or it expired, or was used before.
    """
    asked = (
        SecondPersonRequest.objects.filter(
            kind=kind, subject=subject, digest=digest, state=SecondPersonState.SECONDED, expires_at__gt=now
        )
        .select_related("requester", "seconder")
        .first()
    )
    if asked is not None and asked.requester.is_active and asked.seconder and _may_second(asked, asked.seconder):
        used = SecondPersonRequest.objects.filter(pk=asked.pk, state=SecondPersonState.SECONDED).update(
            state=SecondPersonState.USED, ended_at=now
        )
        if used == 1:
            asked.refresh_from_db(fields=["state", "ended_at"])
            _record("second_person.used", asked, Actor.system("second_person"), now)
            return asked
    raise Denied(
        "SECOND_PERSON_REQUIRED",
        "This needs a second person, and nobody has seconded exactly this content.",
        fix="Ask for a second person; once they have seconded it, repeat this.",
    )


@transaction.atomic
def withdraw(*, request_id: UUID, person: User, now: datetime) -> SecondPersonRequest:
    """End a request before it is used: by who asked, or by anybody who might have seconded it.

    Raises `NotFound` SECOND_PERSON_NOT_FOUND, `Forbidden` SECOND_PERSON_NOT_PERMITTED, `Conflict`
    SECOND_PERSON_NOT_OPEN.
    """
    asked = _get(request_id)
    if not person.is_active or (asked.requester_id != person.pk and not _may_second(asked, person)):
        raise Forbidden("SECOND_PERSON_NOT_PERMITTED", "You may not withdraw this request.")
    moved = SecondPersonRequest.objects.filter(pk=asked.pk, state__in=LIVE_STATES).update(
        state=SecondPersonState.WITHDRAWN, ended_at=now
    )
    if moved != 1:
        _refuse_moved(asked, now)
    asked.refresh_from_db()
    _record("second_person.withdrawn", asked, actor_of(person), now)
    return asked


def _check_request(digest: str, summary: str, requester: User, ttl: timedelta, roles: Collection[str]) -> None:
    if not requester.is_active:
        raise Forbidden("REQUESTER_INACTIVE", "Only an active person may ask for a second person.")
    if not _DIGEST.fullmatch(digest):
        raise Invalid("DIGEST_MALFORMED", "A digest is 64 lower-case hex characters.", field="digest")
    if not 0 < len(summary) <= SUMMARY_LENGTH_MAX:
        raise Invalid("SUMMARY_OUT_OF_RANGE", f"The summary has 1 to {SUMMARY_LENGTH_MAX} characters.", field="summary")
    if not timedelta(0) < ttl <= TTL_MAX:
        raise Invalid("TTL_OUT_OF_RANGE", f"A request lives at most {TTL_MAX.days} days.", field="ttl")
    unknown = sorted(set(roles) - {role.value for role in Role})
    if unknown:
        raise Invalid("ROLE_UNKNOWN", f"There is no role {', '.join(unknown)}.", field="roles")


def _expire(*, kind: str, subject: str, digest: str, now: datetime) -> None:
    """The clock has ended these already; saying so makes room for a new request."""
    late = SecondPersonRequest.objects.filter(
        kind=kind, subject=subject, digest=digest, state__in=LIVE_STATES, expires_at__lte=now
    )
    for asked in late:
        moved = SecondPersonRequest.objects.filter(pk=asked.pk, state__in=LIVE_STATES).update(
            state=SecondPersonState.EXPIRED, ended_at=asked.expires_at
        )
        if moved == 1:
            _record("second_person.expired", asked, Actor.system("second_person"), now)


def _may_second(asked: SecondPersonRequest, person: User) -> bool:
    in_role = not asked.roles or selectors.is_active_in_roles(person.pk, asked.roles)
    return in_role and selectors.holds(person, "second_request")


def _get(request_id: UUID) -> SecondPersonRequest:
    asked = SecondPersonRequest.objects.filter(pk=request_id).first()
    if asked is None:
        raise NotFound("SECOND_PERSON_NOT_FOUND", "There is no such request.")
    return asked


def _refuse_moved(asked: SecondPersonRequest, now: datetime) -> None:
    asked.refresh_from_db()
    if asked.state == SecondPersonState.OPEN and asked.expires_at <= now:
        raise Conflict("SECOND_PERSON_EXPIRED", "This request has expired.", fix="Ask again.")
    raise Conflict("SECOND_PERSON_NOT_OPEN", f"This request is no longer open: {asked.get_state_display().lower()}.")


def _record(kind: str, asked: SecondPersonRequest, actor: Actor, now: datetime, **more: object) -> None:
    payload = {"kind": asked.kind, "subject": asked.subject, "digest": asked.digest, **more}
    about = f"second_person:{asked.pk}"
    events.record(stream=about, kind=kind, actor=actor, subject=about, payload=payload, now=now)
