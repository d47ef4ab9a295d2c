"""A call of a hook, from the door to a proposal: who sends is proved, what they mean is read, and it is asked for once.

Every call is kept, also one that comes to nothing, or of a name that no hook has: but see `hook_counting`. What is
refused creates nothing else.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Model

from apps.accounts import selectors as accounts
from apps.accounts.errors import Unauthenticated
from apps.accounts.services import idempotency
from apps.accounts.services.idempotency import Answer, Replay
from apps.accounts.types import Principal, Scope
from apps.common.client_address import is_within
from apps.common.errors import AikaError, Conflict, Denied, Forbidden, Invalid, NotFound
from apps.trades.models import Hook, HookCall, Proposal
from apps.trades.models.hooks import NAME_CHARS_MAX, PAYLOAD_CHARS_MAX, REASON_CHARS_MAX
from apps.trades.rules import hooks as rules
from apps.trades.selectors import hooks as selectors
from apps.trades.services import intake
from apps.trades.services.judging import Clock
from apps.trades.types import HookMode, HookOutcome, Intent, Narrative

DELIVERY_CHARS_MAX: Final = 200
_DELIVERY = re.compile(r"[!-~]{1,200}", re.ASCII)
_NOBODY: Final = "0" * 64

Read = Callable[[dict[str, object]], tuple[Intent, Narrative]]


@dataclass(slots=True, kw_only=True)
class Call:
    """One call while it is dealt with. `hook` is None where nothing has that `name`."""

    name: str
    hook: Hook | None
    address: str
    at: datetime
    raw: bytes = b""
    is_authentic: bool = False
    signature_digest: str = ""
    delivery_key: str = ""

    @property
    def body_digest(self) -> str:
        return hashlib.sha256(self.raw).hexdigest() if self.raw else ""


def begin(*, name: str, address: str, now: datetime) -> Call:
    """The call of the hook of that name, whether there is one or not."""
    return Call(name=name, hook=selectors.hook_named(name), address=address, at=now)


def prove(call: Call, *, signature: str, payload: Callable[[], object]) -> object:
    """What an authentic sender sent. `payload` reads the body.

    Raises Unauthenticated HOOK_NOT_AUTHENTIC (no such hook, no signature, a wrong one, no secret, a wrong one: who asks
    is not told which) or HOOK_TIMESTAMP_OLD, and Conflict HOOK_REPLAYED.
    """
    hook = call.hook
    if hook is not None and hook.mode == HookMode.BODY_SECRET:
        sent = payload()
        told = rules.text_at(sent, hook.secret_path)
        if not rules.is_same(told, hook.secret.reveal()):
            where = f"in {hook.secret_path}"
            raise NotAuthentic(f"Another secret stands {where}." if told else f"No secret stands {where}.")
        call.is_authentic = True
        return sent
    found = rules.read_signature(signature)
    right = _NOBODY if hook is None or found is None else hook.secret.reveal()
    at, given = found or (call.at, "")
    # Nobody's secret takes as long as somebody's.
    is_right = rules.is_same(given, rules.signature(secret=right, at=at, body=call.raw))
    if hook is None or found is None or not is_right:
        raise NotAuthentic(_why(hook, is_signed=found is not None))
    call.is_authentic = True
    if not rules.is_timely(at, call.at):
        raise _old("The signature")
    digest = hashlib.sha256(given.encode()).hexdigest()
    if selectors.is_signature_used(hook, digest):
        raise _replayed()
    call.signature_digest = digest
    return payload()


def propose(
    call: Call,
    *,
    payload: object,
    delivery_id: str,
    read: Read,
    word: Callable[[Proposal], bytes],
    now: datetime,
    clock: Clock | None = None,
) -> Answer:
    """Make of it what the hook's template says, and propose that as the hook's key. A delivery that made a proposal
    before gets its answer again, a `Replay`.

    `read` turns fields as API bodies have them into an intent, or raises Invalid. Raises Forbidden (HOOK_DISABLED,
    HOOK_KEY_ENDED, HOOK_ADDRESS_REFUSED, HOOK_OWNER_REFUSED, HOOK_CONNECTION_REFUSED), Invalid for what the body says,
    Unauthenticated HOOK_TIMESTAMP_OLD, Conflict HOOK_REPLAYED, Denied IDEMPOTENCY_KEY_REUSED, and as proposing does.
    """
    hook = call.hook
    assert hook is not None  # noqa: S101  `prove` lets no call of no hook come here
    principal = _principal(hook, call.address, now)
    fields = rules.fill(rules.read_template(hook.template), payload)
    _refuse_secret(hook, fields)
    if (sent := fields.pop(rules.SENT_AT, None)) is not None and not rules.is_timely(rules.sent_at(sent), now):
        raise _old("The time in the body")
    intent, narrative = read(fields | {"connection": hook.connection.slug})
    call.delivery_key = _delivery_key(call, hook, delivery_id, now)
    claim = idempotency.claim_of(
        principal_key=principal.reference, key=call.delivery_key, method="POST", path=hook.path, body=call.raw
    )

    def beside(proposal: Proposal) -> tuple[Model, ...]:
        code = proposal.end_code if proposal.ended_at else "PROPOSED"
        return (_row(call, HookOutcome.PROPOSED, 201, code, proposal_id=proposal.pk),)

    try:
        answer = intake.propose_once(
            intent=intent,
            narrative=narrative,
            supersedes=None,
            principal=principal,
            claim=claim,
            word=word,
            now=now,
            clock=clock,
            beside=beside,
        )
    except NotFound as error:
        if error.code != "CONNECTION_UNKNOWN":
            raise
        raise Forbidden(
            "HOOK_CONNECTION_REFUSED",
            "The connection of this hook is switched off, or its owner may not propose on it.",
            fix="Ask an operator.",
        ) from error
    except IntegrityError as error:
        _refuse_used(call, hook, error)
        raise
    if isinstance(answer, Replay):
        _keep_repeated(call, hook, answer)
    return answer


def record_refusal(call: Call, error: AikaError, *, status: int, counted: int) -> None:
    """Keep that the call came to nothing, and why; and that so many like it were only counted since the last one."""
    # What broke on our side, came too often or met another request may be sent the very same again.
    is_final = status not in {409, 429} and status < 500
    uses = call.signature_digest if is_final else ""
    why = error.why if isinstance(error, NotAuthentic) else error.message
    row = _row(call, HookOutcome.REFUSED, status, error.code, reason=why, uses=uses)
    row.counted = counted
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        row.signature_digest = ""  # the same signature was refused a moment before
        row.save(force_insert=True)


def _principal(hook: Hook, address: str, now: datetime) -> Principal:
    key, owner = hook.api_key, hook.owner
    if not hook.enabled:
        raise Forbidden("HOOK_DISABLED", "This hook is switched off.", fix="Ask an operator to switch it on.")
    if key.revoked_at is not None or key.over_at <= now:
        raise Forbidden(
            "HOOK_KEY_ENDED", "The key of this hook was revoked or has expired.", fix="Ask for another secret."
        )
    if key.networks and not is_within(address, key.networks):
        raise Forbidden(
            "HOOK_ADDRESS_REFUSED",
            "This hook is not heard from this address.",
            fix="Send from the networks of the hook, or ask an operator for another one.",
        )
    if not accounts.may_use_scope(owner, Scope.PROPOSE):
        raise Forbidden(
            "HOOK_OWNER_REFUSED", "The owner of this hook may not propose any more.", fix="Ask an operator."
        )
    return Principal(user_id=owner.pk, api_key_id=key.pk, name=f"{key.name} ({owner.shown_name})")


def _delivery_key(call: Call, hook: Hook, delivery_id: str, now: datetime) -> str:
    """The name of this delivery: the sender's own where it is signed, else what was signed; without a signature, the
    body, which counts as the same delivery for as long as the window."""
    if hook.mode == HookMode.BODY_SECRET:
        last = selectors.last_delivery(hook, call.body_digest, now)
        if last is not None and last.is_recent:
            return last.key
        number = 1 if last is None else int(last.key.rpartition(":")[2]) + 1
        return f"body:{call.body_digest}:{number}"
    if not delivery_id:
        return f"signature:{call.signature_digest}"
    if not _DELIVERY.fullmatch(delivery_id):
        raise Invalid(
            "HOOK_DELIVERY_MALFORMED",
            f"Aika-Delivery must be 1 to {DELIVERY_CHARS_MAX} visible ASCII characters.",
            fix="Send a new UUID for every new delivery, and the same one when you repeat it.",
            field="Aika-Delivery",
        )
    return f"delivery:{delivery_id}"


def _keep_repeated(call: Call, hook: Hook, answer: Replay) -> None:
    if call.signature_digest and selectors.is_signature_used(hook, call.signature_digest):
        raise _replayed()  # the same request at the same moment: one of the two was taken
    proposal_id = UUID(str(json.loads(answer.body)["id"]))
    row = _row(call, HookOutcome.REPEATED, answer.status, "REPEATED", proposal_id=proposal_id)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        _refuse_used(call, hook, error)
        raise


def _refuse_used(call: Call, hook: Hook, error: IntegrityError) -> None:
    if call.signature_digest and selectors.is_signature_used(hook, call.signature_digest):
        raise _replayed() from error


def _refuse_secret(hook: Hook, fields: dict[str, object]) -> None:
    secret = hook.secret.reveal()
    for name, value in fields.items():
        if secret in str(value):
            raise Denied(
                "HOOK_SECRET_IN_VALUE",
                f"The secret of the hook stands in {name}, where people would read it.",
                fix="Send it in its own place only.",
                field=name,
            )


def _row(
    call: Call,
    outcome: HookOutcome,
    status: int,
    code: str,
    *,
    reason: str = "",
    proposal_id: UUID | None = None,
    uses: str | None = None,
) -> HookCall:
    return HookCall(
        hook=call.hook,
        name="" if call.hook else call.name[:NAME_CHARS_MAX],
        called_at=call.at,
        address=call.address[:45],
        body_digest=call.body_digest,
        body_bytes=len(call.raw),
        outcome=outcome.value,
        status=status,
        code=code[:60],
        reason=_redacted(call.hook, reason)[:REASON_CHARS_MAX],
        payload=_payload(call),
        delivery_key=call.delivery_key if outcome is HookOutcome.PROPOSED else "",
        signature_digest=call.signature_digest if uses is None else uses,
        proposal_id=proposal_id,
    )


def _payload(call: Call) -> str:
    """The beginning of what an authentic sender sent. The secret is taken out of the whole before it is cut: a part of
    it must not stay at the edge."""
    hook, raw = call.hook, call.raw.decode(errors="backslashreplace").replace("\x00", "")
    if hook is None or not call.is_authentic or (hook.mode == HookMode.BODY_SECRET and "\\u" in raw):
        return ""  # written in escapes, the secret would not be found
    return _redacted(hook, raw)[:PAYLOAD_CHARS_MAX]


def _redacted(hook: Hook | None, text: str) -> str:
    return text if hook is None else text.replace(hook.secret.reveal(), "[the secret]")


class NotAuthentic(Unauthenticated):
    """A sender who proved nothing. `why` is for the people of the desk only."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "HOOK_NOT_AUTHENTIC",
            "There is no hook of this name, or the request does not prove that its sender may use it.",
            fix="Sign it with the secret of the hook, or send the secret where the hook looks for it.",
        )
        self.why = why


def _why(hook: Hook | None, *, is_signed: bool) -> str:
    """What the people of the desk read of a proof that is none."""
    if hook is None:
        return "No hook has this name."
    if not is_signed:
        return "There is no Aika-Signature of the form t=SECONDS,v1=HMAC."
    return "The signature is not of this time and body under the secret of the hook."


def _old(what: str) -> Unauthenticated:
    return Unauthenticated(
        "HOOK_TIMESTAMP_OLD",
        f"{what} is more than {int(rules.WINDOW.total_seconds())} s from our clock.",
        fix="Sign each request when it is sent, and set the clock of the sender.",
    )


def _replayed() -> Conflict:
    return Conflict(
        "HOOK_REPLAYED",
        "This very request was taken before. Nothing was done.",
        fix="Sign each request anew, and give a repeated delivery the same Aika-Delivery.",
    )
