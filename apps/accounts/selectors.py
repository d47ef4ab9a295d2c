"""Who is who: roles, permissions and desks of people, and what waits for a second person."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Permission
from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.models import LIVE_STATES, ApiKey, Desk, SecondPersonRequest, SecondPersonState, User
from apps.accounts.types import Scope
from apps.common.statements import Select, ask, instance

SCOPE_PERMISSIONS: dict[Scope, str] = {
    Scope.PROPOSE: "propose_trade",
    Scope.READ: "view_ledger",
    Scope.REPORT: "propose_trade",
    Scope.HALT: "halt_trading",
}
"""What a person must hold for each scope: to do it when signed in, and to own a key that may."""


_KEYS: Final[Select[ApiKey]] = Select(
    lambda prefix: ApiKey.objects.select_related("owner").filter(prefix=prefix).order_by(),
    instance(ApiKey, beside="owner"),
    prefix=str,
)
_HELD: Final[Select[str]] = Select(
    lambda prefix: (
        Permission.objects.filter(group__user__api_keys__prefix=prefix, content_type__app_label="accounts")
        .order_by()
        .values_list("codename")
    ),
    lambda codename: codename,
    prefix=str,
)


def key_of(prefix: str) -> ApiKey | None:
    """The key of that prefix with its owner, who knows from now on what their roles allow: see `holds`."""
    keys, held = _KEYS(prefix=prefix), _HELD(prefix=prefix)
    ask(keys, held)
    key = next(iter(keys.answer), None)
    if key is not None:
        key.owner.held = frozenset(held.answer)
    return key


def key_by_id(key_id: UUID) -> ApiKey | None:
    """The key with its owner, ended or not."""
    return ApiKey.objects.select_related("owner").filter(pk=key_id).first()


def roles_of(user: User) -> frozenset[str]:
    """The names of the groups this person belongs to, active or not."""
    return frozenset(user.groups.values_list("name", flat=True))


def page_roles_of(viewer: User) -> frozenset[str]:
    """As `roles_of`, read once for the person a page is made for: for what is shown, never for what is allowed."""
    if viewer.seen_roles is None:
        viewer.seen_roles = roles_of(viewer)
    return viewer.seen_roles


def page_desks_of(viewer: User) -> tuple[UUID, ...]:
    """The ids of `desks_of`, read once for the person a page is made for: shown, never decided by."""
    if viewer.seen_desks is None:
        viewer.seen_desks = tuple(desks_of(viewer.pk).values_list("pk", flat=True))
    return viewer.seen_desks


def is_active_in_roles(user_id: UUID, roles: Collection[str]) -> bool:
    """True if this person is active and now belongs to at least one of `roles`. No roles: False."""
    return User.objects.filter(pk=user_id, is_active=True, groups__name__in=list(roles)).exists()


def second_factors_of(user: User) -> frozenset[str]:
    """The kinds of second factor this person has: `totp`, `webauthn`. Recovery codes stand in at sign-in only."""
    kinds = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    return frozenset(Authenticator.objects.filter(user=user, type__in=kinds).values_list("type", flat=True))


def holds(user: User, permission: str) -> bool:
    """True if this person is active and one of their roles (or being a superuser) gives `accounts.<permission>`.

    One query, where `User.has_perm` makes two; none for the owner of a key that `key_of` has just read.
    """
    if not user.is_active:
        return False
    if user.is_superuser:
        return True
    if user.held is not None:
        return permission in user.held
    return Permission.objects.filter(group__user=user, codename=permission, content_type__app_label="accounts").exists()


def learn_what_is_held(persons: Sequence[User]) -> None:
    """From now on these know what their roles allow, without asking for each: one query."""
    held: dict[UUID, set[str]] = {person.pk: set() for person in persons}
    rows = Permission.objects.filter(group__user__in=list(held), content_type__app_label="accounts").order_by()
    for person_id, codename in rows.values_list("group__user", "codename") if held else ():
        if person_id in held:
            held[person_id].add(codename)
    for person in persons:
        person.held = frozenset(held[person.pk])


def person_holds(user_id: UUID, permission: str) -> bool:
    """As `holds`, of a person who is known by id only; False where there is none."""
    person = User.objects.filter(pk=user_id).first()
    return person is not None and holds(person, permission)


def people_whose_work_is(permission: str) -> list[User]:
    """The active people whom a role gives `accounts.<permission>`, by name; where there are none, the superusers."""
    by_role = active_people().filter(
        groups__permissions__codename=permission, groups__permissions__content_type__app_label="accounts"
    )
    return list(by_role.distinct()) or list(active_people().filter(is_superuser=True))


def may_use_scope(user: User, scope: Scope) -> bool:
    """True if this person may do what `scope` stands for."""
    return holds(user, SCOPE_PERMISSIONS[scope])


def active_people() -> QuerySet[User]:
    """Everybody who is active, by user name: whom a program may act for."""
    return User.objects.filter(is_active=True).order_by("username")


def person_named(username: str) -> User | None:
    """The active person of that user name."""
    return User.objects.filter(username=username, is_active=True).first()


def people_named_like(text: str, *, limit: int) -> list[UUID]:
    """The ids of people whose user name begins so, upper and lower case alike."""
    return list(
        User.objects.filter(username__istartswith=text).order_by("username").values_list("pk", flat=True)[:limit]
    )


def keys_named_like(text: str, *, limit: int) -> list[UUID]:
    """The ids of keys whose name begins so, upper and lower case alike; the newest."""
    return list(
        ApiKey.objects.filter(name__istartswith=text).order_by("-created_at").values_list("pk", flat=True)[:limit]
    )


def desks_of(user_id: UUID) -> QuerySet[Desk]:
    """The desks this person sits at."""
    return Desk.objects.filter(members=user_id)


def desks_read_by(user_id: UUID) -> QuerySet[Desk]:
    """The desks this person sits at, where a role of theirs lets them read: a seat alone shows nothing.

    Whether they may still sign in is the door's to ask.
    """
    reads = Q(
        groups__permissions__codename=SCOPE_PERMISSIONS[Scope.READ],
        groups__permissions__content_type__app_label="accounts",
    )
    readers = User.objects.filter(Q(is_superuser=True) | reads, pk=user_id)
    return Desk.objects.filter(Exists(readers), members=user_id)


def desks_shown_to(user: User) -> QuerySet[Desk]:
    """The desks whose rows this person may look at: theirs, and a superuser every one."""
    return Desk.objects.all() if user.is_superuser else desks_of(user.pk)


def desk_by_slug(slug: str) -> Desk | None:
    """The desk of this short name, whoever asks: for commands."""
    return Desk.objects.filter(slug=slug).first()


def desks_alone(user_id: UUID) -> frozenset[UUID]:
    """The desks where this person sits and nobody else who is active."""
    crowded = User.objects.filter(is_active=True, desks=OuterRef("pk")).exclude(pk=user_id)
    own = Desk.objects.filter(members=user_id, members__is_active=True).exclude(Exists(crowded))
    return frozenset(own.values_list("pk", flat=True))


def waiting_for_second_person(user: User, now: datetime) -> QuerySet[SecondPersonRequest]:
    """Open requests this person might second: not their own, not expired. Roles are checked by the act itself."""
    if not holds(user, "second_request"):
        return SecondPersonRequest.objects.none()
    return (
        SecondPersonRequest.objects.filter(state=SecondPersonState.OPEN, expires_at__gt=now)
        .exclude(requester=user)
        .select_related("requester")
    )


def open_request(*, kind: str, subject: str, digest: str, now: datetime) -> SecondPersonRequest | None:
    """The request for exactly this content that still waits for its second person; None where there is none."""
    rows = SecondPersonRequest.objects.filter(kind=kind, subject=subject, digest=digest, state=SecondPersonState.OPEN)
    return rows.filter(expires_at__gt=now).select_related("requester").first()


def live_request(request_id: UUID, now: datetime) -> SecondPersonRequest | None:
    """The request, while it waits for its second person or was seconded and not used yet."""
    rows = SecondPersonRequest.objects.filter(pk=request_id, state__in=LIVE_STATES, expires_at__gt=now)
    return rows.select_related("requester", "seconder").first()


def open_requests(kind: str, now: datetime) -> QuerySet[SecondPersonRequest]:
    """Every request of a kind that waits for its second person, or was seconded and not used yet; oldest first."""
    states = (SecondPersonState.OPEN, SecondPersonState.SECONDED)
    rows = SecondPersonRequest.objects.filter(kind=kind, state__in=states, expires_at__gt=now)
    return rows.select_related("requester", "seconder").order_by("requested_at")


def requests_waiting(now: datetime) -> QuerySet[SecondPersonRequest]:
    """Every request that waits for its second person, of whatever kind, the next to expire first."""
    return SecondPersonRequest.objects.filter(state=SecondPersonState.OPEN, expires_at__gt=now).order_by("expires_at")


def keys_refused_since(since: datetime, now: datetime) -> QuerySet[ApiKey]:
    """Keys that still work, and whose whole secret came from outside their networks since then."""
    ended = Q(revoked_at__isnull=False) | Q(ends_at__lte=now) | Q(expires_at__lte=now) | Q(owner__is_active=False)
    return ApiKey.objects.filter(refused_at__gte=since).exclude(ended).select_related("owner").order_by("refused_at")
