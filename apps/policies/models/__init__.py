"""Policy as rows. What left draft, and every decision, is frozen by the database: see the guards in migration 0001."""

import uuid
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from apps.common.errors import Invalid
from apps.common.fields import ExactDecimalField
from apps.policies.models.trading import GLOBAL_SCOPE as GLOBAL_SCOPE
from apps.policies.models.trading import REASON_CHARS_MAX as REASON_CHARS_MAX
from apps.policies.models.trading import Latch as Latch
from apps.policies.models.trading import TradingState as TradingState
from apps.policies.rules import KINDS, build
from apps.policies.rules.budgets import BudgetKey, Dimension, ReservationState
from apps.policies.types import Gate, RuleKind, RuleRow, Verdict, VersionState


class PolicySet(models.Model):
    """The rules of a desk under one name. All sets of a desk judge together: their active rules are joined."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=50, unique=True)
    name = models.CharField(max_length=80)
    desk = models.ForeignKey("accounts.Desk", on_delete=models.PROTECT, related_name="policy_sets")
    created_at = models.DateTimeField(editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        default_permissions = ("add", "change", "view")

    def __str__(self) -> str:
        return self.name


class PolicyVersion(models.Model):
    """One state of a set. A draft can be edited; activating it freezes its rules, and `digest` names exactly those."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    policy_set = models.ForeignKey(PolicySet, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(editable=False)
    state = models.CharField(
        max_length=8,
        choices=[(state.value, state.value.capitalize()) for state in VersionState],
        default=VersionState.DRAFT.value,
        editable=False,
    )
    digest = models.CharField(max_length=64, blank=True, editable=False, help_text="SHA-256 of the frozen rules.")
    note = models.CharField(max_length=500, blank=True, help_text="What changed against the version before, and why.")
    author = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", editable=False)
    created_at = models.DateTimeField(editable=False)
    activated_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+", editable=False
    )
    activated_at = models.DateTimeField(null=True, blank=True, editable=False)
    retired_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["policy_set", "-number"]
        default_permissions = ("add", "change", "view")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["policy_set", "number"], name="policy_version_number"),
            models.UniqueConstraint(
                fields=["policy_set"], condition=Q(state=VersionState.ACTIVE.value), name="policy_one_active_version"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in VersionState]), name="policy_version_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state=VersionState.DRAFT.value, digest="", activated_at=None)
                | (~Q(state=VersionState.DRAFT.value) & ~Q(digest="")),
                name="policy_version_out_of_draft_has_digest",
            ),
            models.CheckConstraint(
                condition=~Q(state=VersionState.ACTIVE.value)
                | Q(activated_at__isnull=False, activated_by__isnull=False, retired_at=None),
                name="policy_version_active_is_signed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.policy_set}, version {self.number}"


class Rule(models.Model):
    """One rule of a version. Parameters are read strictly, by the same code that judges."""

    version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="rules")
    key = models.SlugField(max_length=60, help_text="Its name, kept from version to version, such as max-order.")
    kind = models.CharField(max_length=24, choices=[(kind.value, KINDS[kind].title) for kind in RuleKind])
    params = models.JSONField(default=dict, blank=True, help_text="Names and values; numbers stand in quotes.")
    connection = models.ForeignKey(
        "connectors.Connection", null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="Or any."
    )
    instrument = models.CharField(max_length=40, blank=True, help_text="Such as BTC-USD, or any.")
    side = models.CharField(max_length=4, blank=True, choices=[("BUY", "Buy"), ("SELL", "Sell")], help_text="Or any.")
    proposer = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="Or anybody."
    )
    reason = models.CharField(max_length=200, blank=True, help_text="Why the rule is there.")

    class Meta:
        ordering: ClassVar = ["key"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "key"], name="policy_rule_key"),
            models.CheckConstraint(condition=Q(side__in=["", "BUY", "SELL"]), name="policy_rule_side_known"),
        ]

    def __str__(self) -> str:
        return self.key

    def clean(self) -> None:
        """Refuse parameters the kind cannot read, naming the one at fault."""
        try:
            build(self.as_row())
        except Invalid as error:
            raise ValidationError({"kind" if error.field == "kind" else "params": error.message}) from error

    def as_row(self) -> RuleRow:
        """The rule as the evaluator takes it."""
        return RuleRow(
            key=self.key,
            kind=self.kind,
            params=self.params,
            connection=str(self.connection_id) if self.connection_id else None,
            instrument=self.instrument or None,
            side=self.side or None,
            proposer=str(self.proposer_id) if self.proposer_id else None,
        )


class Decision(models.Model):
    """What policy said once, with everything it went by. `version` is null where no version was active.

    `inputs` and `results` are canonical bytes; the one gives the other again, on any machine: `replay_decisions`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    gate = models.CharField(max_length=8, choices=[(gate.value, gate.value.capitalize()) for gate in Gate])
    subject = models.CharField(max_length=120, help_text="What was judged: the id of a proposal.")
    version = models.ForeignKey(PolicyVersion, null=True, on_delete=models.PROTECT, related_name="decisions")
    inputs = models.BinaryField()
    inputs_digest = models.CharField(max_length=64)
    outcome = models.CharField(
        max_length=14, choices=[(verdict.value, verdict.value.replace("_", " ").capitalize()) for verdict in Verdict]
    )
    results = models.BinaryField()
    evaluator_version = models.PositiveIntegerField()
    decided_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-decided_at"]
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(gate__in=[gate.value for gate in Gate]), name="decision_gate_known"),
            models.CheckConstraint(
                condition=Q(outcome__in=[verdict.value for verdict in Verdict]), name="decision_outcome_known"
            ),
            models.CheckConstraint(
                condition=Q(version__isnull=False) | Q(outcome=Verdict.DENY.value),
                name="decision_without_policy_denies",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["subject", "decided_at"], name="decision_subject"),
            models.Index(fields=["decided_at", "id"], name="decision_recent"),
            models.Index(fields=["outcome", "decided_at"], name="decision_outcome_recent"),
            models.Index(fields=["gate", "decided_at"], name="decision_gate_recent"),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} at {self.gate.lower()} of {self.subject}"


class Budget(models.Model):
    """A sum that orders share and a rule limits, per connection, in 1e-8 of `unit`.

    `reserved_minor` is what open reservations hold, `used_minor` what fills made of them. A limit may be set below what
    is in use: `effective_limit_minor` then stays at what is in use and falls with it, and nothing more is reserved.
    Both are null where no rule limits the sum; it is counted all the same.
    """

    connection = models.ForeignKey("connectors.Connection", on_delete=models.PROTECT, related_name="+")
    dimension = models.CharField(max_length=20, choices=[(kind.value, kind.in_words) for kind in Dimension])
    instrument = models.CharField(max_length=40, blank=True, help_text="Empty: the whole connection.")
    window = models.CharField(max_length=10, blank=True, help_text="A UTC day such as 2026-03-02; empty: no end.")
    unit = models.CharField(max_length=12, help_text="The currency it is counted in.")
    rate = ExactDecimalField(null=True, help_text="Reporting currency per quote currency, when it was last counted.")
    limit_minor = models.BigIntegerField(null=True)
    effective_limit_minor = models.BigIntegerField(null=True)
    reserved_minor = models.BigIntegerField(default=0)
    used_minor = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["connection", "dimension", "instrument", "window", "unit"], name="budget_once"
            ),
            models.CheckConstraint(condition=Q(reserved_minor__gte=0), name="budget_reserved_not_negative"),
            models.CheckConstraint(condition=Q(used_minor__gte=0), name="budget_used_not_negative"),
            models.CheckConstraint(
                condition=Q(limit_minor__isnull=True, effective_limit_minor__isnull=True)
                | Q(
                    limit_minor__isnull=False,
                    effective_limit_minor__isnull=False,
                    effective_limit_minor__gte=F("limit_minor"),
                )
                & Q(effective_limit_minor__gte=F("reserved_minor") + F("used_minor")),
                name="budget_within_effective_limit",
            ),
            models.CheckConstraint(
                condition=Q(dimension__in=[kind.value for kind in Dimension]), name="budget_dimension_known"
            ),
        ]

    def __str__(self) -> str:
        about = " ".join(part for part in (self.instrument, self.window) if part)
        return f"{self.get_dimension_display()} {about} in {self.unit}".replace("  ", " ")

    @property
    def key(self) -> BudgetKey:
        return BudgetKey(Dimension(self.dimension), self.instrument, self.window, self.unit)

    @property
    def in_use_minor(self) -> int:
        return self.reserved_minor + self.used_minor

    @property
    def is_over(self) -> bool:
        """More is in use than the limit allows: it was lowered, or fills cost more than was reserved."""
        return self.limit_minor is not None and self.in_use_minor > self.limit_minor


class Reservation(models.Model):
    """The part of the budgets that one order holds, from its approval to its end. `source` is the order's id."""

    source = models.CharField(max_length=80, unique=True)
    connection = models.ForeignKey("connectors.Connection", on_delete=models.PROTECT, related_name="+")
    rate = ExactDecimalField(help_text="Reporting currency per unit of quote currency when it was held.")
    state = models.CharField(
        max_length=8, choices=[(state.value, state.value.capitalize()) for state in ReservationState]
    )
    held_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=80, blank=True, help_text="What ended it.")

    class Meta:
        ordering: ClassVar = ["-held_at"]
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state=ReservationState.HELD.value, ended_at__isnull=True)
                | Q(
                    state__in=[ReservationState.CONSUMED.value, ReservationState.RELEASED.value],
                    ended_at__isnull=False,
                ),
                name="reservation_ends_once",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["connection", "state"], name="reservation_connection_state"),
            models.Index(fields=["held_at", "id"], name="reservation_recent"),
            models.Index(fields=["state", "held_at"], name="reservation_state_recent"),
        ]

    def __str__(self) -> str:
        return f"{self.state} for {self.source}"


class ReservedAmount(models.Model):
    """What a reservation took of one budget, in 1e-8 of the budget's unit.

    `amount_minor` is what it took; `held_minor` the part that may still be needed; `used_minor` what its fills were
    worth, where the budget counts up. Budgets that count holdings are used by the position, not by single orders.
    """

    reservation = models.ForeignKey(Reservation, on_delete=models.PROTECT, related_name="amounts")
    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="amounts")
    amount_minor = models.BigIntegerField()
    held_minor = models.BigIntegerField()
    used_minor = models.BigIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["budget_id"]
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["reservation", "budget"], name="reserved_once_per_budget"),
            models.CheckConstraint(
                condition=Q(held_minor__gte=0, held_minor__lte=F("amount_minor")), name="reserved_held_within_amount"
            ),
            models.CheckConstraint(condition=Q(used_minor__gte=0), name="reserved_used_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} of {self.budget_id}"
