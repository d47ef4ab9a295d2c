"""The first promise: no approval, no order. Who voted in which role is noted while they vote, and what the policy of
then asked for is read from its rows, so that nothing here rests on what the authority says of itself."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis.stateful import invariant

from apps.accounts.models import User
from apps.approvals.models import Vote
from apps.common import canonical, faults
from apps.common import fault_places as places
from apps.common.money import from_minor
from apps.policies.models import Rule
from apps.policies.types import Gate, RuleKind, Verdict
from apps.trades.models import Authority, Order
from tests.scenarios.venue_words import VenueWords

Hook = Callable[[str], None]


def roles_now(person: UUID) -> frozenset[str]:
    """The roles somebody acts in; none for whom there is no more."""
    found = User.objects.filter(pk=person, is_active=True).values_list("groups__name", flat=True)
    return frozenset(name for name in found if name)


def tier_of_rows(version: UUID, notional: Decimal) -> dict[str, Any]:
    """What a policy version asks for by its rows: the first tier that a worth is within."""
    (rule,) = Rule.objects.filter(version=version, kind=RuleKind.APPROVALS_REQUIRED)
    tiers = sorted(rule.params["tiers"], key=lambda tier: Decimal(tier.get("up_to", "Infinity")))
    return next({**rule.params, **tier} for tier in tiers if notional <= Decimal(tier.get("up_to", "Infinity")))


class Quorums(VenueWords):
    """Looks at each place of the way of an order, whatever a step does there besides."""

    def __init__(self) -> None:
        super().__init__()
        # Who voted, by vote: the roles they acted in when they did.
        self.roles_of_votes: dict[UUID, frozenset[str]] = {}
        self.own_votes: list[str] = []
        self.seen_bodies = 0

    def listen(self, hook: Hook | None = None) -> None:
        """From now on the promises look at each place, and after them this hook of a step."""

        def tell(label: str) -> None:
            self.at_a_place(label)
            if hook is not None:
                hook(label)

        faults.install(tell)

    def at_a_place(self, label: str) -> None:
        if label == places.VOTE.after:
            self.note_votes()

    def note_votes(self) -> None:
        new = Vote.objects.select_related("proposal__api_key").exclude(pk__in=self.roles_of_votes)
        for vote in new:
            self.roles_of_votes[vote.pk] = roles_now(vote.approver_id)
            key = vote.proposal.api_key
            asked = {vote.proposal.proposer_id, key.owner_id if key else None}
            if vote.verb != Vote.Verb.DECLINE and vote.approver_id in asked:
                self.own_votes.append(str(vote))

    @invariant()
    def nobody_approves_what_they_or_their_key_asked_for(self) -> None:
        """6: whatever came of it."""
        self.note_votes()
        assert not self.own_votes, f"who asked has voted: {self.own_votes}"

    @invariant()
    def every_order_at_the_venue_was_approved_by_enough_others(self) -> None:
        """1, 6, 7: of each request that came off the socket since the last look."""
        self.note_votes()
        bodies = self.bodies()
        for body in bodies[self.seen_bodies :]:
            name = json.loads(body)["client_order_id"]
            order = Order.objects.select_related("authority__decision", "proposal").get(client_order_id=name)
            authority, proposal = order.authority, order.proposal
            assert body == bytes(proposal.request_body) == bytes(order.request_body)
            assert canonical.digest(bytes(proposal.terms)) == proposal.digest == authority.digest
            # 8: it left while the approval stood.
            assert order.submitted_at is not None and order.submitted_at < authority.valid_until
            self.as_many_as_the_tier_says(order, authority)
            self.all_of_them_voted(order, authority)
        self.seen_bodies = len(bodies)

    def as_many_as_the_tier_says(self, order: Order, authority: Authority) -> None:
        """The authority repeats what was decided, and that is no less than the rows of the policy say."""
        decision = authority.decision
        tier = canonical.decode(bytes(decision.results))["tier"]
        asked = tier_of_rows(authority.policy_version_id, from_minor(order.notional_minor))
        about = (decision.gate, decision.subject, decision.version_id, decision.outcome)
        wanted = (Gate.APPROVAL, str(order.proposal_id), authority.policy_version_id, Verdict.NEEDS_APPROVAL)
        assert about == wanted
        assert authority.needed == int(tier["needed"]) >= int(asked["needed"]) >= 1, (authority.needed, tier, asked)
        assert set(authority.roles) == set(tier["roles"]) <= set(asked["roles"]), (authority.roles, tier, asked)
        assert len(set(authority.approvers)) >= int(tier["needed"]), authority.approvers

    def all_of_them_voted(self, order: Order, authority: Authority) -> None:
        """Each whom it counts said yes to these bytes under this policy, in a role that the tier names, is not who
        asked, and took nothing back before it was claimed. And nobody said no."""
        assert order.submitted_at is not None
        votes = list(Vote.objects.filter(proposal=order.proposal_id, created_at__lte=order.submitted_at))
        under_it = [vote for vote in votes if vote.policy_version_id == authority.policy_version_id]
        voted = {
            str(v.approver_id): v for v in under_it if v.verb == Vote.Verb.APPROVE and v.digest == authority.digest
        }
        back = {str(vote.approver_id) for vote in under_it if vote.verb == Vote.Verb.REVOKE}
        assert not [vote for vote in votes if vote.verb == Vote.Verb.DECLINE], "somebody said no"
        assert str(order.proposal.proposer_id) not in {*voted, *authority.approvers}, "who asked counts as approver"
        for person in authority.approvers:
            assert person in voted, "counted, and no vote of theirs"
            assert person not in back, "counted, and taken back before the claim"
            assert self.roles_of_votes[voted[person].pk] & set(authority.roles), "counted, and not in the role"
