"""The keys under which secrets rest: rotated, and known to open everything that rests."""

from datetime import datetime

from allauth.mfa.models import Authenticator
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from apps.audit.services import events
from apps.audit.types import Actor
from apps.common import resealing
from apps.common.encryption import require_keys
from apps.common.resealing import Place, Report, Tally

LOOKED_AT_MAX = 200
PROBED_MAX = 5


def places() -> list[Place]:
    """Every place where a secret of ours rests: the sealed columns of all models, and allauth's second factors."""
    return resealing.existing([*resealing.sealed_columns(), Place(Authenticator, "data", is_json=True)])


def rotate(*, actor: Actor, now: datetime, report: Report, dry_run: bool = False) -> Tally:
    """Give every secret the first key; one event says how many. Safe to stop and repeat.

    Raises ImproperlyConfigured without usable keys.
    """
    tally = resealing.reseal(places(), report=report, dry_run=dry_run)
    if tally.rotated and not dry_run:
        with transaction.atomic():
            payload = {"rotated": tally.rotated, "current": tally.current, "problems": len(tally.problems)}
            events.record(
                stream="keys", kind="token_keys.rotated", actor=actor, subject="keys", payload=payload, now=now
            )
    return tally


def unreadable() -> list[str]:
    """The places with a secret that no key opens; the newest rows of each are looked at."""
    return resealing.unreadable(places(), limit=LOOKED_AT_MAX)


def require_right_keys() -> None:
    """Raises ImproperlyConfigured where a key is missing or malformed, or none of the newest secrets that rest opens.

    One that opens is enough: a damaged row must not keep anybody from halting. accounts.E001 and `doctor` name each.
    """
    require_keys()
    if resealing.opens_none(places(), limit=PROBED_MAX):
        raise ImproperlyConfigured(
            "No key in TOKEN_ENCRYPTION_KEY opens the secrets in this database: nothing was started or changed. "
            "Put back the key they were written with, behind the new one."
        )
