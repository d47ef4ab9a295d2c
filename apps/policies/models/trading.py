"""Whether trading goes on, as rows: the state of everything and of each connection, and what tripped by itself."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from apps.policies.types import LatchKind, State

GLOBAL_SCOPE = "global"
REASON_CHARS_MAX = 500


def _choices(words: type[State] | type[LatchKind]) -> list[tuple[str, str]]:
    return [(word.value, word.value.replace("_", " ").capitalize()) for word in words]


class TradingState(models.Model):
    """Whether trading goes on: one row for everything, and one for each connection that was ever halted by itself.

    The worst of the two counts. Without the row for everything all is halted.
    """

    scope = models.CharField(primary_key=True, max_length=40, help_text='"global", or the id of a connection.')
    connection = models.OneToOneField(
        "connectors.Connection", null=True, blank=True, on_delete=models.PROTECT, related_name="trading_state"
    )
    state = models.CharField(max_length=8, choices=_choices(State))
    reason = models.CharField(max_length=REASON_CHARS_MAX, blank=True)
    changed_by = models.CharField(max_length=200, help_text="The name of who or what changed it last.")
    changed_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["scope"]
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=[state.value for state in State]), name="trading_state_known"),
            models.CheckConstraint(
                condition=Q(scope=GLOBAL_SCOPE, connection__isnull=True)
                | (~Q(scope=GLOBAL_SCOPE) & Q(connection__isnull=False)),
                name="trading_state_scope",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.state}"


class Latch(models.Model):
    """Something tripped by itself and shut trading, on everything or one connection, until two people reset it.

    `message` says it in words, `evidence` in the texts it went by. A row never goes and, once reset, never changes.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=_choices(LatchKind))
    scope = models.CharField(max_length=40, help_text='"global", or the id of a connection.')
    connection = models.ForeignKey(
        "connectors.Connection", null=True, blank=True, on_delete=models.PROTECT, related_name="latches"
    )
    tripped_at = models.DateTimeField()
    message = models.CharField(max_length=REASON_CHARS_MAX)
    evidence = models.JSONField(default=dict)
    reset_at = models.DateTimeField(null=True, blank=True)
    reset_requester = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reset_seconder = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reset_reason = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["-tripped_at"]
        default_permissions = ("view",)
        verbose_name_plural = "latches"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "scope"], condition=Q(reset_at=None), name="latch_one_open"),
            models.CheckConstraint(condition=Q(kind__in=[kind.value for kind in LatchKind]), name="latch_kind_known"),
            models.CheckConstraint(
                condition=Q(scope=GLOBAL_SCOPE, connection__isnull=True)
                | (~Q(scope=GLOBAL_SCOPE) & Q(connection__isnull=False)),
                name="latch_scope",
            ),
            models.CheckConstraint(
                condition=Q(
                    reset_at__isnull=True, reset_requester__isnull=True, reset_seconder__isnull=True, reset_reason=""
                )
                | (
                    Q(reset_at__isnull=False, reset_requester__isnull=False, reset_seconder__isnull=False)
                    & ~Q(reset_reason="")
                    & ~Q(reset_requester=F("reset_seconder"))
                ),
                name="latch_reset_by_two_people",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.scope}"
