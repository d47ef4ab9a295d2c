"""What people at a decision say of the lessons beside it."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from apps.approvals.services import decide
from apps.common.errors import Forbidden
from apps.lessons.services import feedback
from apps.lessons.types import FeedbackVerdict

if TYPE_CHECKING:
    from apps.accounts.models import User


def rate(*, proposal_id: UUID, item_id: UUID, person: "User", verdict: FeedbackVerdict, now: datetime) -> None:
    """Keep whether a lesson shown beside a proposal is useful or not similar; the last word of each person stands.

    Raises NotFound PROPOSAL_UNKNOWN for another desk's, RECALL_UNKNOWN for what is not beside it, and Forbidden
    LESSON_OWN for "not similar" by whoever asked for the proposal, or leaves the lesson to others anyway.
    """
    proposal = decide.found(proposal_id, person)
    if verdict == FeedbackVerdict.NOT_SIMILAR and proposal.proposer_id == person.pk:
        raise Forbidden(
            "LESSON_OWN",
            "You, or a key of yours, asked for this proposal. Others say what is not similar to it.",
            fix="Ask an approver to look at it.",
        )
    feedback.say(item_id=item_id, person=person, verdict=verdict, proposal_id=proposal_id, now=now)
