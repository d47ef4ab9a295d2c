"""Doors for programs that cannot speak the API: what each makes of a webhook, and every call of one."""

from typing import Any, ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import Q

from apps.common.encryption import EncryptedTextField, SealedQuerySet
from apps.trades.types import HookMode, HookOutcome

NAME_CHARS_MAX = 50
REASON_CHARS_MAX = 500
PAYLOAD_CHARS_MAX = 2_000


class HookQuerySet(SealedQuerySet["Hook"]):
    """Secrets are read with their row only."""


class Hook(models.Model):
    """A door that turns webhooks of one sender into proposals on one connection, as a key of its owner.

    `api_key` is that key: nobody holds its secret, it has the scope `propose` and nothing else, and whatever ends it
    ends the hook. Its grant is the connection. A hook is made switched off.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    name = models.SlugField(
        max_length=NAME_CHARS_MAX, unique=True, help_text="The last part of its address: /hooks/<name>."
    )
    owner = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    api_key = models.OneToOneField("accounts.ApiKey", on_delete=models.PROTECT, related_name="+")
    connection = models.ForeignKey("connectors.Connection", on_delete=models.PROTECT, related_name="+")
    mode = models.CharField(
        max_length=12,
        choices=[
            (HookMode.SIGNED.value, "signed: the sender signs time and body"),
            (HookMode.BODY_SECRET.value, "secret in the body: weaker, for senders that cannot sign"),
        ],
        default=HookMode.SIGNED.value,
    )
    secret = EncryptedTextField(editable=False, help_text="Shown once, when it is made.")
    secret_fingerprint = models.CharField(max_length=8, editable=False)
    secret_path = models.CharField(max_length=80, default="secret", help_text="Where in the body the secret stands.")
    template = models.JSONField(default=dict)
    example = models.TextField(blank=True, max_length=8_000)
    enabled = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    objects = HookQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(mode__in=[item.value for item in HookMode]), name="hook_mode_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> str:
        return f"/hooks/{self.name}"

    def content(self) -> dict[str, Any]:
        """What decides what comes of a call, besides the secret: what a second person confirms."""
        return {
            "name": self.name,
            "owner": self.owner_id,
            "connection": self.connection_id,
            "mode": self.mode,
            "secret_path": self.secret_path,
            "template": self.template,
        }


class HookCall(models.Model):
    """One call of a hook, or (a refused one) of a `name` that no hook has, never changed. `signature_digest` is of a
    signature that was right: it is good once.

    `payload` is the beginning of what an authentic sender sent, without the secret. `delivery_key` names the delivery
    whose answer a repetition gets.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    hook = models.ForeignKey(Hook, null=True, on_delete=models.PROTECT, related_name="calls")
    name = models.CharField(
        max_length=NAME_CHARS_MAX, blank=True, default="", help_text="What was called, where no hook has that name."
    )
    counted = models.PositiveIntegerField(
        default=0, help_text="How many others were refused before it and not kept one by one."
    )
    called_at = models.DateTimeField()
    address = models.CharField(max_length=45, blank=True)
    body_digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the body.")
    body_bytes = models.PositiveIntegerField(default=0)
    outcome = models.CharField(max_length=10, choices=[(item.value, item.value.capitalize()) for item in HookOutcome])
    status = models.PositiveSmallIntegerField()
    code = models.CharField(max_length=60)
    reason = models.CharField(max_length=REASON_CHARS_MAX, blank=True)
    payload = models.CharField(max_length=PAYLOAD_CHARS_MAX, blank=True)
    delivery_key = models.CharField(max_length=255, blank=True)
    signature_digest = models.CharField(max_length=64, blank=True)
    proposal = models.ForeignKey("trades.Proposal", null=True, on_delete=models.PROTECT, related_name="hook_calls")

    class Meta:
        default_permissions = ("view",)
        ordering: ClassVar = ["-called_at"]
        verbose_name = "call of a hook"
        verbose_name_plural = "calls of hooks"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["hook", "signature_digest"],
                condition=~Q(signature_digest=""),
                name="hook_signature_once",
            ),
            models.CheckConstraint(
                condition=Q(outcome="REFUSED", proposal__isnull=True)
                | (~Q(outcome="REFUSED") & Q(proposal__isnull=False)),
                name="hook_call_refused_or_proposed",
            ),
            models.CheckConstraint(
                condition=Q(hook__isnull=False, name="") | (Q(hook__isnull=True, outcome="REFUSED") & ~Q(name="")),
                name="hook_call_of_a_hook_or_a_name",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["hook", "-called_at"], name="hook_call_recent"),
            models.Index(
                fields=["hook", "body_digest", "-called_at"],
                condition=Q(outcome="PROPOSED"),
                name="hook_call_deliveries",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.called_at:%Y-%m-%d %H:%M:%S}"
