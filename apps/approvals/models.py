"""What people said of a proposal."""

from uuid import uuid4

from django.db import models
from django.db.models import F, Q


class Vote(models.Model):
    """One person's word on one proposal, with the digest and the price that stood on the page.

    `proposer` and `environment` are copied so that the database itself can hold that nobody approves what they, or
    their key, asked for: but at a desk of one (`desk_of_one`), what their key asked for on paper.
    `quote` are the signed fields of the price seen: instrument, bid, ask, received_at.
    """

    class Verb(models.TextChoices):
        APPROVE = "APPROVE", "Approve"
        DECLINE = "DECLINE", "Decline"
        REVOKE = "REVOKE", "Revoke"

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    proposal = models.ForeignKey("trades.Proposal", on_delete=models.PROTECT, related_name="+")
    approver = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    proposer = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    environment = models.CharField(max_length=10, help_text="Paper or live, as the connection is.")
    desk_of_one = models.BooleanField(
        default=False, help_text="On what an own key asked for: nobody else looked at it."
    )
    verb = models.CharField(max_length=8, choices=Verb.choices)
    digest = models.CharField(max_length=64)
    policy_version = models.ForeignKey("policies.PolicyVersion", on_delete=models.PROTECT, related_name="+")
    quote = models.JSONField(default=dict)
    comment = models.TextField(blank=True)
    difference = models.TextField(blank=True, help_text="What is different this time, where similar trades lost.")
    second_factor = models.CharField(
        max_length=40, blank=True, help_text="Shown for this vote: its kind and a fingerprint. Empty: none was."
    )
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        ordering = ("created_at",)
        indexes = (
            models.Index(fields=["created_at", "id"], name="vote_recent"),
            models.Index(fields=["verb", "created_at"], name="vote_verb_recent"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("proposal", "approver", "verb", "policy_version"), name="vote_once_per_person_and_policy"
            ),
            models.CheckConstraint(
                condition=Q(verb="DECLINE") | ~Q(approver=F("proposer")) | Q(desk_of_one=True, environment="paper"),
                name="vote_approver_is_not_proposer",
            ),
        )

    def __str__(self) -> str:
        return f"{self.verb} by {self.approver_id}"
