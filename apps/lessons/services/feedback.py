"""What people say of a recalled case: useful, or not similar. The last word of each person stands."""

from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db import transaction

from apps.accounts.selectors import desks_read_by
from apps.accounts.services.people import actor_of
from apps.audit.services import events
from apps.common.errors import Invalid, NotFound
from apps.lessons.models import RecallFeedback, RecallItem
from apps.lessons.services.ownership import check_not_own
from apps.lessons.types import FeedbackVerdict

if TYPE_CHECKING:
    from apps.accounts.models import User

REASON_CHARS_MAX: Final = 300


def say(
    *,
    item_id: UUID,
    person: "User",
    verdict: FeedbackVerdict,
    reason: str = "",
    proposal_id: UUID | None = None,
    now: datetime,
) -> RecallFeedback:
    """Keep what this person says of one recalled case; saying the same again changes nothing.

    Raises NotFound RECALL_UNKNOWN for what was recalled at another desk, or beside another proposal than `proposal_id`
    where that is given, Invalid REASON_TOO_LONG, and Forbidden LESSON_OWN for "not similar" by who may not review the
    lesson because the trade, or one it was held against, is theirs: what nobody finds similar is shown to fewer people
    in the end.
    """
    if len(reason) > REASON_CHARS_MAX:
        raise Invalid(
            "REASON_TOO_LONG",
            f"reason has more than {REASON_CHARS_MAX} characters.",
            fix="Shorten it.",
            field="reason",
        )
    with transaction.atomic():
        item = (
            RecallItem.objects.select_for_update(of=("self",))
            .select_related("recall", "case")
            .filter(pk=item_id, recall__desk__in=desks_read_by(person.pk), recall__withheld=False)
            .first()
        )
        if item is None or (proposal_id is not None and item.recall.proposal_id != proposal_id):
            raise _unknown()
        if verdict == FeedbackVerdict.NOT_SIMILAR:
            check_not_own(item.case, person, now=now)
        earlier = RecallFeedback.objects.filter(item=item, person=person).first()
        if earlier is not None and (earlier.verdict, earlier.reason) == (verdict.value, reason):
            return earlier
        kept, _ = RecallFeedback.objects.update_or_create(
            item=item, person=person, defaults={"verdict": verdict.value, "reason": reason, "said_at": now}
        )
        events.record(
            stream=f"case:{item.case_id}",
            kind="lesson.feedback",
            actor=actor_of(person),
            subject=str(item.case_id),
            payload={
                "recall": item.recall_id,
                "verdict": verdict.value,
                "reason": reason,
                "before": earlier.verdict if earlier else "",
            },
            now=now,
        )
    return kept


def say_of_lesson(
    *, lesson_id: UUID, recall_id: UUID, person: "User", verdict: FeedbackVerdict, reason: str = "", now: datetime
) -> RecallFeedback:
    """As `say`, of a lesson in the answer of one recall. Raises NotFound RECALL_UNKNOWN where it was not in it."""
    items = RecallItem.objects.filter(case__lesson=lesson_id, recall=recall_id)
    found = items.values_list("pk", flat=True).first()
    if found is None:
        raise _unknown()
    return say(item_id=found, person=person, verdict=verdict, reason=reason, now=now)


def _unknown() -> NotFound:
    return NotFound("RECALL_UNKNOWN", "This lesson was not among what was recalled at your desk.", field="recall_id")
