"""What people may say of lessons."""

from apps.common.api.bodies import Body, Choice, Integer, Text, Texts, UuidText
from apps.lessons.services.feedback import REASON_CHARS_MAX
from apps.lessons.services.reviews import TEXT_CHARS_MAX
from apps.lessons.types import CaseVerdict, FeedbackVerdict


class ReviewBody(Body):
    """What it was. Fields and tags that are left out stay as they are; `version` is the one that was looked at."""

    version = Integer(minimum=1, maximum=1_000_000, required=True)
    confirm_tags = Texts(count_max=24, chars_max=20)
    dispute_tags = Texts(count_max=24, chars_max=20)
    add_tags = Texts(count_max=24, chars_max=20)
    cause = Text(chars_max=TEXT_CHARS_MAX)
    next_time = Text(chars_max=TEXT_CHARS_MAX, about="What to do next time, as a rule.")
    verdict = Choice(CaseVerdict)
    note = Text(chars_max=TEXT_CHARS_MAX, default="")


class FeedbackBody(Body):
    """Whether a recalled lesson was useful."""

    verdict = Choice(FeedbackVerdict, required=True)
    recall_id = UuidText(required=True, about="The answer in which the lesson was recalled.")
    reason = Text(chars_max=REASON_CHARS_MAX, default="")
