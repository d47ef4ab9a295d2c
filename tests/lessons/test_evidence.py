"""What policy counts: which closed trades are like the one asked for, each once, against what is usual at the desk."""

import ast
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.models import Desk, User
from apps.lessons.models import Case
from apps.lessons.rules.evidence import Asked, Comparable, base_rate, p_above, weigh
from apps.lessons.selectors.evidence import evidence
from apps.lessons.services import reviews
from apps.lessons.types import CaseSource, Evidence, Fact, MistakeTag, TagFound, TagSource
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.lessons import NO_STOP, CaseFactory, confirmed
from tests.policies.comparable import probability

OVERSIZED = TagFound(tag=MistakeTag.OVERSIZED, source=TagSource.RULE)
RATES = st.integers(1, 999_999).map(lambda n: Decimal(n).scaleb(-6))
PROCESS = ("PROCESS_ERROR", "EXECUTION")
LOSS, WIN = Decimal(-10), Decimal(10)


def broken(*names: str) -> tuple[Fact, ...]:
    return tuple(Fact(name=name, value=Decimal(2), unit="", limit=Decimal(1), violated=True) for name in names)


def is_right(losses: int, wins: int, base: str) -> bool:
    """Not below what fractions give but for the error that is stated, and less than the last place above."""
    said, true = Fraction(p_above(losses=losses, wins=wins, base=Decimal(base))), probability(losses, wins, base)
    return true - Fraction(1, 10**20) <= said < true + Fraction(1, 10**9) + Fraction(1, 10**20)


@given(st.integers(0, 40), st.integers(0, 40), RATES)
def test_the_probability_is_that_of_fractions(losses: int, wins: int, base: Decimal) -> None:
    assert is_right(losses, wins, format(base, "f"))


@pytest.mark.parametrize(("losses", "wins", "base"), [(900, 1100, "0.45"), (1500, 500, "0.7499"), (0, 2000, "0.0005")])
def test_and_of_very_many_trades(losses: int, wins: int, base: str) -> None:
    assert is_right(losses, wins, base)


@given(st.integers(0, 3000), st.integers(0, 3000), RATES)
def test_another_loss_never_makes_it_less_probable_and_another_win_never_more(
    losses: int, wins: int, base: Decimal
) -> None:
    here = p_above(losses=losses, wins=wins, base=base)
    assert 0 <= here <= 1
    assert p_above(losses=losses + 1, wins=wins, base=base) >= here >= p_above(losses=losses, wins=wins + 1, base=base)


def test_a_hundred_thousand_are_no_other_case() -> None:
    assert p_above(losses=40_000, wins=60_000, base=Decimal("0.4")) == pytest.approx(
        Decimal("0.5"), abs=Decimal("0.01")
    )
    assert p_above(losses=0, wins=100_000, base=Decimal("0.4")) == 0
    assert p_above(losses=100_000, wins=0, base=Decimal("0.4")) == 1


def test_the_thresholds_of_the_rule_are_where_they_were_measured() -> None:
    """Three of three where 40 % is usual, and what ten usual trades hold by chance, which must not fire."""
    assert p_above(losses=3, wins=0, base=Decimal("0.4")) == Decimal("0.9744")
    assert p_above(losses=3, wins=7, base=Decimal("0.4")) < Decimal("0.5")


@pytest.mark.parametrize("base", ["0", "1", "-0.1", "1.5"])
def test_a_base_that_is_no_rate_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        p_above(losses=1, wins=1, base=Decimal(base))


@pytest.mark.parametrize(
    ("lost", "closed", "rate"),
    [(0, 0, "0.4"), (0, 10, "0.2"), (10, 10, "0.7"), (0, 90, "0.04"), (500, 1000, "0.499009"), (0, 10**9, "0.000001")],
)
def test_few_other_trades_lean_to_four_in_ten(lost: int, closed: int, rate: str) -> None:
    assert base_rate(lost=lost, closed=closed) == Decimal(rate)


TRADES = st.lists(
    st.builds(
        Comparable,
        case_id=st.uuids(),
        trade=st.integers(0, 8).map(lambda n: UUID(int=n)),
        lost=st.booleans(),
        verdict=st.sampled_from(["PROCESS_ERROR", "PLANNED_LOSS"]),
        r_multiple=st.sampled_from([None, Decimal(-1), Decimal(-4), Decimal(2)]),
        closed_at=st.just(datetime.fromisoformat("2026-03-02T00:00:00+00:00")),
        shares_tag=st.booleans(),
        facts=st.frozensets(st.sampled_from(["a", "b", "c", "d"])),
    ),
    max_size=20,
    unique_by=lambda one: one.case_id,
)


def asked(violated: str, unknown: str, tagless: str = "") -> Asked:
    return Asked(
        tags=("no_stop",),
        violated=frozenset(violated),
        unknown=frozenset(unknown),
        verdicts=frozenset({"PROCESS_ERROR"}),
        window_days=30,
        closed=100,
        lost=40,
        tagless=frozenset(tagless),
    )


def fires(found: Evidence) -> bool:
    """The rule, for some thresholds."""
    return any(
        (one.losses >= 2 and (one.p_above_base or 0) >= Decimal("0.8")) or (one.worst_r or 0) >= 3
        for one in (found, *found.supposing.values())
    )


@given(TRADES, st.booleans())
def test_a_fact_left_empty_lets_nothing_out_that_a_broken_one_would_not(
    trades: list[Comparable], shows_mistake: bool
) -> None:
    """Whatever the trades: where the rule fires on the proposal with that fact broken, it does without it."""
    as_tagged = [replace(one, shares_tag=one.shares_tag or (shows_mistake and "c" in one.facts)) for one in trades]
    honest = replace(weigh(as_tagged, asked(violated="abc", unknown="")), supposing={})
    silent = weigh(trades, asked(violated="ab", unknown="cd", tagless="" if shows_mistake else "c"))
    assert fires(silent) or not fires(honest)


def about(desk: Desk, now: datetime, **changed: Any) -> Evidence:
    return evidence(
        **{
            "desk_id": desk.pk,
            "tags": ["no_stop"],
            "violated_facts": [],
            "window_days": 30,
            "verdicts": PROCESS,
            "now": now,
            **changed,
        }
    )


def ended(desk: Desk, now: datetime, pnl: Decimal = LOSS, *, days: float = 1, **changed: Any) -> Case:
    return CaseFactory(desk=desk, pnl=pnl, closed_at=now - timedelta(days=days), facts=(), **changed)


pytestmark = pytest.mark.django_db


def test_nothing_closed_is_nothing_known(desk: Desk, now: datetime) -> None:
    found = about(desk, now)
    assert (found.n, found.p_above_base, found.worst_r, found.case_ids) == (0, None, None, ())
    assert found.base_rate == Decimal("0.4")


def test_losses_and_wins_with_the_mistake_are_held_against_the_others(desk: Desk, now: datetime) -> None:
    lost = [ended(desk, now, tags=(NO_STOP,)) for _ in range(3)]
    ended(desk, now, WIN, tags=(NO_STOP,))
    for pnl in (LOSS, LOSS, WIN, WIN, WIN):
        ended(desk, now, pnl, tags=())
    found = about(desk, now)
    assert (found.n, found.losses, found.wins) == (4, 3, 1)
    assert found.base_rate == Decimal("0.4")  # two of five others, and four of ten
    assert found.p_above_base == Decimal("0.91296")
    assert set(found.case_ids) == {case.pk for case in lost}
    assert found.details == {"others": 5, "others_lost": 2, "lost_otherwise": 0}


def test_what_is_not_evidence_does_not_count(desk: Desk, now: datetime) -> None:
    ended(desk, now, tags=(NO_STOP,))
    ended(DeskFactory(), now, tags=(NO_STOP,))
    ended(desk, now, tags=(OVERSIZED,))
    ended(desk, now, Decimal(0), tags=(NO_STOP,))
    ended(desk, now, tags=(TagFound(tag=MistakeTag.NO_STOP, source=TagSource.REPORTED),))
    ended(desk, now, days=30, tags=(NO_STOP,))
    ended(desk, now, days=-1, tags=(NO_STOP,))
    at_the_edge = ended(desk, now, days=29.999, tags=(NO_STOP,))
    found = about(desk, now)
    assert (found.losses, found.wins) == (2, 0)
    assert at_the_edge.pk in found.case_ids


def test_a_loss_that_broke_nothing_counts_for_neither_side(desk: Desk, now: datetime) -> None:
    case = ended(desk, now, tags=(NO_STOP,))
    for verdict, counted in (("PLANNED_LOSS", 0), ("DATA", 0), ("EXECUTION", 1), ("PROCESS_ERROR", 1)):
        Case.objects.filter(pk=case.pk).update(verdict=verdict)
        found = about(desk, now)
        assert (verdict, found.n, found.losses) == (verdict, counted, counted)
        assert found.details["lost_otherwise"] == 1 - counted
    assert about(desk, now, verdicts=["DATA"]).n == 0


def test_two_broken_facts_are_like_two_broken_facts_and_one_is_not(desk: Desk, now: datetime) -> None:
    for names in (("chase",), ("chase", "size_of_limit"), ("chase", "spread"), ("chase", "size_of_limit", "spread")):
        CaseFactory(desk=desk, closed_at=now, tags=(), facts=broken(*names))
    assert about(desk, now, tags=[], violated_facts=["chase", "size_of_limit"]).losses == 2
    assert about(desk, now, tags=[], violated_facts=["chase"]).losses == 0
    assert about(desk, now, violated_facts=["chase", "size_of_limit", "spread"]).losses == 3


def test_a_disputed_superseded_or_retired_lesson_does_not_count(desk: Desk, now: datetime, risk: User) -> None:
    first, second, third = (ended(desk, now, tags=(NO_STOP,)) for _ in range(3))
    second_person = UserFactory(role="approver", desk=desk)
    reviews.dispute(lesson_id=first.lesson.pk, reviewer=risk, version=1, note="The venue was down.", now=now)
    assert about(desk, now).losses == 3
    confirmed(first.lesson, second_person, now)
    assert about(desk, now).losses == 2
    reviews.retire(lesson_id=second.lesson.pk, reviewer=risk, version=1, note="We trade this no more.", now=now)
    assert about(desk, now).losses == 2
    confirmed(second.lesson, second_person, now)
    assert about(desk, now).losses == 1
    reviews.review(lesson_id=third.lesson.pk, reviewer=risk, version=1, dispute_tags=[MistakeTag.NO_STOP], now=now)
    assert about(desk, now).losses == 1
    confirmed(third.lesson, second_person, now)
    assert about(desk, now).losses == 0


def test_a_trade_closed_in_parts_counts_once_by_its_worst_part(desk: Desk, now: datetime) -> None:
    proposal = uuid4()
    for pnl in (WIN, LOSS, Decimal(-45)):
        ended(desk, now, pnl, tags=(NO_STOP,), proposal_id=proposal)
    found = about(desk, now)
    assert (found.losses, found.wins, found.worst_r) == (1, 0, Decimal("4.5"))
    assert len(found.case_ids) == 1


def test_the_worst_loss_is_one_that_shares_a_mistake(desk: Desk, now: datetime) -> None:
    ended(desk, now, Decimal(-20), tags=(NO_STOP,))
    CaseFactory(desk=desk, closed_at=now, pnl=Decimal(-90), tags=(), facts=broken("chase", "spread"))
    found = about(desk, now, violated_facts=["chase", "spread"])
    assert (found.losses, found.worst_r) == (2, Decimal(2))


def test_a_fact_that_is_not_known_is_counted_as_broken_beside(desk: Desk, now: datetime) -> None:
    for _ in range(3):
        CaseFactory(desk=desk, closed_at=now, tags=(OVERSIZED,), facts=broken("size_of_limit"))
    for _ in range(30):
        ended(desk, now, WIN, tags=(NO_STOP,))
    found = about(desk, now, unknown_facts=["size_of_limit", "minutes_to_event"])
    assert (found.losses, found.wins, found.unknown_facts) == (0, 30, ("minutes_to_event", "size_of_limit"))
    assert set(found.supposing) == {"size_of_limit"}
    assert about(desk, now, violated_facts=["size_of_limit"]).supposing == {}
    # Good trades of another kind do not hide it: asked without them, it speaks as loud.
    silent = about(desk, now, tags=[], unknown_facts=["size_of_limit"]).supposing["size_of_limit"]
    assert (silent.losses, silent.wins, silent.worst_r) == (3, 0, Decimal("1.27"))


def test_the_vector_index_has_no_say(desk: Desk) -> None:
    """Nothing on the way from a case to the count imports the index, the embeddings or their client."""
    root, seen, ahead = Path(settings.BASE_DIR), set[str](), ["apps.lessons.selectors.evidence"]
    while ahead:
        name = ahead.pop()
        file = root / (name.replace(".", "/") + ".py")
        file = file if file.exists() else root / name.replace(".", "/") / "__init__.py"
        if name in seen or not file.exists():
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                ahead += [item.name for item in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                ahead += [node.module, *(f"{node.module}.{item.name}" for item in node.names)]
    assert "apps.lessons.models.cases" in seen
    assert not {name for name in seen if name.startswith(("apps.lessons.index", "apps.lessons.embeddings"))}


@pytest.mark.django_db
def test_what_is_only_told_does_not_speak_for_the_next_trade() -> None:
    """A program whose trades lose could report others that lost, to be measured against them, and wins."""
    desk = DeskFactory()
    lost = [CaseFactory(desk=desk, pnl=LOSS, tags=(NO_STOP,)) for _ in range(3)]
    now = max(case.closed_at for case in lost) + timedelta(hours=1)

    def asked() -> Evidence:
        return evidence(
            desk_id=desk.pk,
            tags=[MistakeTag.NO_STOP],
            violated_facts=(),
            window_days=30,
            verdicts=PROCESS,
            now=now,
        )

    before, like_nothing = asked(), {"facts": (), "tags": ()}
    assert before.losses == 3
    for number in range(20):
        CaseFactory(desk=desk, pnl=LOSS, source=CaseSource.REPORTED, source_id=f"told-{number}", **like_nothing)
    assert asked() == before
    for number in range(20):
        CaseFactory(desk=desk, pnl=LOSS, source=CaseSource.IMPORTED, source_id=f"kept-{number}", **like_nothing)
    assert asked().p_above_base < before.p_above_base  # type: ignore[operator]  # both are known
    told = asked()
    for number in range(20):
        CaseFactory(
            desk=desk, pnl=WIN, source=CaseSource.REPORTED, source_id=f"won-{number}", facts=(), tags=(NO_STOP,)
        )
    assert asked() == told
    CaseFactory(desk=desk, pnl=WIN, facts=(), tags=(NO_STOP,))
    assert asked().wins == told.wins + 1
