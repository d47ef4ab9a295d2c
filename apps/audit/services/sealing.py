"""Sealing: committed rows get their place, a root over them is signed, and the result is kept elsewhere too."""

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Exists, Max, OuterRef

from apps.audit import rules
from apps.audit.models import Checkpoint, Event, Seal
from apps.audit.services import alarms, anchors, keys
from apps.audit.services.anchors import Anchored
from apps.common.errors import Misconfigured

EVENTS_MAX = 1000  # in one checkpoint
CHECKPOINTS_MAX = 50  # in one run
ANCHORS_AT_ONCE = 1000
# An id is given before its transaction commits, so an event may appear behind ones that are sealed. A run looks this
# many ids back; the run before a verification looks at all of them.
LOOK_BACK_IDS = 50_000
ALARM_CODE = "AUDIT_NOT_SEALED"
ALARM_SUBJECT = "audit:seals"


@dataclass(frozen=True)
class Sealed:
    """What a run did."""

    checkpoints: int
    events: int
    anchored: int


def seal(*, now: datetime, look_back_ids: int | None = LOOK_BACK_IDS) -> Sealed:
    """Seals committed events that are not sealed yet, oldest first, and anchors every checkpoint that is not anchored.

    Safe beside other sealers: the slower one does nothing. Where the key or an anchor cannot be used, the alarm
    AUDIT_NOT_SEALED is raised and the error goes on: Misconfigured of `keys.signing_key`, OSError of an anchor.
    """
    try:
        key = keys.signing_key()
        made = _seal_batches(key, now=now, look_back_ids=look_back_ids)
        anchored = sum(_anchor(store) for store in anchors.configured())
    except (Misconfigured, OSError) as error:
        alarms.raise_alarm(code=ALARM_CODE, subject=ALARM_SUBJECT, message=f"Sealing stands still: {error}", now=now)
        raise
    alarms.clear_alarm(code=ALARM_CODE, subject=ALARM_SUBJECT, now=now)
    return Sealed(checkpoints=len(made), events=sum(checkpoint.size for checkpoint in made), anchored=anchored)


def _seal_batches(key: keys.SigningKey, *, now: datetime, look_back_ids: int | None) -> list[Checkpoint]:
    made: list[Checkpoint] = []
    while len(made) < CHECKPOINTS_MAX:
        try:
            with transaction.atomic():
                checkpoint = _seal_batch(key, now=now, look_back_ids=look_back_ids)
        except IntegrityError:
            break  # another sealer took this number, and with it these events
        if checkpoint is None:
            break
        made.append(checkpoint)
    return made


def _seal_batch(key: keys.SigningKey, *, now: datetime, look_back_ids: int | None) -> Checkpoint | None:
    """The next checkpoint. What another transaction holds uncommitted is not seen here and gets a later place."""
    entries = _unsealed(look_back_ids)
    if not entries:
        return None
    last = Checkpoint.objects.order_by("-number").first()
    number, first_seq, prev_root = (last.number + 1, last.last_seq + 1, last.root) if last else (1, 1, rules.NO_ROOT)
    last_seq = first_seq + len(entries) - 1
    root = rules.batch_root(prev_root=prev_root, entries=entries)
    body = rules.checkpoint_body(
        number=number,
        first_seq=first_seq,
        last_seq=last_seq,
        prev_root=prev_root,
        root=root,
        sealed_at=now,
        key_id=key.id,
    )
    checkpoint = Checkpoint.objects.create(
        number=number,
        first_seq=first_seq,
        last_seq=last_seq,
        prev_root=prev_root,
        root=root,
        sealed_at=now,
        key_id=key.id,
        body=body,
        signature=key.sign(body),
    )
    Seal.objects.bulk_create(
        [Seal(seal_seq=seal_seq, event_id=event_id) for seal_seq, (event_id, _) in enumerate(entries, start=first_seq)]
    )
    return checkpoint


def _unsealed(look_back_ids: int | None) -> list[tuple[int, str]]:
    sealed = Seal.objects.filter(event_id=OuterRef("pk"))
    found = Event.objects.filter(~Exists(sealed)).order_by("id")
    if look_back_ids is not None:
        highest = Seal.objects.aggregate(highest=Max("event_id"))["highest"] or 0
        found = found.filter(id__gt=highest - look_back_ids)
    return list(found.values_list("id", "hash")[:EVENTS_MAX])


def _anchor(store: anchors.AnchorStore) -> int:
    """Keep what this store does not keep yet: after a crash, or where anchoring began later, that is more than one."""
    count, number = 0, store.last_number()
    while True:
        rows = Checkpoint.objects.filter(number__gt=number).order_by("number")[:ANCHORS_AT_ONCE]
        found = [Anchored(row.number, bytes(row.body), row.signature) for row in rows]
        if not found:
            return count
        count += store.append(found)
        number = found[-1].number
