"""The lessons beside a decision in words: what is the same here, what it cost, how similar it is, what to do next time.

Nothing here decides anything: whatever goes wrong on the way is logged, and the page says that the memory is away.
"""

import logging
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from apps.accounts.selectors import desks_of
from apps.approvals.selectors.page_gather import Gathered
from apps.approvals.selectors.page_values import LessonLine, Lessons, Tile
from apps.common import words
from apps.common.decimals import decimal_text
from apps.lessons.recall_types import SURE, RecallAnswer, Remembered
from apps.lessons.rules.detectors import BY_NAME
from apps.lessons.rules.mistakes import tags_of
from apps.lessons.types import Evidence, Fact, ReviewState
from apps.trades.services.recalling import Shown
from apps.trades.types import ExitReason

if TYPE_CHECKING:
    from apps.trades.models import Proposal

Recall = Callable[["Proposal", bool], Shown]
"""Asks the memory for a proposal that is open, or closed."""

# Each fact as it reads where it is beyond its limit.
BROKEN: Final[Mapping[str, str]] = {
    "stop_distance_atr": "the stop is very close",
    "has_planned_stop": "no stop in the plan",
    "reward_to_risk": "less to gain than to lose",
    "costs_of_target": "fees eat the target",
    "size_of_limit": "larger than the largest order allowed",
    "size_of_median": "much larger than usual",
    "adds_to_loser": "adds to a position that loses",
    "positions_alike": "many positions the same way",
    "beyond_market": "the limit is far beyond the market",
    "with_trend": "against the trend",
    "chase": "runs after the price",
    "bar_closed": "breaks out before the hour has closed",
    "breakout_in_noise": "breaks out of noise",
    "spread": "a wide spread",
    "size_of_book": "large for the book",
    "tick_age": "an old price",
    "since_loss": "soon after a loss",
    "to_weekend": "just before the weekend",
    "minutes_to_event": "just before a scheduled event",
    "minutes_to_session_close": "just before the session closes",
    "hours_to_reopening": "long until the market opens again",
    "financing_of_target": "financing eats the target",
    "days_to_expiry": "the contract expires soon",
    "iv_percentile": "volatility is dear",
    "short_interest": "much of it is sold short",
    "positioning_percentile": "the crowd is on the same side",
    "oos_sharpe": "the setup fails out of sample",
}
ENDED: Final[Mapping[str, str]] = {
    ExitReason.STOP: "stopped out",
    ExitReason.TARGET: "closed at its target",
    ExitReason.BY_HAND: "closed by hand",
}
VERY_SIMILAR: Final = Decimal("0.55")
SIMILAR: Final = Decimal("0.35")
# From which likeness of the texts on it is worth saying that they are alike.
ALIKE: Final = Decimal("0.6")
NO_SIGN: Final = "That is not a sign of safety."
NO_CHANGE: Final = "This changes nothing about the verdict: policy counts in the database."
QUESTION: Final = "Has it hurt before?"

logger = logging.getLogger(__name__)


def lessons_of(known: Gathered, recall: Recall) -> Lessons:
    """What is remembered, for this person. Never fails."""
    try:
        return _worded(known, recall(known.proposal, known.is_open))
    except Exception:
        # Whatever it was: this is advice, and the page on which a person decides is shown without it.
        logger.exception("Lessons on the page of %s were not recalled", known.proposal.pk)
        note = f"The lessons could not be read just now. {NO_CHANGE}"
        return Lessons(lead="The memory is away.", note=note, tile=_tile("Not known", f"The memory is away. {NO_SIGN}"))


def _worded(known: Gathered, shown: Shown) -> Lessons:
    answer = shown.answer
    if answer is None:
        note = f"Nobody asked the memory while it could be decided. {NO_SIGN}"
        return Lessons(lead="Nothing was recalled.", note=note, tile=_tile("Not known", note))
    if answer.withheld:
        note = "Shown to nobody for this one: a few proposals go without, so that we learn whether lessons help."
        return Lessons(lead="Held back on purpose.", note=f"{note} {NO_CHANGE}", tile=_tile("Held back", note))
    may_rate = _sits_here(known)
    # A trade that won stands beside losses it is like, never alone: by itself it would only reassure.
    found = len(answer.losses)
    lines = tuple(_line(known, shown, one, may_rate=may_rate) for one in answer.results) if found else ()
    return Lessons(
        lead="" if found else "Nothing similar was lost that is remembered.",
        note="" if found else f"{NO_SIGN} Closed trades fill this by themselves.",
        lines=lines,
        aside=f"as of {words.moment(answer.asked_at, known.now)}",
        foot=_foot(answer, shown, leaves=any(line.may_rate and not line.may_differ for line in lines)),
        tile=_counted(answer),
    )


def _sits_here(known: Gathered) -> bool:
    """Whether this person is of the desk, and rates; superusers see the pages of every desk."""
    viewer = known.viewer
    return not viewer.is_superuser or desks_of(viewer.pk).filter(pk=known.proposal.connection.desk_id).exists()


def _line(known: Gathered, shown: Shown, one: Remembered, *, may_rate: bool) -> LessonLine:
    held = ""
    if one.opened_at is not None:
        held = f" after {words.span(int(words.seconds_between(one.opened_at, one.closed_at)))}"
    ended = ENDED.get(one.exit_reason) or (f"closed ({one.exit_reason})" if one.exit_reason else "closed")
    is_theirs = known.proposal.proposer_id == known.viewer.pk or one.case in shown.left_to_others
    may_rate = may_rate and one.lesson is not None and not one.is_counter_example
    return LessonLine(
        item=one.item,
        lesson=one.lesson,
        case=one.case,
        side=one.side,
        what=f"{words.grouped(one.quantity)} {one.product}",
        ended=f"{ended}{held}",
        when=_when(one, known),
        cost=words.result(one.pnl) if one.pnl is not None else "not known",
        tone="" if not one.pnl else "gain" if one.pnl > 0 else "loss",
        currency=one.currency,
        in_r=f"{words.result(one.r_multiple)} R" if one.r_multiple is not None else "no planned risk",
        likeness=_likeness(one),
        same=_same(known, one, {fact.name: fact for fact in shown.facts}),
        next_time=one.next_time or one.cause,
        said=shown.said.get(one.case, ""),
        may_rate=may_rate,
        may_differ=may_rate and not is_theirs,
        is_counter=one.is_counter_example,
    )


def _when(one: Remembered, known: Gathered) -> str:
    ago = words.ago(one.closed_at, known.now)
    if one.is_counter_example:
        return ago
    return f"{ago}, {'reviewed' if one.review_state == ReviewState.REVIEWED else 'not reviewed'}"


def _likeness(one: Remembered) -> str:
    """How similar, in words. By what is alike alone: how much was lost, and when, only says which comes first."""
    similarity = Decimal(one.components.get("similarity", "0"))
    return "Very similar" if similarity >= VERY_SIMILAR else "Similar" if similarity >= SIMILAR else "A little similar"


def _same(known: Gathered, one: Remembered, here: Mapping[str, Fact]) -> str:
    """What is the same there and here, the broken facts first."""
    terms = known.rows.terms
    parts = [_fact(name, one, here.get(name)) for name in one.facts]
    said = {str(detector.tag) for name in one.facts if (detector := BY_NAME.get(name)) and detector.tag}
    sure = {str(found.tag) for found in tags_of(tuple(here.values()))}
    if tags := [_plain(tag) for tag in one.tags if tag in sure - said]:
        parts.append(f"the same mistake ({words.listed(tags)})")
    if tags := [_plain(tag) for tag in one.tags if tag not in sure | said]:
        parts.append(f"the words of both suggest {words.listed(tags)}")
    if max(Decimal(one.components.get(name, "0")) for name in ("thesis", "narrative")) >= ALIKE:
        parts.append("told in much the same words")
    if one.product == terms.instrument:
        parts.append("same instrument and side" if one.side == terms.side else "same instrument, the other side")
    return "; ".join(parts) if parts else "some words in common, of another instrument"


def _fact(name: str, one: Remembered, here: Fact | None) -> str:
    said = BROKEN.get(name, _plain(name))
    there = one.measured.get(name)
    if there is None or here is None or here.value is None or here.unit == "yes":
        return said
    value = words.grouped(here.value, places=2 if here.value % 1 else 0)
    return f"{said} ({there} there, {value} {here.unit} here)"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _foot(answer: RecallAnswer, shown: Shown, *, leaves: bool) -> tuple[str, ...]:
    lines = []
    if answer.index.degraded:
        lines.append(f"Looked for by facts and words only: the index of meanings is away. {NO_CHANGE}")
    elif answer.index.pending:
        count = answer.index.pending
        lines.append(f"{count} newer {'text waits' if count == 1 else 'texts wait'} to be found, and may be missing.")
    if unknown := [_plain(fact.name) for fact in shown.facts if fact.value is None and _is_measured(fact)]:
        lines.append(f"Not known of this one, and so not compared: {words.listed(unknown)}.")
    if told := [_stated(fact) for fact in shown.facts if fact.told]:
        lines.append(f"Stated by the proposer, and measured by nobody: {words.listed(told)}.")
    if leaves:
        lines.append("What is yours, or was held against you, others call similar or not.")
    return tuple(lines)


def _is_measured(fact: Fact) -> bool:
    return fact.name in BROKEN and not BY_NAME[fact.name].given


def _stated(fact: Fact) -> str:
    """A fact in the proposer's words: `minutes to event 30 min (broken, the limit is 120)`."""
    value = "" if fact.value is None else decimal_text(fact.value)
    said = f"{_plain(fact.name)} {value} {fact.unit}"
    return f"{said} (broken, the limit is {decimal_text(fact.limit)})" if fact.violated and fact.limit else said


def _counted(answer: RecallAnswer) -> Tile:
    """The count of comparable trades, which is what policy uses."""
    found = answer.evidence
    if found is None or not found.n:
        days = f" in {found.window_days} days" if found else ""
        if answer.losses:
            note = f"Alike, but none{days} shares a broken rule: policy counts none of them."
            return _tile(f"{len(answer.losses)} lost", note)
        return _tile("Not known", f"No comparable trade{days}. {NO_SIGN}")
    other = f"This desk loses {_percent(found.base_rate)} otherwise. " if found.base_rate is not None else ""
    return Tile(
        key="memory",
        question=QUESTION,
        answer=f"{found.losses} of {found.n}",
        unit="lost",
        icon="book",
        kind="warn" if _is_worse(found) else "",
        now=str(100 * found.losses // found.n),
        bar_label=f"{found.losses} of {found.n} comparable trades lost",
        note=f"Comparable trades of {found.window_days} days. {other}".strip(),
    )


def _is_worse(found: Evidence) -> bool:
    return found.p_above_base is not None and found.p_above_base >= SURE


def _percent(fraction: Decimal) -> str:
    return f"{decimal_text((fraction * 100).quantize(Decimal(1)))} %"


def _tile(answer: str, note: str) -> Tile:
    return Tile(key="memory", question=QUESTION, answer=answer, icon="book", note=note)
