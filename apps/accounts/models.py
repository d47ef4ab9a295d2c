"""People, the desks they sit at, the keys of their programs, and the acts that need a second person."""

import uuid
from datetime import datetime
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower


class User(AbstractUser):
    """A person. Never deleted: a person who leaves is deactivated, because rows about money name them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField("e-mail address", unique=True)
    display_name = models.CharField(
        max_length=80, blank=True, help_text="The name others see beside a vote. Empty: the user name is shown."
    )

    # No column: what the roles allow, where it was read together with the person. Lives as long as one request.
    held: frozenset[str] | None = None
    # No columns either: what the parts of one page ask for again and again: roles, desks, and the connections of those
    # desks. Never decided by.
    seen_roles: frozenset[str] | None = None
    seen_desks: tuple[uuid.UUID, ...] | None = None
    seen_connections: tuple[uuid.UUID, ...] | None = None

    class Meta:
        ordering: ClassVar = ["username"]
        default_permissions = ("add", "change", "view")
        permissions: ClassVar = [
            ("propose_trade", "May propose a trade, and withdraw an own proposal"),
            ("decide_proposal", "May approve or decline a waiting proposal"),
            ("halt_trading", "May halt trading"),
            ("cancel_order", "May ask a venue to cancel an order of the desk"),
            ("activate_policy", "May draft a policy version and ask for its activation"),
            ("manage_connections", "May set up connections to venues"),
            ("view_ledger", "May read orders, fills, positions and decisions"),
            ("second_request", "May second what another person asks for"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                Lower("email"), name="user_email_any_case", violation_error_message="This e-mail address is taken."
            ),
        ]

    @property
    def shown_name(self) -> str:
        """The name on pages and in audit events."""
        return self.display_name or self.username

    def get_full_name(self) -> str:
        """Django's and allauth's name for `shown_name`."""
        return self.shown_name


class Desk(models.Model):
    """People who trade together, in one reporting currency. Connections belong to a desk."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=50, unique=True)
    name = models.CharField(max_length=80)
    reporting_currency = models.CharField(
        max_length=12, default="USD", help_text="The currency in which exposure and loss of this desk are counted."
    )
    members = models.ManyToManyField(User, related_name="desks", blank=True)

    class Meta:
        ordering: ClassVar = ["name"]
        default_permissions = ("add", "change", "view")

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """The key of a program that acts for its owner. Only the SHA-256 of its secret is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=80, help_text="What the key is for, such as the program that holds it.")
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    secret_hash = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    networks = models.JSONField(
        default=list, blank=True, help_text="Networks (CIDR) the program calls from; empty: from anywhere."
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="Reads, and writes, a minute; empty: what the installation allows."
    )
    rotated_from = models.OneToOneField(
        "self", on_delete=models.PROTECT, related_name="successor", null=True, blank=True, editable=False
    )
    expires_at = models.DateTimeField()
    ends_at = models.DateTimeField(
        null=True, blank=True, help_text="When a key with a successor ends, at the latest; only ever sooner."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="Written at most once a minute.")
    refused_address = models.CharField(max_length=64, blank=True, editable=False)
    refused_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        default_permissions = ("add", "change", "view")
        verbose_name = "API key"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(ends_at__isnull=True) | models.Q(ends_at__lte=models.F("expires_at")),
                name="api_key_ends_by_its_expiry",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"

    @property
    def over_at(self) -> datetime:
        """When it ends by the clock: at its expiry, or sooner where a successor took over."""
        return self.ends_at or self.expires_at

    def state_at(self, now: datetime) -> str:
        """`in use`, `in use, successor made`, `expired` or `revoked`."""
        if self.revoked_at:
            return "revoked"
        if self.over_at <= now:
            return "expired"
        return "in use, successor made" if self.ends_at else "in use"


class BrowserSession(models.Model):
    """A session of a browser. Only the SHA-256 of its cookie is kept: who reads this table cannot sign in with it."""

    key_hash = models.CharField(max_length=64, primary_key=True, editable=False)
    data = models.TextField(help_text="What Django keeps in a session, signed.")
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="browser_sessions", null=True)
    address = models.CharField(max_length=45, blank=True)
    device = models.CharField(max_length=200, blank=True, help_text="What the browser calls itself.")
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(help_text="When its person last did something; written at most once a minute.")
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering: ClassVar = ["-last_seen_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"session {self.key_hash[:8]}"


class IdempotencyRecord(models.Model):
    """The answer to a write that took effect. It is committed with the effect: a row without an answer cannot exist."""

    principal = models.CharField(max_length=60, help_text="user:<id> or api_key:<id>")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path and canonical body.")
    status = models.PositiveSmallIntegerField()
    body = models.BinaryField()
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["principal", "key"], name="idempotency_once_per_principal"),
            models.CheckConstraint(
                condition=models.Q(status__gte=200, status__lt=500), name="idempotency_no_server_error"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.principal} {self.key}"


class SecondPersonState(models.TextChoices):
    """OPEN and SECONDED end by the clock; the rest is final."""

    OPEN = "OPEN", "Waits for a second person"
    SECONDED = "SECONDED", "Seconded, not used yet"
    USED = "USED", "Used"
    EXPIRED = "EXPIRED", "Expired"
    WITHDRAWN = "WITHDRAWN", "Withdrawn"


LIVE_STATES = (SecondPersonState.OPEN, SecondPersonState.SECONDED)


class SecondPersonRequest(models.Model):
    """One act that loosens something, asked for by one person and confirmed by another, bound to a digest of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=64, help_text="The act, such as policy.activate.")
    subject = models.CharField(max_length=200, help_text="The object it is about.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the exact content that would take effect.")
    summary = models.TextField(max_length=2000, help_text="What would change, in words.")
    roles = models.JSONField(default=list, help_text="The seconder must have one of these roles; empty: any.")
    requester = models.ForeignKey(User, on_delete=models.PROTECT, related_name="second_person_requests")
    seconder = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="second_person_seconded", null=True, blank=True
    )
    state = models.CharField(max_length=10, choices=SecondPersonState.choices, default=SecondPersonState.OPEN)
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    seconded_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-requested_at"]
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(seconder__isnull=True) | ~models.Q(seconder=models.F("requester")),
                name="second_person_is_another_person",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["SECONDED", "USED"]) | models.Q(seconder__isnull=False),
                name="second_person_is_named",
            ),
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("requested_at")), name="second_person_expires"
            ),
            models.UniqueConstraint(
                fields=["kind", "subject", "digest"],
                condition=models.Q(state__in=["OPEN", "SECONDED"]),
                name="second_person_one_live_request",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
