"""Rows of a trade's life. Money-bearing rows are never deleted: the guards of the migrations hold that."""

from datetime import datetime
from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import Q

from apps.common.fields import ExactDecimalField
from apps.connectors.types import Environment
from apps.trades.types import (
    IN_FLIGHT_STATES,
    LIVE_ORDER_STATES,
    WORKING_STATES,
    OrderState,
    ProposalState,
    waiver_words,
)


def _choices(states: type[ProposalState] | type[OrderState]) -> list[tuple[str, str]]:
    return [(state.value, state.value.replace("_", " ").capitalize()) for state in states]


class ProposalQuerySet(models.QuerySet["Proposal"]):
    def waiting(self) -> "ProposalQuerySet":
        """Waiting for people, by state; expiry is by the clock: see `Proposal.expires_at`."""
        return self.filter(state=ProposalState.AWAITING_APPROVAL)


class Proposal(models.Model):
    """A stored intent: frozen terms, who asked, what policy said, where it stands.

    `terms` are the canonical bytes, `digest` their SHA-256. The columns that repeat them serve lists and are compared
    with the bytes before anything is sent. Quantities in base currency, prices and notional in quote currency.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    connection = models.ForeignKey("connectors.Connection", on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=20, choices=_choices(ProposalState))
    proposer = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    api_key = models.ForeignKey("accounts.ApiKey", null=True, on_delete=models.PROTECT, related_name="+")
    supersedes = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="superseded_by")

    terms = models.BinaryField()
    digest = models.CharField(max_length=64)
    client_order_id = models.UUIDField(unique=True)
    request_body = models.BinaryField()
    request_digest = models.CharField(max_length=64)

    instrument = models.CharField(max_length=40)
    base_currency = models.CharField(max_length=12)
    quote_currency = models.CharField(max_length=12)
    side = models.CharField(max_length=4)
    order_type = models.CharField(max_length=12)
    time_in_force = models.CharField(max_length=4)
    quantity = ExactDecimalField(null=True)
    quote_quantity = ExactDecimalField(null=True)
    limit_price = ExactDecimalField(null=True)
    stop_price = ExactDecimalField(null=True)
    not_after = models.DateTimeField()

    decision = models.ForeignKey("policies.Decision", on_delete=models.PROTECT, related_name="+")
    notional = ExactDecimalField(null=True)
    worst_price = ExactDecimalField(null=True)
    needed = models.PositiveSmallIntegerField(default=0)
    roles = models.JSONField(default=list)
    reference_bid = ExactDecimalField(null=True)
    reference_ask = ExactDecimalField(null=True)
    reference_at = models.DateTimeField(null=True)

    rationale = models.TextField(blank=True)
    confidence = ExactDecimalField(null=True)
    tags = models.JSONField(default=list)
    principal_key = models.CharField(max_length=80)
    idempotency_key = models.CharField(max_length=255, blank=True)

    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end_code = models.CharField(max_length=60, blank=True)
    end_reason = models.TextField(blank=True)

    # Not stored: whether the desk remembered anything when this was judged just now; None where nobody looked.
    desk_remembers: bool | None = None

    objects: ClassVar[models.Manager["Proposal"]] = ProposalQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("principal_key", "idempotency_key"),
                condition=~Q(idempotency_key=""),
                name="proposal_once_per_idempotency_key",
            ),
            models.CheckConstraint(
                condition=Q(quantity__isnull=True, quote_quantity__isnull=False)
                | Q(quantity__isnull=False, quote_quantity__isnull=True),
                name="proposal_has_one_size",
            ),
        )
        indexes = (
            models.Index(fields=("state", "expires_at"), name="proposal_state_expiry"),
            # With what a proposer's record counts: it reads no row.
            models.Index(fields=("proposer", "-created_at", "api_key", "state"), name="proposal_proposer_record"),
            models.Index(fields=("connection", "-created_at"), name="proposal_connection_recent"),
            models.Index(fields=("connection", "state", "-created_at"), name="proposal_state_recent"),
            models.Index(fields=["created_at", "id"], name="proposal_recent"),
            models.Index(fields=["ended_at"], name="proposal_ended"),
            models.Index(fields=["order_type", "created_at"], name="proposal_type_recent"),
            models.Index(fields=["side", "created_at"], name="proposal_side_recent"),
            models.Index(fields=["instrument"], name="proposal_instrument", opclasses=["varchar_pattern_ops"]),
        )

    def __str__(self) -> str:
        return f"{self.label} {self.side} {self.instrument}"

    @property
    def label(self) -> str:
        """The short name people read: the head of the id."""
        return f"P-{self.id.hex[:8]}"


class Authority(models.Model):
    """The right to send one order: written when a quorum completes, read by the claim, never changed.

    `approvers` are the ids of the people whose approvals made the quorum; the claim asks `accounts` whether each is
    still active and in a role. Nobody is needed (`needed` 0, no approvers) only where policy waived the approval, which
    the database allows on paper alone. `seen_price` is the price (quote currency) on the side that would trade, as the
    last approver saw it, or policy where nobody was asked.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    proposal = models.OneToOneField(Proposal, on_delete=models.PROTECT, related_name="authority")
    digest = models.CharField(max_length=64)
    request_digest = models.CharField(max_length=64)
    environment = models.CharField(max_length=10, help_text="Paper or live, as the connection is.")
    decision = models.ForeignKey("policies.Decision", on_delete=models.PROTECT, related_name="+")
    policy_version = models.ForeignKey("policies.PolicyVersion", on_delete=models.PROTECT, related_name="+")
    needed = models.PositiveSmallIntegerField()
    roles = models.JSONField()
    approvers = models.JSONField()
    reference_mid = ExactDecimalField()
    seen_price = ExactDecimalField()
    seen_at = models.DateTimeField()
    valid_until = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        indexes = (
            models.Index(fields=["created_at", "id"], name="authority_recent"),
            models.Index(fields=["digest"], name="authority_digest"),
        )
        default_permissions = ("view",)
        verbose_name_plural = "authorities"
        constraints = (
            models.CheckConstraint(
                condition=Q(needed__gte=1) | Q(environment=Environment.PAPER.value),
                name="authority_waived_on_paper_only",
            ),
        )

    def __str__(self) -> str:
        return f"Authority for {self.proposal_id}"

    @property
    def waiver(self) -> str:
        """That no person was asked, in words; empty where people approved. Reads `policy_version`."""
        return "" if self.needed else waiver_words(self.policy_version.number)


class OrderQuerySet(models.QuerySet["Order"]):
    def live(self) -> "OrderQuerySet":
        """Orders that still bind money: approved, in flight, unknown or working."""
        return self.filter(state__in=LIVE_ORDER_STATES)

    def initialized(self) -> "OrderQuerySet":
        return self.filter(state=OrderState.INITIALIZED)

    def in_flight(self) -> "OrderQuerySet":
        """Claimed and unconfirmed: sent, maybe sent, or unknown."""
        return self.filter(state__in=IN_FLIGHT_STATES)

    def working(self) -> "OrderQuerySet":
        """Accepted by the venue and not ended there."""
        return self.filter(state__in=WORKING_STATES)

    def to_cancel(self, now: datetime) -> "OrderQuerySet":
        """Working at the venue, to be canceled, and due to be asked for (again)."""
        return self.working().filter(cancel_requested_at__isnull=False, cancel_next_at__lte=now)


class Order(models.Model):
    """An instruction to a venue. `request_body` are the exact bytes the socket gets; `fence` counts claims.

    `reserved_amount` of `reserved_currency` is what the order could still cost when it was approved (fees included).
    Once `cancel_requested_at` is set it stays: an order that may be at the venue is canceled as soon as it is found
    there. `cancel_next_at` is when the venue may be asked (again).
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="orders")
    authority = models.ForeignKey(Authority, on_delete=models.PROTECT, related_name="orders")
    attempt = models.PositiveSmallIntegerField(default=1)
    connection = models.ForeignKey("connectors.Connection", on_delete=models.PROTECT, related_name="+")
    instrument = models.CharField(max_length=40)
    side = models.CharField(max_length=4)
    state = models.CharField(max_length=20, choices=_choices(OrderState))
    client_order_id = models.UUIDField(unique=True)
    request_body = models.BinaryField()
    request_digest = models.CharField(max_length=64)
    venue_order_id = models.CharField(max_length=80, blank=True)

    fence = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(null=True)

    quantity = ExactDecimalField()
    worst_price = ExactDecimalField()
    reserved_currency = models.CharField(max_length=12)
    reserved_amount = ExactDecimalField()
    notional_minor = models.BigIntegerField(help_text="At worst price, reporting currency, in 1e-8, rounded up.")
    filled_quantity = ExactDecimalField(default=0)
    average_fill_price = ExactDecimalField(null=True)
    fees = ExactDecimalField(default=0)
    fee_currency = models.CharField(max_length=12, blank=True)

    created_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    polled_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_requested_by = models.CharField(max_length=200, blank=True)
    cancel_reason = models.TextField(blank=True)
    cancel_attempts = models.PositiveIntegerField(default=0)
    cancel_next_at = models.DateTimeField(null=True)
    reason_code = models.CharField(max_length=80, blank=True)
    reason = models.TextField(blank=True)

    objects: ClassVar[models.Manager["Order"]] = OrderQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(fields=("proposal", "attempt"), name="order_once_per_attempt"),
            models.UniqueConstraint(
                fields=("proposal",),
                condition=Q(state__in=sorted(LIVE_ORDER_STATES)),
                name="order_one_live_per_proposal",
            ),
            models.UniqueConstraint(
                fields=("connection", "venue_order_id"),
                condition=~Q(venue_order_id=""),
                name="order_once_per_venue_order",
            ),
        )
        indexes = (
            models.Index(fields=("state", "created_at"), name="order_state_age"),
            models.Index(fields=("connection", "state"), name="order_connection_state"),
            models.Index(
                fields=("cancel_next_at",), condition=Q(cancel_requested_at__isnull=False), name="order_to_cancel"
            ),
            models.Index(fields=["created_at", "id"], name="order_recent"),
            models.Index(fields=["side", "created_at"], name="order_side_recent"),
            models.Index(fields=["instrument"], name="order_instrument", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["venue_order_id"], name="order_venue_id"),
        )

    def __str__(self) -> str:
        return f"{self.side} {self.instrument} ({self.state})"


class Fill(models.Model):
    """One execution, or the correction of one: `quantity` (base) and `fee` are negative where it takes back."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    connection = models.ForeignKey("connectors.Connection", on_delete=models.PROTECT, related_name="+")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    venue_fill_id = models.CharField(max_length=80)
    trade_id = models.CharField(max_length=80)
    trade_type = models.CharField(max_length=12)
    instrument = models.CharField(max_length=40)
    side = models.CharField(max_length=4)
    quantity = ExactDecimalField()
    price = ExactDecimalField()
    fee = ExactDecimalField()
    fee_currency = models.CharField(max_length=12)
    liquidity = models.CharField(max_length=10, blank=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    recorded_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        ordering = ("-occurred_at",)
        indexes = (
            models.Index(fields=["occurred_at", "id"], name="fill_recent"),
            models.Index(fields=["side", "occurred_at"], name="fill_side_recent"),
            models.Index(fields=["trade_type", "occurred_at"], name="fill_type_recent"),
            models.Index(fields=["instrument"], name="fill_instrument", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["venue_fill_id"], name="fill_venue_id"),
        )
        constraints = (
            models.UniqueConstraint(fields=("connection", "venue_fill_id"), name="fill_once_per_connection"),
        )

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.instrument} at {self.price}"


class Position(models.Model):
    """What Aika bought of an instrument and still holds, derived from fills. Average cost, in quote currency.

    What the venue holds beyond `quantity` came from elsewhere: its cost is unknown, and so is the P&L of selling it.
    `open_fees` were paid for what is still held; `realized_pnl` is after fees and covers known cost only. `opened_at`
    is the first fill since nothing was held, null while nothing is.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    connection = models.ForeignKey("connectors.Connection", on_delete=models.PROTECT, related_name="+")
    instrument = models.CharField(max_length=40)
    base_currency = models.CharField(max_length=12)
    quote_currency = models.CharField(max_length=12)
    quantity = ExactDecimalField(default=0)
    average_entry_price = ExactDecimalField(null=True)
    open_fees = ExactDecimalField(default=0)
    realized_pnl = ExactDecimalField(default=0)
    opened_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        constraints = (models.UniqueConstraint(fields=("connection", "instrument"), name="position_per_instrument"),)

    def __str__(self) -> str:
        return f"{self.quantity} {self.base_currency} on {self.connection_id}"


class Outcome(models.Model):
    """What closing (part of) a position by one order brought, in quote currency. P&L is null where cost is unknown.

    `opened_at` is when the position it closed was opened, not when this part of it was bought: at average cost no part
    has a time of its own. Null where none of what was sold is known to have been bought. `remembered_at` is when it was
    last handed to the memory of closed trades, null while that is to be done (again).
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="outcome")
    connection = models.ForeignKey("connectors.Connection", on_delete=models.PROTECT, related_name="+")
    instrument = models.CharField(max_length=40)
    quote_currency = models.CharField(max_length=12)
    quantity = ExactDecimalField(default=0)
    entry_price = ExactDecimalField(null=True)
    exit_price = ExactDecimalField()
    pnl = ExactDecimalField(null=True)
    loss_minor = models.BigIntegerField(
        default=0, help_text="Minus P&L in quote currency, in 1e-8, rounded up; unknown P&L counts its fees."
    )
    fees = ExactDecimalField(default=0)
    opened_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField()
    remembered_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ("-closed_at",)
        indexes = (
            models.Index(fields=("connection", "closed_at"), name="outcome_connection_closed"),
            models.Index(fields=("closed_at",), condition=Q(remembered_at=None), name="outcome_to_remember"),
            models.Index(fields=["closed_at", "id"], name="outcome_recent"),
            models.Index(fields=["instrument"], name="outcome_instrument", opclasses=["varchar_pattern_ops"]),
        )

    def __str__(self) -> str:
        return f"{self.quantity} {self.instrument} closed at {self.exit_price}"
