"""What a voter writes, within its bounds."""

from typing import Final

from apps.common.errors import Invalid
from apps.policies.types import Tier

COMMENT_CHARS_MAX: Final = 2_000
DIFFERENCE_CHARS_MIN: Final = 20


def check_comment(comment: str) -> None:
    """Raises Invalid COMMENT_TOO_LONG, TEXT_WITH_NUL."""
    if len(comment) > COMMENT_CHARS_MAX:
        raise Invalid(
            "COMMENT_TOO_LONG", f"At most {COMMENT_CHARS_MAX} characters.", fix="Shorten it.", field="comment"
        )
    if "\x00" in comment:
        raise Invalid("TEXT_WITH_NUL", "The comment holds a NUL character.", fix="Remove it.", field="comment")


def check_difference(difference: str, *, tier: Tier | None = None) -> None:
    """What is different this time. Where the tier asks for it, it is needed: a sentence, not a word. Raises Invalid
    DIFFERENCE_REQUIRED, DIFFERENCE_TOO_LONG, TEXT_WITH_NUL."""
    field = "difference"
    if len(difference) > COMMENT_CHARS_MAX:
        raise Invalid("DIFFERENCE_TOO_LONG", f"At most {COMMENT_CHARS_MAX} characters.", fix="Shorten it.", field=field)
    if "\x00" in difference:
        raise Invalid("TEXT_WITH_NUL", "The text holds a NUL character.", fix="Remove it.", field=field)
    if tier is not None and tier.difference and len(difference.strip()) < DIFFERENCE_CHARS_MIN:
        raise Invalid(
            "DIFFERENCE_REQUIRED",
            "Trades like this one lost more often than the others.",
            fix=f"Write what is different this time, in at least {DIFFERENCE_CHARS_MIN} characters.",
            field=field,
        )
