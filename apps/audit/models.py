"""The rows of the log and of its alarms. Written by this app's services only; guarded by triggers."""

from django.db import models

from apps.audit.types import ActorKind, Channel, NoticeState, Says

HASH_CHARS = 64
STREAM_CHARS_MAX = 120
SUBJECT_CHARS_MAX = 120
KIND_CHARS_MAX = 80
ACTOR_ID_CHARS_MAX = 64
NAME_CHARS_MAX = 200
MESSAGE_CHARS_MAX = 500
KEY_ID_CHARS = 16
SIGNATURE_CHARS = 128
GENESIS = "0" * HASH_CHARS


class Event(models.Model):
    """One fact, in the transaction that made it so. `body` holds the exact bytes that were hashed.

    Within a stream `seq` runs 1, 2, 3 without gaps, and `prev_hash` is the hash of the event before. The other columns
    repeat the body for queries; `audit_verify` holds them against it.
    """

    id = models.BigAutoField(primary_key=True)
    stream = models.CharField(max_length=STREAM_CHARS_MAX)
    seq = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=KIND_CHARS_MAX)
    actor_kind = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in ActorKind])
    actor_id = models.CharField(max_length=ACTOR_ID_CHARS_MAX)
    subject = models.CharField(max_length=SUBJECT_CHARS_MAX)
    body = models.BinaryField()
    prev_hash = models.CharField(max_length=HASH_CHARS)
    hash = models.CharField(max_length=HASH_CHARS)
    recorded_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["stream", "seq"], name="audit_event_stream_seq")]
        indexes = [
            models.Index(fields=["subject", "id"], name="audit_event_subject_id"),
            models.Index(fields=["actor_kind", "id"], name="audit_event_actor_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"


class StreamHead(models.Model):
    """The end of a stream. Its row lock makes writers of one stream wait for each other."""

    stream = models.CharField(primary_key=True, max_length=STREAM_CHARS_MAX)
    seq = models.PositiveBigIntegerField()
    hash = models.CharField(max_length=HASH_CHARS)
    last_id = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.stream} at {self.seq}"


class Checkpoint(models.Model):
    """A batch of events sealed together: nobody can change, drop, add or reorder them afterwards and sign it again.

    `body` holds the exact bytes that were signed (Ed25519, `signature` as hex), and the columns repeat them.
    """

    number = models.BigIntegerField(primary_key=True)
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    prev_root = models.CharField(max_length=HASH_CHARS)
    root = models.CharField(max_length=HASH_CHARS)
    sealed_at = models.DateTimeField()
    key_id = models.CharField(max_length=KEY_ID_CHARS)
    body = models.BinaryField()
    signature = models.CharField(max_length=SIGNATURE_CHARS)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(number__gte=1, first_seq__gte=1, last_seq__gte=models.F("first_seq")),
                name="audit_checkpoint_counts_up",
            )
        ]

    def __str__(self) -> str:
        return f"checkpoint {self.number}"

    @property
    def size(self) -> int:
        """How many events it seals."""
        return self.last_seq - self.first_seq + 1


class Seal(models.Model):
    """An event's place in the order of sealing: 1, 2, 3 without gaps, in whichever order transactions committed.

    The event is named without a foreign key: that it is still there is what the checkpoint proves.
    """

    seal_seq = models.BigIntegerField(primary_key=True)
    event_id = models.BigIntegerField(unique=True)

    def __str__(self) -> str:
        return f"event {self.event_id} sealed as {self.seal_seq}"


class Alarm(models.Model):
    """Something a person must look at, from `since` until `cleared_at`. One open alarm for each code and subject.

    `told` counts how often it was told, the last time at `told_at`; until somebody acknowledges it, it is told again at
    `tell_at` (null: it was never told). `extent` is how many things it is about.
    """

    id = models.BigAutoField(primary_key=True)
    code = models.CharField(max_length=80)
    subject = models.CharField(max_length=SUBJECT_CHARS_MAX)
    message = models.CharField(max_length=MESSAGE_CHARS_MAX)
    extent = models.PositiveIntegerField(default=1)
    since = models.DateTimeField()
    told = models.PositiveIntegerField(default=0)
    told_at = models.DateTimeField(null=True, blank=True)
    tell_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=NAME_CHARS_MAX, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    cleared_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["code", "subject"], condition=models.Q(cleared_at=None), name="audit_alarm_one_open"
            )
        ]
        permissions = [("acknowledge_alarm", "Can acknowledge an alarm")]

    def __str__(self) -> str:
        return f"{self.code} {self.subject}"


class Notice(models.Model):
    """One telling of an alarm by one channel: owed until it got out, or until that is of no use any more.

    `says` is what it tells: that the alarm is open, was acknowledged, or is over.

    `key` names it to the receiver, the same at every attempt. `next_at` is when it may be tried (again).
    """

    id = models.BigAutoField(primary_key=True)
    alarm = models.ForeignKey(Alarm, on_delete=models.PROTECT, related_name="notices")
    number = models.PositiveIntegerField()
    says = models.CharField(
        max_length=12, choices=[(item.value, item.value.lower()) for item in Says], default=Says.OPEN.value
    )
    channel = models.CharField(max_length=10, choices=[(item.value, item.value.lower()) for item in Channel])
    key = models.UUIDField(unique=True)
    state = models.CharField(
        max_length=12, choices=[(item.value, item.value.lower()) for item in NoticeState], default="OWED"
    )
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()
    owed_since = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["alarm", "number", "channel"], name="audit_notice_once_each"),
        ]
        indexes = [
            models.Index(
                fields=["channel", "attempts", "id"], condition=models.Q(state="OWED"), name="audit_notice_owed"
            )
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.number} of alarm {self.alarm_id}"


class Delivery(models.Model):
    """One attempt to get a notice out, and what the other side answered. Written once, after the attempt."""

    id = models.BigAutoField(primary_key=True)
    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="deliveries")
    channel = models.CharField(max_length=10, choices=[(item.value, item.value.lower()) for item in Channel])
    attempt = models.PositiveIntegerField()
    sent_at = models.DateTimeField()
    answered_at = models.DateTimeField()
    delivered = models.BooleanField()
    answer = models.CharField(max_length=200)

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "deliveries"
        indexes = [models.Index(fields=["channel", "delivered", "id"], name="audit_delivery_newest")]

    def __str__(self) -> str:
        return f"{self.channel} attempt {self.attempt}: {self.answer}"


class Pulse(models.Model):
    """When a part of Aika last showed that it lives."""

    name = models.CharField(primary_key=True, max_length=80)
    at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.name
