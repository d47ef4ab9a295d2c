"""What a proposer may say about a proposal."""

from decimal import Decimal
from typing import Final

from apps.common.errors import Invalid
from apps.trades.types import Narrative

RATIONALE_CHARS_MAX: Final = 4_000
TAGS_MAX: Final = 20
TAG_CHARS_MAX: Final = 40
SETUP_CHARS_MAX: Final = 80


def check_narrative(narrative: Narrative) -> None:
    """Raises Invalid for a text, a tag, a confidence or a planned price beyond its bounds."""
    if len(narrative.rationale) > RATIONALE_CHARS_MAX:
        raise Invalid(
            "RATIONALE_TOO_LONG",
            f"rationale has more than {RATIONALE_CHARS_MAX} characters.",
            fix="Shorten it; people read it at night.",
            field="rationale",
        )
    if len(narrative.tags) > TAGS_MAX or any(not tag or len(tag) > TAG_CHARS_MAX for tag in narrative.tags):
        raise Invalid(
            "TAGS_OUT_OF_RANGE",
            f"At most {TAGS_MAX} tags of 1 to {TAG_CHARS_MAX} characters.",
            fix="Send fewer or shorter tags.",
            field="tags",
        )
    if narrative.confidence is not None and not Decimal(0) <= narrative.confidence <= Decimal(1):
        raise Invalid(
            "CONFIDENCE_OUT_OF_RANGE",
            "confidence must be from 0 to 1.",
            fix='Send a text such as "0.8".',
            field="confidence",
        )
    if len(narrative.setup) > SETUP_CHARS_MAX:
        raise Invalid(
            "SETUP_TOO_LONG", f"setup has more than {SETUP_CHARS_MAX} characters.", fix="Shorten it.", field="setup"
        )
    for field in ("stop", "target"):
        price = getattr(narrative, field)
        if price is not None and price <= 0:
            raise Invalid(
                "NOT_POSITIVE",
                f"planned_{field} must be above 0.",
                fix="Send a price, or leave it out.",
                field=f"planned_{field}",
            )
