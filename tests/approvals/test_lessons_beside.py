"""The lessons beside a decision: what is shown, to whom, what is kept of it, and that nothing of it fails the page."""

from datetime import timedelta
from decimal import Decimal
from typing import Any, NoReturn
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.selectors.page_lessons import BROKEN
from apps.lessons.embeddings.hashing import HashProvider
from apps.lessons.models import Recall, RecallFeedback, RecallItem
from apps.lessons.rules.detectors import DETECTORS
from apps.lessons.services import spaces
from apps.lessons.services.holding import hold
from apps.lessons.types import Fact, Plan
from apps.trades.models import Proposal
from apps.trades.services import proposals
from apps.trades.types import Narrative
from tests.approvals.test_pages import at, carried, enter
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.desk import PaperDesk
from tests.factories.similar import CHASED, lost, proposed

pytestmark = pytest.mark.django_db
AWAY = "This changes nothing about the verdict"
NO_REWARD = Fact(name="reward_to_risk", value=Decimal("0.5"), unit="x", limit=Decimal(1), violated=True)
LIKE = Plan(thesis="It has held twice at the low.", risk=Decimal(10))


def lessons(client: Client, proposal: Proposal) -> Any:
    return client.get(at("page", proposal)).context["page"].lessons


def rate_at(proposal: Proposal, item: object) -> str:
    return reverse("decide:rate", args=[proposal.pk, item])


def test_losses_come_with_what_they_cost_what_is_the_same_and_one_that_won(paper: PaperDesk) -> None:
    lost(paper, 1, product="BTC-USD", plan=LIKE, pnl=Decimal("-168.20"))
    lost(paper, 1, pnl=Decimal("-74.55"))
    lost(paper, 1, plan=LIKE, pnl=Decimal("141.30"))
    lost(paper, 1, facts=(CHASED,), plan=Plan(thesis="Zebra."), product="XAU", asset_class="metal")
    shown = lessons(enter(paper.approver), proposed(paper))
    assert [(line.cost, line.currency, line.is_counter) for line in shown.lines] == [
        ("\u2212168.20", "USD", False),
        ("\u221274.55", "USD", False),
        ("+141.30", "USD", True),
    ]
    first, *_, won = shown.lines
    assert (first.in_r, first.likeness) == ("\u221216.82 R", "Very similar")
    assert first.same == "no stop in the plan; told in much the same words; same instrument and side"
    assert (first.may_rate, won.may_rate) == (True, False)
    assert shown.tile.answer == "2 of 3"


def test_what_was_measured_there_and_here_stands_beside_it(paper: PaperDesk) -> None:
    lost(paper, 1, facts=(NO_REWARD,))
    intent = paper.intent()
    entry = intent.limit_price or Decimal(0)
    proposal = proposals.propose(
        intent=intent,
        narrative=Narrative(stop=entry - 2_000, target=entry + 500),
        principal=paper.principal,
        idempotency_key=str(uuid4()),
        now=timezone.now(),
    )
    (line,) = lessons(enter(paper.approver), proposal).lines
    assert "less to gain than to lose (0.5 x, the limit is 1 there, 0." in line.same


def test_every_fact_that_can_be_broken_beforehand_has_words() -> None:
    limited = {one.name for one in DETECTORS if one.limit is not None and not one.afterwards}
    assert set(BROKEN) == limited


def test_what_the_proposer_states_stands_there_as_their_word(paper: PaperDesk) -> None:
    client, silent = enter(paper.approver), proposed(paper)
    assert not any("Stated by the proposer" in line for line in lessons(client, silent).foot)
    stated = proposed(paper, told={"minutes_to_event": "30", "oos_sharpe": "2"}, quantity=Decimal("0.009"))
    (line,) = [line for line in lessons(client, stated).foot if line.startswith("Stated")]
    assert line == (
        "Stated by the proposer, and measured by nobody: "
        "minutes to event 30 min (broken, the limit is 120) and oos sharpe 2 x."
    )


def test_a_mistake_that_only_words_suggest_is_not_told_as_the_same(paper: PaperDesk) -> None:
    lost(paper, 1)
    proposal, client = proposed(paper), enter(paper.approver)
    lessons(client, proposal)
    RecallItem.objects.update(matched={"tags": ["no_stop", "chased_breakout"], "facts": []})
    (line,) = lessons(client, proposal).lines
    assert line.same.startswith("the same mistake (no stop); the words of both suggest chased breakout")


def test_a_loss_that_is_alike_and_shares_no_broken_rule_is_told_and_not_counted(paper: PaperDesk) -> None:
    lost(paper, 1, facts=(), plan=LIKE, product="BTC-USD")
    shown = lessons(enter(paper.approver), proposed(paper))
    assert len(shown.lines) == 1
    assert (shown.tile.answer, shown.tile.kind) == ("1 lost", "")
    assert "policy counts none of them" in shown.tile.note


def test_a_trade_that_won_stands_beside_losses_and_never_alone(paper: PaperDesk) -> None:
    lost(paper, 1, plan=LIKE, pnl=Decimal(50))
    shown = lessons(enter(paper.approver), proposed(paper))
    assert (shown.lines, shown.lead) == ((), "Nothing similar was lost that is remembered.")
    assert shown.tile.answer == "0 of 1"


def test_nothing_similar_is_no_sign_of_safety_and_keeps_nothing_where_nothing_is_remembered(paper: PaperDesk) -> None:
    proposal, client = proposed(paper), enter(paper.approver)
    page = client.get(at("page", proposal)).content.decode()
    assert "Nothing similar was lost that is remembered." in page
    assert page.count("That is not a sign of safety.") == 2
    assert not Recall.objects.exists()


def test_it_is_kept_once_for_each_person_with_rank_score_and_viewer_and_not_at_each_look(paper: PaperDesk) -> None:
    lost(paper)
    proposal = proposed(paper)
    for person in (paper.approver, paper.risk):
        for name in ("page", "page", "live"):
            enter(person).get(at(name, proposal))
    kept = Recall.objects.filter(proposal_id=proposal.pk, purpose="PAGE")
    assert {row.viewer for row in kept} == {paper.approver, paper.risk}
    assert kept.count() == 2
    assert all(item.rank and item.score for item in RecallItem.objects.filter(recall__in=kept))


def test_it_is_asked_again_after_a_while_and_what_was_said_stays(paper: PaperDesk) -> None:
    lost(paper, 1)
    proposal, client = proposed(paper), enter(paper.approver)
    client.post(rate_at(proposal, lessons(client, proposal).lines[0].item), {"verdict": "NOT_SIMILAR"})
    Recall.objects.update(asked_at=timezone.now() - timedelta(minutes=11))
    shown = lessons(client, proposal)
    assert Recall.objects.filter(purpose="PAGE").count() == 2
    assert shown.lines[0].said == "NOT_SIMILAR"


def test_once_decided_it_stays_what_was_shown(paper: PaperDesk) -> None:
    lost(paper, 1)
    proposal, client = proposed(paper), enter(paper.approver)
    before = [line.case for line in lessons(client, proposal).lines]
    client.post(at("decline", proposal), carried(client, proposal) | {"comment": "As before."})
    lost(paper, 1, pnl=Decimal(-900))
    assert [line.case for line in lessons(client, proposal).lines] == before
    late = lessons(enter(paper.risk), proposal)
    assert (late.lines, late.lead) == ((), "Nothing was recalled.")
    assert Recall.objects.filter(purpose="PAGE").count() == 1


def test_useful_or_not_similar_is_kept_shown_and_changed(paper: PaperDesk) -> None:
    lost(paper, 1)
    proposal, client = proposed(paper), enter(paper.approver)
    item = lessons(client, proposal).lines[0].item
    for verdict, words in (("NOT_SIMILAR", "You found it not similar."), ("USEFUL", "You found it useful.")):
        answer = client.post(rate_at(proposal, item), {"verdict": verdict})
        assert (answer.status_code, answer["Location"]) == (303, f"{at('page', proposal)}#h-lessons")
        assert words in client.get(at("page", proposal)).content.decode()
        assert RecallFeedback.objects.get().verdict == verdict


def test_what_is_said_needs_the_csrf_token_a_post_and_one_of_two_words(paper: PaperDesk) -> None:
    lost(paper, 1)
    proposal, client = proposed(paper), enter(paper.approver)
    url = rate_at(proposal, lessons(client, proposal).lines[0].item)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(paper.approver)
    assert strict.post(url, {"verdict": "USEFUL"}).status_code == 403
    assert client.get(url).status_code == 405
    wrong = client.post(url, {"verdict": "GREAT"})
    assert wrong.status_code == 400
    assert b"That was not kept." in wrong.content
    assert not RecallFeedback.objects.exists()


def test_who_asked_for_it_does_not_rate_away_what_blocks_them(paper: PaperDesk) -> None:
    lost(paper, 1)
    proposal = proposed(paper)
    mine, others = enter(paper.trader), enter(paper.approver)
    shown = lessons(mine, proposal)
    assert (shown.lines[0].may_rate, shown.lines[0].may_differ) == (True, False)
    assert "others call similar or not" in shown.foot[-1]
    assert ">Not similar<" not in mine.get(at("page", proposal)).content.decode()
    for client in (mine, others):
        item = lessons(client, proposal).lines[0].item
        refused = mine.post(rate_at(proposal, item), {"verdict": "NOT_SIMILAR"})
        assert refused.status_code == 403
        assert b"That was not kept." in refused.content
    assert not RecallFeedback.objects.exists()
    assert mine.post(rate_at(proposal, item), {"verdict": "USEFUL"}).status_code == 303
    assert others.post(rate_at(proposal, item), {"verdict": "NOT_SIMILAR"}).status_code == 303


@pytest.mark.parametrize("by", ["trade", "policy"])
def test_whose_trade_taught_it_or_whom_it_was_held_against_leaves_it_to_others(paper: PaperDesk, by: str) -> None:
    (case,) = lost(paper, 1, proposer_id=paper.approver.pk if by == "trade" else None)
    proposal = proposed(paper)
    if by == "policy":
        hold(
            desk_id=paper.desk.pk,
            proposal_id=uuid4(),
            person_id=paper.approver.pk,
            cases=[case.pk],
            now=timezone.now() - timedelta(days=2),
        )
    for person, status in ((paper.approver, 403), (paper.risk, 303)):
        client = enter(person)
        (line,) = lessons(client, proposal).lines
        assert line.may_differ == (status == 303)
        assert client.post(rate_at(proposal, line.item), {"verdict": "NOT_SIMILAR"}).status_code == status


def test_another_desk_and_another_proposal_find_nothing_to_rate(paper: PaperDesk) -> None:
    lost(paper, 1)
    proposal, other, client = proposed(paper), paper.propose(), enter(paper.approver)
    item = lessons(client, proposal).lines[0].item
    stranger = enter(UserFactory(role="approver", desk=DeskFactory(slug="far")))
    assert stranger.post(rate_at(proposal, item), {"verdict": "USEFUL"}).status_code == 404
    assert client.post(rate_at(other, item), {"verdict": "USEFUL"}).status_code == 404
    assert client.post(rate_at(proposal, uuid4()), {"verdict": "USEFUL"}).status_code == 404
    root = enter(User.objects.create_superuser(username="root"))
    assert not lessons(root, proposal).lines[0].may_rate
    assert root.post(rate_at(proposal, item), {"verdict": "USEFUL"}).status_code == 404
    assert not RecallFeedback.objects.exists()


def test_the_share_held_out_is_told_so_and_shown_nothing(paper: PaperDesk, settings: Any) -> None:
    lost(paper)
    settings.LESSONS_HOLDOUT_SHARE = 100
    shown = lessons(enter(paper.approver), proposed(paper))
    assert (shown.lines, shown.lead, shown.tile.answer) == ((), "Held back on purpose.", "Held back")


def break_down(provider: HashProvider, text: str) -> NoReturn:
    raise ZeroDivisionError("Nobody foresaw this.")


@pytest.mark.parametrize("broken", ["server", "embeddings", "database", "stored"])
def test_whatever_breaks_in_the_memory_the_page_opens_and_the_vote_counts(
    paper: PaperDesk, settings: Any, monkeypatch: Any, caplog: Any, broken: str
) -> None:
    lost(paper)
    proposal, client = proposed(paper), enter(paper.approver)
    spaces.ensure(now=timezone.now())
    if broken == "server":
        settings.QDRANT_URL = "http://127.0.0.1:9"
    elif broken == "embeddings":
        monkeypatch.setattr(HashProvider, "embed_query", break_down)
    elif broken == "database":
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE lessons_recallitem RENAME COLUMN score TO gone")
    else:
        client.get(at("page", proposal))
        RecallItem.objects.update(components={"similarity": "not a number"})
    page = client.get(at("page", proposal))
    assert page.status_code == 200
    assert AWAY in page.content.decode()
    assert "3 of 3 similar trades" in page.content.decode(), "policy counts all the same"
    if broken != "server":
        assert "The memory is away." in page.content.decode()
        assert [record.exc_info is not None for record in caplog.records if "not recalled" in record.message] == [True]
    sent = carried(client, proposal) | {"difference": "The stop rests at the venue now."}
    assert client.post(at("approve", proposal), sent).status_code == 303


def test_the_page_asks_as_much_for_many_lessons_as_for_one(paper: PaperDesk) -> None:
    lost(paper, 1)
    lost(paper, 1, pnl=Decimal(5))
    proposal = proposed(paper)

    def count(person: User) -> list[int]:
        client, counts = enter(person), []
        for _ in range(2):
            cache.delete("desk:status")  # what the header keeps for seconds is no page's own
            with CaptureQueriesContext(connection) as captured:
                assert client.get(at("page", proposal)).status_code == 200
            counts.append(len(captured))
        return counts

    count(paper.risk)
    few = count(paper.approver)
    lost(paper, 20)
    assert count(paper.approver2) == few
    first, later = few
    # What a person is shown is asked for once and kept: that is all their first look asks more.
    assert first - later == (17 if connection.vendor == "postgresql" else 19)
