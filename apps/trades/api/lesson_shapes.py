"""What answers of the memory look like."""

from apps.common.api.shapes import Count, Instant, Many, Names, Number, Part, Problem, Shape, Uuid, Words, YesNo
from apps.lessons.types import CaseVerdict, Result, ReviewState


class Matched(Shape):
    """What is the same there and here."""

    tags = Many(Words(), about="Mistakes seen in both.")
    facts = Many(Words(), about="Facts beyond their limit in both.")


class RecalledTrade(Shape):
    """A closed trade like the one asked about. A loss has a lesson; the last may be a `counter_example`, which won."""

    item_id = Uuid()
    lesson_id = Uuid(nullable=True)
    case_id = Uuid()
    trade_id = Words()
    proposal_id = Uuid(nullable=True)
    rank = Count()
    score = Number(about="Ranks, and counts nothing.")
    components = Names(nullable=True, about="What the score is made of; with `explain` only.")
    matched = Part(Matched)
    counter_example = YesNo()
    result = Words(Result)
    verdict = Words(CaseVerdict)
    product = Words()
    side = Words()
    summary = Words()
    pnl = Number(nullable=True)
    currency = Words()
    r_multiple = Number(nullable=True, about="In multiples of the planned risk.")
    next_time = Words()
    closed_at = Instant()
    review_state = Words(ReviewState, nullable=True)


class RecallEvidence(Shape):
    """What comparable trades came to, counted in the database: policy counts the same way. With n = 0 nothing is known,
    which is no sign of safety."""

    n = Count()
    losses = Count()
    wins = Count()
    loss_rate = Number(nullable=True)
    base_rate = Number(nullable=True, about="How often this desk loses otherwise.")
    p_above_base = Number(nullable=True, about="How sure it is that such trades lose more often than that.")
    worst_r = Number(nullable=True)
    window_days = Count()
    threshold = Number(about="From which `p_above_base` on a warning is due.")
    case_ids = Many(Uuid())
    unknown_facts = Many(Words())
    sentence = Words()


class RecallIndex(Shape):
    """Where the answer comes from. `degraded`: the index was not asked, for `reason`; tags, facts and words were looked
    through in the database."""

    space = Words()
    collection = Words()
    degraded = YesNo()
    reason = Words()
    pending = Count(about="Texts that cannot be found yet.")
    lag_s = Count(about="For how long the oldest of them has waited.")


class RecallAnswer(Shape):
    """What is remembered of trades like this one, the most similar first. Empty where nothing is. `withheld`: shown to
    nobody, so that whether lessons help can be measured. `known` is false where the memory could not be asked."""

    recall_id = Uuid(nullable=True)
    withheld = YesNo()
    known = YesNo()
    results = Many(RecalledTrade)
    evidence = Part(RecallEvidence, nullable=True)
    index = Part(RecallIndex)


class BatchItem(Shape):
    """What became of one of them: the answer a single request would have got, a proposal or a problem."""

    status = Count(about="201 where it is stored; else that of the problem.")
    replayed = YesNo(about="True: answered before, and nothing was done.")
    proposal = Part("ProposalMade", nullable=True)
    problem = Part(Problem, nullable=True)


class Batch(Shape):
    """One for each proposal that was sent, in the same order."""

    items = Many(BatchItem)


class ProposalMade(Shape):
    """A stored proposal, and what happened to trades like it."""

    extends = "Proposal"
    lessons = Part(RecallAnswer)
