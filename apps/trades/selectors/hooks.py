"""Reads of hooks and of their calls."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Count, F, Max, Q, QuerySet

from apps.trades.models import Hook, HookCall
from apps.trades.rules.hooks import WINDOW
from apps.trades.types import HookOutcome

# For how long a call that proved the secret and came from elsewhere is worth an alarm, if the secret stays.
ELSEWHERE_COUNTS: Final = timedelta(days=1)
STRAYS_WITHIN: Final = timedelta(days=1)
# One sender that keeps being refused, rather than one mistake: so many calls within so long.
REFUSED_WITHIN: Final = timedelta(minutes=15)
REFUSED_CALLS_MIN: Final = 5
KINDS_MAX: Final = 1_000
ADDRESS_REFUSED: Final = "HOOK_ADDRESS_REFUSED"
# An alarm of its own; switched off by people; taken the first time it came.
_TOLD_OTHERWISE: Final = (ADDRESS_REFUSED, "HOOK_DISABLED", "HOOK_REPLAYED")


def hook_named(name: str) -> Hook | None:
    """The hook of that name with its connection, its key and whom the key acts for."""
    return Hook.objects.select_related("api_key__owner", "connection__desk", "owner").filter(name=name).first()


def is_signature_used(hook: Hook, digest: str) -> bool:
    """Whether a call with this signature was taken before."""
    return HookCall.objects.filter(hook=hook, signature_digest=digest).exists()


@dataclass(frozen=True, slots=True)
class Delivered:
    """The last proposal a body made: the name of its delivery, and whether that was within the window."""

    key: str
    is_recent: bool


def last_delivery(hook: Hook, body_digest: str, now: datetime) -> Delivered | None:
    """The newest delivery of exactly this body; None where it never made a proposal."""
    rows = HookCall.objects.filter(hook=hook, body_digest=body_digest, outcome=HookOutcome.PROPOSED)
    row = rows.order_by("-called_at").values_list("delivery_key", "called_at").first()
    return None if row is None else Delivered(row[0], now - row[1] <= WINDOW)


@dataclass(frozen=True, slots=True)
class Strays:
    """How many calls of names that no hook has were kept within a day: of one address, and of all."""

    here: int
    everywhere: int


def strays_kept(address: str, now: datetime) -> Strays:
    """Those of the 24 hours before `now`."""
    rows = HookCall.objects.filter(hook=None, called_at__gt=now - STRAYS_WITHIN).order_by()
    return Strays(**rows.aggregate(here=Count("pk", filter=Q(address=address)), everywhere=Count("pk")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Calls of one hook that were refused: how many, when the last of them came, and its address or code."""

    hook_id: UUID
    name: str
    calls: int
    last_at: datetime
    last: str


def used_elsewhere(now: datetime) -> list[Refused]:
    """Hooks whose secret works, and proved itself from outside their networks within a day, with the last address."""
    rows = HookCall.objects.filter(
        code=ADDRESS_REFUSED,
        called_at__gte=now - ELSEWHERE_COUNTS,
        hook__enabled=True,
        # Another secret comes with another key: what happened before that is over.
        hook__api_key__created_at__lte=F("called_at"),
        hook__api_key__revoked_at=None,
        hook__api_key__expires_at__gt=now,
    )
    return _by_hook(rows, told="address")


def often_refused(now: datetime) -> list[Refused]:
    """Hooks of which several calls were refused lately, whatever the reason, with the code of the last one."""
    rows = HookCall.objects.filter(
        outcome=HookOutcome.REFUSED, called_at__gte=now - REFUSED_WITHIN, hook__enabled=True
    ).exclude(code__in=_TOLD_OTHERWISE)
    return [found for found in _by_hook(rows, told="code") if found.calls >= REFUSED_CALLS_MIN]


def _by_hook(rows: QuerySet[HookCall], *, told: str) -> list[Refused]:
    kinds = rows.order_by().values_list("hook_id", "hook__name", told).annotate(Count("pk"), latest=Max("called_at"))
    found: dict[UUID, Refused] = {}
    for hook_id, name, last, calls, last_at in kinds.order_by("latest")[:KINDS_MAX]:
        before = found[hook_id].calls if hook_id in found else 0
        found[hook_id] = Refused(hook_id=hook_id, name=name, calls=before + calls, last_at=last_at, last=last)
    return list(found.values())
