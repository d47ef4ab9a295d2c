"""Writes that may be repeated: the second request with one `Idempotency-Key` gets the first one's answer.

The answer is inserted in the transaction that has the effect, so there is never an effect without its answer nor an
answer without its effect, and no state "in progress" that a crash could leave behind. Two requests at once both do the
work; the unique index lets one commit, the other rolls back and replays. A door for one key looks like this:

    claim = idempotency.begin(principal_key=..., key=..., method=..., path=..., body=...)
    if isinstance(claim, Replay):
        return claim
    ...reads, and calls to a venue: outside any transaction...
    return idempotency.complete(claim, act=lambda: (201, body), now=now)
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.db import IntegrityError, connection, transaction

from apps.accounts.models import IdempotencyRecord
from apps.common.errors import Conflict, Denied, Invalid, Misconfigured
from apps.common.inserts import store
from apps.common.statements import Question, Select

KEY_LENGTH_MAX = 255
KEEP_MIN = timedelta(days=7)

_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)


class Stored(NamedTuple):
    """A kept answer as a row."""

    fingerprint: str
    status: int
    body: bytes


_STORED: Final[Select[Stored]] = Select(
    lambda principal, key: IdempotencyRecord.objects.filter(principal=principal, key=key).values_list(*Stored._fields),
    Stored,
    principal=str,
    key=str,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request that has no answer yet."""

    principal_key: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status and body of this request's own effect."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay(Answer):
    """The stored answer of an earlier, equal request. Send it with `Idempotent-Replayed: true`."""


class AnsweredMeanwhile(Conflict):
    """An equal request committed first. The transaction must roll back; then `replay` has the answer."""


def begin(*, principal_key: str, key: str, method: str, path: str, body: bytes) -> Replay | Claim:
    """The stored answer if there is one, else a claim to `complete`. One query, no write.

    Raises as `claim_of` and `settled`.
    """
    claim = claim_of(principal_key=principal_key, key=key, method=method, path=path, body=body)
    return settled(claim, stored_question(claim))


def claim_of(
    *, principal_key: str, key: str, method: str, path: str, body: bytes, field: str = "Idempotency-Key"
) -> Claim:
    """The claim of a request, before anybody has looked whether it is answered: see `settled`.

    `principal_key` is `Principal.reference`, `field` where the key came. Raises `Invalid` IDEMPOTENCY_KEY_MALFORMED.
    """
    if not _KEY.fullmatch(key):
        raise Invalid(
            "IDEMPOTENCY_KEY_MALFORMED",
            f"{field} must be 1 to {KEY_LENGTH_MAX} visible ASCII characters.",
            fix="Send a new UUID for every new write, and the same one when you repeat it.",
            field=field,
        )
    return Claim(principal_key=principal_key, key=key, fingerprint=fingerprint(method=method, path=path, body=body))


def stored_question(claim: Claim) -> Question[Stored]:
    """What was stored under the key of this claim: see `settled`."""
    return _STORED(principal=claim.principal_key, key=claim.key)


def settled(claim: Claim, stored: Question[Stored]) -> Replay | Claim:
    """The stored answer if there is one, else the claim.

    Raises `Denied` IDEMPOTENCY_KEY_REUSED if the key was used for something else.
    """
    return _settled(claim, next(iter(stored.answer), None))


def settled_each(claims: Sequence[Claim]) -> list[Replay | Claim | Denied]:
    """As `settled` for claims of one principal, in one query; what it would raise stands in its place."""
    principals = {claim.principal_key for claim in claims}
    rows = IdempotencyRecord.objects.filter(principal__in=principals, key__in=[claim.key for claim in claims])
    stored = {key: Stored(*row) for key, *row in rows.values_list("key", *Stored._fields)} if claims else {}
    found: list[Replay | Claim | Denied] = []
    for claim in claims:
        try:
            found.append(_settled(claim, stored.get(claim.key)))
        except Denied as refused:
            found.append(refused)
    return found


def _settled(claim: Claim, row: Stored | None) -> Replay | Claim:
    if row is None:
        return claim
    if row.fingerprint != claim.fingerprint:
        raise Denied(
            "IDEMPOTENCY_KEY_REUSED",
            "This Idempotency-Key was used before for a different request.",
            fix="Send a new key for a new request.",
            field="Idempotency-Key",
        )
    return Replay(status=row.status, body=bytes(row.body))


def kept(claim: Claim, *, status: int, body: bytes, now: datetime) -> IdempotencyRecord:
    """The answer as a row, to be stored with the effect; an equal request that won makes that an IntegrityError."""
    if not 200 <= status < 500:
        raise ValueError(f"{status} is not an answer to keep")
    return IdempotencyRecord(
        principal=claim.principal_key,
        key=claim.key,
        fingerprint=claim.fingerprint,
        status=status,
        body=body,
        created_at=now,
    )


def finish(claim: Claim, *, status: int, body: bytes, now: datetime) -> None:
    """Store the answer, as the last statement of the transaction that has the effect.

    Raises `AnsweredMeanwhile` if an equal request won: let it leave the transaction, then call `replay`.
    Raises `Misconfigured` IDEMPOTENCY_OUTSIDE_TRANSACTION where an answer could be kept without its effect.
    """
    if not connection.in_atomic_block:
        raise Misconfigured("IDEMPOTENCY_OUTSIDE_TRANSACTION", "An answer is stored together with its effect.")
    record = kept(claim, status=status, body=body, now=now)
    try:
        store(record)
    except IntegrityError as error:
        raise AnsweredMeanwhile("IDEMPOTENCY_ANSWERED", "An equal request was answered first.") from error


def replay(claim: Claim) -> Replay:
    """The answer of the equal request that won. Raises `Denied` IDEMPOTENCY_KEY_REUSED if the winner was not equal."""
    stored = settled(claim, stored_question(claim))
    if isinstance(stored, Claim):
        raise Conflict(
            "IDEMPOTENCY_IN_PROGRESS",
            "A request with this Idempotency-Key is being answered.",
            fix="Repeat it in a second.",
            retry_after="1",
        )
    return stored


def complete(claim: Claim, *, act: Callable[[], tuple[int, bytes]], now: datetime) -> Answer:
    """Run `act` (database work only) and store its answer in one transaction; a lost race replays the winner.

    Whatever `act` raises leaves nothing behind, and the key stays free: refusals are not stored.
    """
    try:
        with transaction.atomic():
            status, body = act()
            finish(claim, status=status, body=body, now=now)
    except AnsweredMeanwhile:
        return replay(claim)
    return Answer(status=status, body=body)


def fingerprint(*, method: str, path: str, body: bytes) -> str:
    """SHA-256 of method, path and body; JSON that differs only in blanks or order of names is the same body."""
    parts = (method.upper().encode(), path.encode(), _canonical(body))
    return hashlib.sha256(b"\x00".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def prune(*, older_than: timedelta, now: datetime) -> int:
    """Delete answers older than that; returns how many. Raises `Invalid` IDEMPOTENCY_KEEP_TOO_SHORT under 7 days."""
    if older_than < KEEP_MIN:
        raise Invalid("IDEMPOTENCY_KEEP_TOO_SHORT", f"Answers are kept at least {KEEP_MIN.days} days.")
    deleted, _ = IdempotencyRecord.objects.filter(created_at__lt=now - older_than).delete()
    return deleted


def _canonical(body: bytes) -> bytes:
    try:
        # Numbers stay as written, and NaN too: this only compares two requests, it does not judge them.
        parsed = json.loads(body, parse_float=_number, parse_int=_number, parse_constant=_number)
    except (ValueError, RecursionError):
        return body
    return json.dumps(parsed, sort_keys=True, separators=(",", ":")).encode()


def _number(text: str) -> str:
    """Told apart from the same text in quotes by a character that no accepted body contains."""
    return f"\x00{text}"
