"""What answers about decisions look like."""

from apps.approvals.models import Vote as VoteRow
from apps.common.api.bodies import Field, Ref, Schema
from apps.common.api.shapes import Count, Instant, Many, Number, Part, Shape, Uuid, Words, YesNo
from apps.trades.types import ProposalState


class Verb(Field):
    """What a person said."""

    def schema(self, ref: Ref) -> Schema:
        return {"type": "string", "enum": list(VoteRow.Verb.values)}


class Vote(Shape):
    """What one person said."""

    verb = Verb()
    approver = Words()
    comment = Words()
    difference = Words(about="What is different this time, where similar trades lost.")
    policy_version = Uuid()
    created_at = Instant()


class ProposalStory(Shape):
    """A proposal with all that followed from it. Poll it until `order` is closed."""

    extends = "Proposal"
    votes = Many(Vote)
    order = Part("Order", nullable=True)
    fills = Many("Fill")
    outcome = Part("Outcome", nullable=True)
    lessons = Part("RecallAnswer", nullable=True, about="As they were answered beside it when it was proposed.")


class Waiting(Shape):
    """A proposal that waits for the person who asks."""

    extends = "Proposal"
    asked_by = Words()
    approvals = Count()
    needed = Count()
    roles = Many(Words())


class Queue(Shape):
    items = Many(Waiting)


class BallotVote(Shape):
    """What a vote must carry back, exactly."""

    digest = Words()
    signed_quote = Words()
    policy_version = Words()
    tier = Words()


class Ballot(Shape):
    """A proposal judged now. `vote` is null where there is nothing to approve; `may_vote` is about this person."""

    proposal = Part("Proposal")
    asked_by = Words()
    now = Part("Evaluation")
    quote = Part("Quote", nullable=True)
    drift_bps = Number(nullable=True, about="How far the middle moved since it was asked.")
    approvals = Count()
    needed = Count()
    votes = Many(Vote)
    may_vote = YesNo()
    vote = Part(BallotVote, nullable=True)


class KeyChallenge(Shape):
    """The options of `navigator.credentials.get`, as JSON text."""

    options = Words()


class VoteResult(Shape):
    """What the vote did. `order_id` is there where it was the last one needed."""

    proposal_id = Uuid()
    state = Words(ProposalState)
    approvals = Count()
    needed = Count()
    order_id = Uuid(nullable=True)
