"""What a security key is asked before an approval that needs it."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from apps.accounts.services import step_up
from apps.approvals.services import decide
from apps.trades.services import endings

if TYPE_CHECKING:
    from apps.accounts.models import User


def begin(*, proposal_id: UUID, approver: "User", host: str, now: datetime) -> dict[str, Any]:
    """The options of `navigator.credentials.get` for this person and the stored digest of this proposal.

    Raises NotFound for another desk's, Conflict where it no longer waits, Forbidden for who may not decide it and
    SECOND_FACTOR_MISSING.
    """
    proposal = decide.found(proposal_id, approver)
    decide.require_voter(proposal, approver)
    endings.require_waiting(proposal, now)
    return step_up.begin(person=approver, subject=str(proposal.pk), digest=proposal.digest, host=host, now=now)
