"""What answers about lessons look like."""

from apps.common.api.shapes import Count, Fact, Instant, Many, Number, Shape, Uuid, Words, YesNo
from apps.lessons.types import CaseVerdict, FeedbackVerdict, Result, ReviewState, TagSource


class LessonTag(Shape):
    """A mistake, and who says so. It counts where a rule over facts found it or a person confirmed it."""

    tag = Words()
    source = Words(TagSource)
    counts = YesNo()
    disputed = YesNo()
    because = Words()


class Lesson(Shape):
    """What a lost trade teaches. `version` is what a review must carry back."""

    id = Uuid()
    case_id = Uuid()
    state = Words(ReviewState)
    version = Count()
    severity = Number(about="From 0 to 1; never falls as the loss grows.")
    cause = Words()
    next_time = Words()
    reviewed_by = Words()
    reviewed_at = Instant(nullable=True)
    review_note = Words()
    superseded_by = Uuid(nullable=True)
    trade_id = Words()
    proposal_id = Uuid(nullable=True)
    result = Words(Result)
    verdict = Words(CaseVerdict)
    counts = YesNo()
    proposed = Words(about="What one reviewer would take out of the evidence; it counts until another one confirms it.")
    product = Words()
    side = Words()
    quantity = Number()
    entry_price = Number(nullable=True)
    exit_price = Number()
    pnl = Number(nullable=True)
    fees = Number()
    currency = Words()
    r_multiple = Number(nullable=True)
    summary = Words()
    thesis = Words()
    tags = Many(LessonTag)
    facts = Many(Fact)
    opened_at = Instant(nullable=True)
    closed_at = Instant()


class Feedback(Shape):
    """What this person has said of the lesson in that answer."""

    item_id = Uuid()
    verdict = Words(FeedbackVerdict)
    reason = Words()
    said_at = Instant()
