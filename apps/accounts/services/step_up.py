"""A second factor shown for one act: bound to the digest of what is done, and used up by it.

A sign-in that used one is no answer here: it says who sits at the browser, not that they mean this. A security key
signs a nonce followed by the digest, which is remembered for its person, act and host until it is answered once or is
too old. A code of an app proves nothing about the digest by itself: it is used up in allauth's own memory of codes, so
that it counts for this act and for nothing before or after it, a sign-in included.
"""

import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal.auth import get_credentials
from django.core.cache import cache
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    UserVerificationRequirement,
)

from apps.accounts.models import User
from apps.accounts.selectors import second_factors_of
from apps.accounts.services import factor_secrets, key_counters
from apps.accounts.types import Proof, Shown
from apps.common.encryption import fingerprint
from apps.common.errors import Forbidden

CHALLENGE_LIVES: Final = timedelta(seconds=120)
FAILURES_MAX: Final = 5
FAILURES_WITHIN_S: Final = 300
NONCE_BYTES: Final = 32
_REQUIRED: Final = UserVerificationRequirement.REQUIRED


def begin(*, person: User, subject: str, digest: str, host: str, now: datetime) -> dict[str, Any]:
    """What this person's security keys are asked for one act: the options of `navigator.credentials.get`, as JSON.

    `subject` is what is acted on, `digest` the SHA-256 of what is done (hex), `host` the name of this server here.
    Raises Forbidden SECOND_FACTOR_MISSING without a key.
    """
    credentials = get_credentials(person)
    if not credentials:
        raise _missing()
    nonce, name = secrets.token_bytes(NONCE_BYTES), host.partition(":")[0]
    options, _ = _server(name).authenticate_begin(
        credentials, user_verification=_REQUIRED, challenge=nonce + bytes.fromhex(digest)
    )
    kept = {"host": name, "subject": subject, "at": now.isoformat()}
    cache.set(_key(person, nonce), kept, int(CHALLENGE_LIVES.total_seconds()))
    return cast(dict[str, Any], json.loads(json.dumps(dict(options))))


def show(*, person: User, subject: str, digest: str, proof: Proof, now: datetime) -> Shown:
    """The second factor, if `proof` is one of this person's for this act and digest. It counts once.

    Raises Forbidden: SECOND_FACTOR_REQUIRED without one, SECOND_FACTOR_MISSING for who has none, SECOND_FACTOR_REFUSED
    for one that is wrong, old, used or of something else, SECOND_FACTOR_LOCKED after too many of those,
    SECOND_FACTOR_UNREADABLE (with its alarm) for a code where there is nothing that it could be compared with.
    """
    if not proof.is_given:
        if not second_factors_of(person):
            raise _missing()
        raise Forbidden(
            "SECOND_FACTOR_REQUIRED",
            "An order of this worth needs your second factor, for this decision alone.",
            fix="Send a code of your authenticator app, or what your security key answers for this proposal.",
        )
    if not proof.assertion:
        factor_secrets.require_open(person=person, now=now)
    failures = f"step-up:failures:{person.pk}"
    cache.add(failures, 0, FAILURES_WITHIN_S)
    if cache.incr(failures) > FAILURES_MAX:
        raise Forbidden(
            "SECOND_FACTOR_LOCKED",
            "Too many second factors were wrong.",
            fix=f"Wait {FAILURES_WITHIN_S // 60} minutes. Was it not you? Tell an administrator.",
        )
    shown = _by_key(person, subject, digest, proof.assertion, now) if proof.assertion else _by_code(person, proof.code)
    if shown is None:
        raise Forbidden(
            "SECOND_FACTOR_REFUSED",
            "This second factor does not count: it is wrong, too old, used before, or was shown for something else.",
            fix="Wait for the next code, or use your security key again.",
        )
    cache.delete(failures)
    return shown


def _by_code(person: User, code: str) -> Shown | None:
    app = Authenticator.objects.filter(user=person, type=Authenticator.Type.TOTP).first()
    if app is None or not app.wrap().validate_code(code):
        return None
    app.record_usage()
    return Shown(method="totp", credential=fingerprint(f"totp:{app.pk}"))


def _by_key(person: User, subject: str, digest: str, assertion: str, now: datetime) -> Shown | None:
    try:
        answer = AuthenticationResponse.from_dict(json.loads(assertion))
        challenge = answer.response.client_data.challenge
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    kept = _take(person, challenge)
    if kept is None or kept["subject"] != subject or not is_for(challenge, digest):
        return None
    if not timedelta(0) <= now - datetime.fromisoformat(kept["at"]) <= CHALLENGE_LIVES:
        return None
    state = {"challenge": websafe_encode(challenge), "user_verification": _REQUIRED}
    try:
        used = _server(kept["host"]).authenticate_complete(state, get_credentials(person), answer)
    except ValueError:
        return None
    if not key_counters.goes_up(person=person, answer=answer, now=now):
        return None
    return Shown(method="webauthn", credential=fingerprint(websafe_encode(used.credential_id)))


def is_for(challenge: bytes, digest: str) -> bool:
    """Whether what was signed names this digest."""
    return challenge[NONCE_BYTES:] == bytes.fromhex(digest)


def _take(person: User, challenge: bytes) -> Mapping[str, str] | None:
    """What was asked under this challenge, once: of two who answer at once, one gets it."""
    key = _key(person, challenge[:NONCE_BYTES])
    kept: Mapping[str, str] | None = cache.get(key)
    return kept if kept is not None and cache.delete(key) else None


def _key(person: User, nonce: bytes) -> str:
    return f"step-up:{person.pk}:{nonce.hex()}"


def _server(host: str) -> Fido2Server:
    return Fido2Server(PublicKeyCredentialRpEntity(id=host, name="Aika"))


def _missing() -> Forbidden:
    return Forbidden(
        "SECOND_FACTOR_MISSING",
        "This needs a second factor, and you have none that can be shown for it.",
        fix="Add an authenticator app or a security key under Second factors.",
    )
