"""What came of showing lessons to people: for how many proposals, and what was said of each."""

from django.db.models import Count, F, Q
from django.db.models.functions import Coalesce

from apps.lessons.models import RecallFeedback, RecallItem
from apps.lessons.rules.resting import Tried
from apps.lessons.types import STANDING, FeedbackVerdict, RecallPurpose


def tried_lessons() -> list[Tried]:
    """Lessons that are shown and that somebody called not similar, since they were last woken.

    Whoever asked for the trade it is of has no say in that it goes; what they find useful keeps it.
    """
    dismissed = RecallFeedback.objects.filter(verdict=FeedbackVerdict.NOT_SIMILAR).order_by()
    since_woken = Q(case__lesson__woken_at=None) | Q(recall__asked_at__gt=F("case__lesson__woken_at"))
    by_others = Q(case__proposer_id=None) | ~Q(feedback__person_id=F("case__proposer_id"))
    rows = (
        RecallItem.objects.filter(
            since_woken,
            case__in=dismissed.values("item__case"),
            case__lesson__state__in=STANDING,
            case__lesson__rests_since=None,
            recall__withheld=False,
            counter_example=False,
        )
        .exclude(recall__purpose=RecallPurpose.POLICY)
        .order_by()
        .values("case__lesson")
        .annotate(
            shown=Count(Coalesce("recall__proposal_id", "recall_id"), distinct=True),
            useful=Count("feedback", distinct=True, filter=Q(feedback__verdict=FeedbackVerdict.USEFUL)),
            dismissed=Count(
                "feedback", distinct=True, filter=Q(by_others, feedback__verdict=FeedbackVerdict.NOT_SIMILAR)
            ),
        )
    )
    return [
        Tried(lesson=row["case__lesson"], shown=row["shown"], useful=row["useful"], dismissed=row["dismissed"])
        for row in rows
    ]
