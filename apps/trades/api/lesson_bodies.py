"""What may be asked of the memory."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from apps.common.api.bodies import Body, Choice, DecimalText, Flag, InstantText, Integer, Text, Texts, UuidText
from apps.common.api.nested import Object, Objects
from apps.common.errors import Invalid
from apps.connectors.types import Side
from apps.lessons.recall_types import K_DEFAULT, K_MAX, Question
from apps.lessons.types import CaseVerdict, Fact, MistakeTag
from apps.trades.services.recalling import filters_of, tags_of

TEXT_CHARS_MAX = 4_000
FACTS_MAX = 60


class AskedFor(StrEnum):
    """`rank`: the most similar. `policy`: of these, the losses that policy counts."""

    RANK = "rank"
    POLICY = "policy"


class FactBody(Body):
    """One thing that is known of the trade; `value` null where it is not."""

    name = Text(chars_max=40, chars_min=1, required=True)
    value = DecimalText()
    unit = Text(chars_max=20, default="")
    limit = DecimalText()
    violated = Flag(about="Whether the value is beyond the limit.")


class FiltersBody(Body):
    """What the answer is limited to."""

    product = Text(chars_max=40, chars_min=1)
    asset_class = Text(chars_max=20, chars_min=1)
    side = Choice(Side)
    regime = Text(chars_max=20, chars_min=1)
    setup = Text(chars_max=80, chars_min=1)
    verdict = Choice(CaseVerdict)
    tags = Texts(count_max=24, chars_max=20)
    since = InstantText(about="Closed then or later.")
    until = InstantText(about="Closed before.")


class RecallBody(Body):
    """A proposal of one's own, a text, or facts. `question` is another name for `text`."""

    proposal_id = UuidText()
    text = Text(chars_max=TEXT_CHARS_MAX, about="A thesis, or a question in words.")
    question = Text(chars_max=TEXT_CHARS_MAX)
    facts = Objects(FactBody, count_max=FACTS_MAX)
    product = Text(chars_max=40, chars_min=1, about="Ranks trades of the same product higher.")
    asset_class = Text(chars_max=20, chars_min=1)
    side = Choice(Side)
    connection = Text(chars_max=50, chars_min=1, about="Whose desk is meant, where the caller has several.")
    filters = Object(FiltersBody)
    k = Integer(minimum=1, maximum=K_MAX, default=K_DEFAULT)
    purpose = Choice(AskedFor, default=AskedFor.RANK)
    include_wins = Flag(default=True, about="Whether the most similar trade that won is added.")
    explain = Flag(default=False, about="Say what each score is made of.")


def question_of(values: dict[str, Any]) -> Question:
    """The question a body asks. Raises Invalid QUESTION_EMPTY, QUESTION_TWICE, TAG_UNKNOWN."""
    texts = [values[name] for name in ("text", "question") if values[name]]
    if len(texts) > 1:
        raise Invalid("QUESTION_TWICE", "text and question are the same field.", fix="Send one.", field="question")
    if values["proposal_id"] is None and not texts and not values["facts"]:
        raise Invalid(
            "QUESTION_EMPTY",
            "There is nothing to compare with.",
            fix="Send proposal_id, text or facts.",
            field="text",
        )
    facts = tuple(Fact(**one) for one in values["facts"])
    filters = dict(values["filters"] or {})
    if filters.get("tags"):
        filters["tags"] = _tags(filters["tags"])
    return Question(
        text=texts[0] if texts else "",
        product=values["product"] or "",
        asset_class=values["asset_class"] or "",
        side=values["side"] or "",
        facts=facts,
        tags=tags_of(facts),
        filters=filters_of(filters),
        include_wins=values["include_wins"],
        counted_only=values["purpose"] is AskedFor.POLICY,
    )


def _tags(names: Iterable[str]) -> tuple[MistakeTag, ...]:
    known = {tag.value: tag for tag in MistakeTag}
    if unknown := next((name for name in names if name not in known), None):
        raise Invalid(
            "TAG_UNKNOWN",
            "filters.tags names a mistake that is not of the list.",
            fix=f"Known: {', '.join(known)}.",
            field="filters.tags",
            tag=unknown.encode("ascii", "backslashreplace").decode("ascii"),
        )
    return tuple(known[name] for name in names)
