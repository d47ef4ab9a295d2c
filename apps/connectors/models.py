"""Connections to venues, and what was last read over them. A connection is never deleted: orders name it."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.common.encryption import EncryptedTextField, SealedQuerySet
from apps.common.fields import ExactDecimalField
from apps.connectors.types import Environment, InstrumentSpec, Venue


class VenueChoice(models.TextChoices):
    COINBASE = Venue.COINBASE.value, "Coinbase Advanced Trade"
    ROBINHOOD = Venue.ROBINHOOD.value, "Robinhood Crypto (read only: no trading)"


class EnvironmentChoice(models.TextChoices):
    PAPER = Environment.PAPER.value, "paper: no money moves"
    LIVE = Environment.LIVE.value, "live: real money"


class AuthorisationState(models.TextChoices):
    ACTIVE = "ACTIVE", "Active"
    RECONNECT_NEEDED = "RECONNECT_NEEDED", "Must be connected again"
    REVOKED = "REVOKED", "Disconnected"


class Authorisation(models.Model):
    """What a person let Aika do in their account at a venue, by OAuth. One row for one account of one person.

    The tokens are used by one row's holder only and never shown. `generation` grows with every new pair of tokens;
    `refresh_begun_at` says that somebody is asking for the next pair (apps/connectors/services/bearers.py).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="authorisations")
    venue = models.CharField(max_length=20, choices=VenueChoice.choices)
    api_base = models.CharField("address", max_length=200, help_text="The only origin these tokens are sent to.")
    account_uid = models.CharField(max_length=100, help_text="The venue's id of the account.")
    account_name = models.CharField(max_length=200, help_text="As the venue says it.")
    asked_scopes = models.JSONField(default=list)
    granted_scopes = models.JSONField(default=list)
    access_token = EncryptedTextField(blank=True, editable=False)
    refresh_token = EncryptedTextField(blank=True, editable=False)
    access_from = models.DateTimeField(help_text="When the access token was asked for.")
    access_until = models.DateTimeField(help_text="When it ends.")
    state = models.CharField(max_length=20, choices=AuthorisationState.choices)
    state_reason = models.CharField(max_length=300, blank=True)
    state_since = models.DateTimeField()
    generation = models.BigIntegerField(default=1)
    authorised_at = models.DateTimeField(help_text="When the person last consented.")
    refreshed_at = models.DateTimeField(null=True, blank=True)
    refresh_begun_at = models.DateTimeField(null=True, blank=True)
    refresh_failures = models.PositiveSmallIntegerField(default=0)
    refresh_not_before = models.DateTimeField(null=True, blank=True)

    objects = SealedQuerySet["Authorisation"].as_manager()

    class Meta:
        ordering: ClassVar = ["-authorised_at"]
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=["ACTIVE", "RECONNECT_NEEDED", "REVOKED"]), name="authorisation_state_known"
            ),
            models.UniqueConstraint(
                fields=["person", "venue", "api_base", "account_uid"],
                condition=Q(state__in=["ACTIVE", "RECONNECT_NEEDED"]),
                name="authorisation_one_living_per_account",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_name} at {self.get_venue_display()}"

    @property
    def key_name(self) -> str:
        """What stands for a key's name in connections that use it: the same account, the same name."""
        return f"oauth:{self.account_uid}"


class AuthorisationRequest(models.Model):
    """A person on the way to the venue's consent page: the `state` they must come back with, and its verifier.

    Only the SHA-256 of the state is kept. Good once, for the person it was made for, until `expires_at`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state_hash = models.CharField(max_length=64, unique=True)
    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    venue = models.CharField(max_length=20, choices=VenueChoice.choices)
    api_base = models.CharField(max_length=200)
    scopes = models.JSONField(default=list)
    verifier = EncryptedTextField(editable=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    objects = SealedQuerySet["AuthorisationRequest"].as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.venue} for {self.person_id}"


class ConnectionQuerySet(SealedQuerySet["Connection"]):
    def active(self) -> "ConnectionQuerySet":
        """Those in use: they may place orders where their venue takes them, or are only read."""
        return self.filter(is_active=True)


class Connection(models.Model):
    """One authorised link of a desk to one venue. Venue, environment and address never change: make another one.

    An inactive connection places no order; its orders can still be read and cancelled. One to a read-only venue places
    none either, active or not.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=50, unique=True)
    name = models.CharField(max_length=80)
    desk = models.ForeignKey("accounts.Desk", on_delete=models.PROTECT, related_name="connections")
    venue = models.CharField(max_length=20, choices=VenueChoice.choices, default=VenueChoice.COINBASE)
    environment = models.CharField(max_length=10, choices=EnvironmentChoice.choices)
    api_base = models.CharField(
        "address", max_length=200, help_text="The origin of the venue's API, such as https://api.coinbase.com."
    )
    key_name = models.CharField(max_length=200, blank=True, help_text="The venue's name of the key; no secret.")
    secret = EncryptedTextField(blank=True, editable=False, help_text="The private key. Written, never shown.")
    secret_fingerprint = models.CharField(max_length=8, blank=True, editable=False)
    authorisation = models.ForeignKey(
        Authorisation,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="connections",
        help_text="In place of a key: what a person let Aika do by OAuth.",
    )
    is_active = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    verified_at = models.DateTimeField(
        null=True, blank=True, help_text="When the venue last said that the key may trade and may not transfer."
    )
    deactivated_at = models.DateTimeField(null=True, blank=True)
    deactivated_reason = models.CharField(max_length=200, blank=True)
    fee_taker = ExactDecimalField(null=True, blank=True, help_text="Fraction of notional.")
    fee_maker = ExactDecimalField(null=True, blank=True, help_text="Fraction of notional.")
    fees_as_of = models.DateTimeField(null=True, blank=True)
    instruments_as_of = models.DateTimeField(null=True, blank=True)
    balances_as_of = models.DateTimeField(null=True, blank=True)

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]
        default_permissions = ("add", "change", "view")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(environment__in=[item.value for item in Environment]), name="connection_environment_known"
            ),
            models.CheckConstraint(
                condition=Q(venue__in=[item.value for item in Venue]), name="connection_venue_known"
            ),
            models.CheckConstraint(
                condition=Q(is_active=False) | Q(deactivated_at__isnull=True), name="connection_deactivated_is_inactive"
            ),
            models.CheckConstraint(
                condition=Q(is_active=False) | ~Q(environment=Environment.LIVE.value) | Q(verified_at__isnull=False),
                name="connection_live_is_verified",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.environment})"

    @property
    def is_live(self) -> bool:
        """Anything but the word paper counts as live."""
        return self.environment != Environment.PAPER.value

    @property
    def places_orders(self) -> bool:
        """Whether Aika ever sends an order to its venue. A venue nobody knows takes none."""
        return self.venue in set(Venue) and Venue(self.venue).places_orders

    @property
    def tells_orders(self) -> bool:
        """Whether its venue tells of our orders over a socket: with a key; no bearer of OAuth's is taken there."""
        return self.places_orders and self.authorisation_id is None

    @property
    def trading_words(self) -> str:
        """What Aika does at its venue, for pages and answers."""
        return Venue(self.venue).trading_words if self.venue in set(Venue) else "There is no connector for this venue."

    @property
    def environment_words(self) -> str:
        """`paper: no money moves` or `live: real money`, for pages."""
        return dict(EnvironmentChoice.choices).get(self.environment, f"unknown: {self.environment}")


class ConnectionGrant(models.Model):
    """An API key may propose on this connection. Without a row it may not."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="grants")
    api_key = models.ForeignKey("accounts.ApiKey", on_delete=models.PROTECT, related_name="connection_grants")
    granted_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-granted_at"]
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["connection", "api_key"], name="connection_grant_once"),
        ]

    def __str__(self) -> str:
        return f"{self.api_key_id} on {self.connection_id}"


class Instrument(models.Model):
    """What a connection's venue trades, as last read. Steps and bounds as in `types.InstrumentSpec`."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="instruments")
    code = models.CharField(max_length=40)
    base_currency = models.CharField(max_length=20)
    quote_currency = models.CharField(max_length=20)
    price_increment = ExactDecimalField()
    quantity_increment = ExactDecimalField()
    quote_increment = ExactDecimalField()
    min_quantity = ExactDecimalField()
    max_quantity = ExactDecimalField()
    min_notional = ExactDecimalField()
    max_notional = ExactDecimalField()
    tradable = models.BooleanField()
    cancel_only = models.BooleanField()
    limit_only = models.BooleanField()
    post_only = models.BooleanField()
    fetched_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["code"]
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["connection", "code"], name="instrument_once_per_connection"),
        ]

    def __str__(self) -> str:
        return self.code

    def as_spec(self) -> InstrumentSpec:
        """The row as the value the rest of Aika works with."""
        return InstrumentSpec(
            code=self.code,
            base_currency=self.base_currency,
            quote_currency=self.quote_currency,
            price_increment=self.price_increment,
            quantity_increment=self.quantity_increment,
            quote_increment=self.quote_increment,
            min_quantity=self.min_quantity,
            max_quantity=self.max_quantity,
            min_notional=self.min_notional,
            max_notional=self.max_notional,
            tradable=self.tradable,
            cancel_only=self.cancel_only,
            limit_only=self.limit_only,
            post_only=self.post_only,
            fetched_at=self.fetched_at,
        )


class BalanceRecord(models.Model):
    """What the venue says is there, per currency, at `as_of`."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="balances")
    currency = models.CharField(max_length=20)
    available = ExactDecimalField()
    held = ExactDecimalField()
    as_of = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["currency"]
        default_permissions = ("view",)
        verbose_name = "balance"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["connection", "currency"], name="balance_once_per_currency"),
        ]

    def __str__(self) -> str:
        return self.currency


class ConnectorCheck(models.Model):
    """The answers of one run of `manage.py connector_check`: what this venue really does with this key."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="checks")
    ran_at = models.DateTimeField()
    answers = models.JSONField()

    class Meta:
        ordering: ClassVar = ["-ran_at"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.connection_id} {self.ran_at:%Y-%m-%d %H:%M}"


class Lease(models.Model):
    """The right to do one thing alone for a while, such as listening to one venue's socket; whoever holds it renews it.

    `until` is when it may be taken by somebody else; `fence` grows with every change of hands.
    """

    name = models.CharField(max_length=120, primary_key=True)
    holder = models.CharField(max_length=120, blank=True)
    until = models.DateTimeField()
    fence = models.BigIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["name"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.name
