"""Reads of hooks and of their calls."""

from dataclasses import dataclass
from datetime import datetime

from apps.trades.models import Hook, HookCall
from apps.trades.rules.hooks import WINDOW
from apps.trades.types import HookOutcome


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
