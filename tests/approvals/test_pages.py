"""The decision page and its two verbs over HTTP: what it shows, lets through and refuses, and how it says so."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.services.people import actor_of
from apps.approvals.models import Vote
from apps.approvals.selectors.page import decision_page
from apps.connectors.types import OrderType, Side, TimeInForce
from apps.policies.services import trading_state
from apps.trades.models import Order, Proposal
from apps.trades.services import proposals
from apps.trades.types import Narrative, ProposalState
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk
from tests.factories.tampering import guards_lifted, tamper
from tests.factories.trading import move

pytestmark = pytest.mark.django_db


def at(name: str, proposal: Proposal) -> str:
    return reverse(f"decide:{name}", args=[proposal.pk])


def enter(user: object) -> Client:
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]
    return client


def carried(client: Client, proposal: Proposal) -> dict[str, str]:
    """What the page's form would send: taken from the page itself."""
    page = client.get(at("page", proposal)).context["page"]
    return {
        "digest": page.sent.digest,
        "signed_quote": page.price.signed,
        "policy_version": page.policy_version,
        "tier": page.tier,
        "comment": "",
    }


def test_the_page_says_it_in_a_sentence(paper: PaperDesk) -> None:
    move(paper, "65900")
    proposal = paper.propose(quantity=Decimal("0.02"), limit_price=Decimal(66_000))
    text = enter(paper.approver).get(at("page", proposal)).content.decode()
    assert "<b>0.02 BTC</b> for at most <b>1,320.00 USD</b> on Coinbase (paper)" in text
    assert "No stop is attached" in text
    assert "That is not a sign of safety." in text
    assert proposal.digest[:8] in text
    assert proposal.request_digest[-8:] in text
    assert text.index("<title>") < text.index("PAPER ·")


def test_approving_posts_and_comes_back_to_the_same_page(paper: PaperDesk) -> None:
    proposal, client = paper.propose(), enter(paper.approver)
    answer = client.post(at("approve", proposal), carried(client, proposal))
    assert (answer.status_code, answer["Location"]) == (303, at("page", proposal))
    assert Order.objects.filter(proposal=proposal).count() == 1
    assert b"about to leave" in client.get(at("page", proposal)).content


def test_nothing_changes_on_get(paper: PaperDesk) -> None:
    proposal, client = paper.propose(), enter(paper.approver)
    for verb in ("approve", "decline"):
        assert client.get(at(verb, proposal)).status_code == 405
    assert client.get(reverse("admin:halt")).status_code == 405
    assert Vote.objects.count() == 0


def test_a_vote_needs_the_csrf_token(paper: PaperDesk) -> None:
    proposal = paper.propose()
    client = Client(enforce_csrf_checks=True)
    client.force_login(paper.approver)
    assert client.post(at("approve", proposal), carried(client, proposal)).status_code == 403
    assert Vote.objects.count() == 0


def test_declining_without_a_sentence_is_refused_and_kept(paper: PaperDesk) -> None:
    proposal, client = paper.propose(), enter(paper.approver)
    answer = client.post(at("decline", proposal), carried(client, proposal))
    assert answer.status_code == 400
    assert b"Declining needs a sentence." in answer.content
    done = client.post(at("decline", proposal), {**carried(client, proposal), "comment": "Too early."})
    assert done.status_code == 303
    page = client.get(at("page", proposal)).content.decode()
    assert "declined this." in page and "Too early." in page


def test_who_comes_second_is_told(paper: PaperDesk) -> None:
    proposal, client = paper.propose(), enter(paper.approver)
    form = carried(client, proposal)
    paper.approve(proposal, paper.approver2)
    answer = client.post(at("approve", proposal), {**form, "comment": "fine by me"})
    assert answer.status_code == 409
    assert "Somebody was faster." in answer.content.decode()
    assert "Your vote was not counted." in answer.content.decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [("digest", "0" * 64), ("policy_version", "another"), ("tier", "9:risk"), ("signed_quote", "x:y")],
)
def test_a_vote_that_names_something_else_is_a_conflict(paper: PaperDesk, field: str, value: str) -> None:
    proposal, client = paper.propose(), enter(paper.approver)
    answer = client.post(at("approve", proposal), {**carried(client, proposal), field: value, "comment": "kept"})
    assert answer.status_code == 409
    assert "Your vote was not counted." in answer.content.decode()
    assert ">kept</textarea>" in answer.content.decode()
    assert Vote.objects.count() == 0


def test_a_halt_turns_approve_off_and_the_server_refuses_too(paper: PaperDesk) -> None:
    proposal, client = paper.propose(), enter(paper.approver)
    form = carried(client, proposal)
    trading_state.halt(connection_id=None, actor=actor_of(paper.risk), reason="A test.", now=timezone.now())
    cache.delete("desk:status")
    page = client.get(at("page", proposal))
    assert "Approve is off: policy denies this now." in page.content.decode()
    assert client.post(at("approve", proposal), form).status_code == 422
    assert Vote.objects.count() == 0


def test_a_price_that_is_not_known_turns_approve_off(paper: PaperDesk) -> None:
    proposal, client = paper.propose(), enter(paper.approver)
    cache.clear()
    page = client.get(at("page", proposal)).content.decode()
    assert "Approve is off: no price is known." in page
    live = client.get(at("live", proposal)).json()
    assert live["off"]["code"] == "QUOTE_STALE"
    assert live["tiles"][0]["answer"] == "Not known"


def test_a_price_past_its_bound_is_old(paper: PaperDesk) -> None:
    proposal = paper.propose()
    later = timezone.now() + timedelta(seconds=30)
    page = decision_page(proposal_id=proposal.pk, viewer=paper.approver, now=later, sign=lambda quote: "")
    assert page.price.is_stale
    assert page.ballot.off is not None and page.ballot.off.code == "QUOTE_STALE"
    assert page.tiles[0].answer == "Not known"


def test_proposer_and_trader_see_it_and_cannot_vote(paper: PaperDesk) -> None:
    proposal = paper.propose()
    client = enter(paper.trader)
    page = client.get(at("page", proposal))
    assert "You, or a key of yours, asked for this." in page.content.decode()
    assert b'id="approve"' not in page.content
    form = {"digest": proposal.digest, "comment": "mine", **dict.fromkeys(("signed_quote", "policy_version"), "")}
    assert client.post(at("approve", proposal), form).status_code == 403
    assert client.post(at("decline", proposal), form).status_code == 403


def test_another_desk_finds_nothing(paper: PaperDesk) -> None:
    proposal = paper.propose()
    stranger = UserFactory(role="approver")
    client = enter(stranger)
    for name in ("page", "live", "story"):
        assert client.get(at(name, proposal)).status_code == 404
    assert client.post(at("approve", proposal), {"digest": proposal.digest}).status_code == 404
    assert client.post(at("decline", proposal), {"digest": proposal.digest, "comment": "no"}).status_code == 404
    assert Vote.objects.count() == 0


def test_who_is_not_signed_in_is_sent_to_sign_in(paper: PaperDesk) -> None:
    proposal = paper.propose()
    answer = Client().get(at("page", proposal))
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("admin:login")) or "login" in answer["Location"]


def test_foreign_text_is_inert(paper: PaperDesk) -> None:
    said = "<script>alert(1)</script> \u202egnp.exe \x07 https://evil.example/x"
    proposal = proposals.propose(
        intent=paper.intent(),
        narrative=Narrative(rationale=said, tags=("<b>", "a\u200bb")),
        principal=paper.principal,
        idempotency_key="",
        now=timezone.now(),
    )
    text = enter(paper.approver).get(at("page", proposal)).content.decode()
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text
    assert "[U+202E]" in text and "[U+0007]" in text and "[U+200B]" in text
    assert "\u202e" not in text
    assert "https://evil" not in text and "hxxps://evil" in text
    assert text.index("h-rules") < text.index("h-say")


def test_the_page_is_drawn_from_the_frozen_bytes(paper: PaperDesk) -> None:
    """Somebody with the database in hand changes every column that repeats the terms: the page says what it said."""
    move(paper, "65900")
    proposal, client = paper.propose(quantity=Decimal("0.02"), limit_price=Decimal(66_000)), enter(paper.approver)
    before = client.get(at("page", proposal)).context["page"]
    with guards_lifted("trades_proposal"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE trades_proposal SET instrument='DOGE-USD', side='SELL', quantity='9', limit_price='1', "
            "base_currency='DOGE', quote_currency='EUR', order_type='MARKET', worst_price='1', notional='9'"
        )
    after = client.get(at("page", proposal)).context["page"]
    assert after.sentence == before.sentence
    assert after.sent == before.sent
    assert [tile.answer for tile in after.tiles[1:]] == [tile.answer for tile in before.tiles[1:]]


def test_bytes_that_were_changed_are_not_approved(paper: PaperDesk) -> None:
    proposal, client = paper.propose(), enter(paper.approver)
    form = carried(client, proposal)
    tamper(proposal, terms=bytes(proposal.terms).replace(b'"0.01"', b'"0.09"'))
    page = client.get(at("page", proposal)).content.decode()
    assert "The stored bytes do not match their digest." in page
    assert client.post(at("approve", proposal), form).status_code == 409
    assert Order.objects.count() == 0


def test_two_of_two_says_that_yours_is_not_the_last(paper: PaperDesk) -> None:
    proposal = paper.propose(quantity=Decimal("0.05"))
    assert proposal.needed == 2, "the demo policy asks two people from 2,500 USD"
    client = enter(paper.approver)
    assert b"Yours is not the last vote." in client.get(at("page", proposal)).content
    paper.approve(proposal, paper.approver2)
    assert b"Yours is the last vote." in client.get(at("page", proposal)).content
    other = enter(paper.approver2)
    seen = other.get(at("page", proposal)).content
    assert b"Your vote is counted." in seen and b'id="approve"' not in seen


def test_a_sell_and_a_market_buy_read_right(paper: PaperDesk) -> None:
    client = enter(paper.approver)
    sell = paper.propose(side=Side.SELL, quantity=Decimal("0.01"), limit_price=Decimal(90_000))
    text = client.get(at("page", sell)).content.decode()
    assert "for at least <b>900.00 USD</b>" in text or sell.state == ProposalState.DENIED
    market = paper.propose(
        order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC, quantity=None, quote_quantity=Decimal(500)
    )
    text = client.get(at("page", market)).content.decode()
    assert "for <b>500.00 USD, at market</b>" in text
    assert "The venue holds no bound on it." in text


def test_what_policy_denied_says_why_and_what_would_pass(paper: PaperDesk) -> None:
    proposal = paper.propose(quantity=Decimal(5))
    assert proposal.state == ProposalState.DENIED
    text = enter(paper.approver).get(at("page", proposal)).content.decode()
    assert "Policy denied this." in text
    assert "would pass" in text
    assert 'id="approve"' not in text


def test_time_that_ran_out_closes_the_page(paper: PaperDesk) -> None:
    proposal = paper.propose()
    later = proposal.expires_at + timedelta(seconds=1)
    page = decision_page(proposal_id=proposal.pk, viewer=paper.approver, now=later, sign=lambda quote: "")
    assert not page.ballot.is_open
    assert page.callout is not None and "run out" in page.callout.lead


def test_the_story_tells_it_to_the_fill(paper: PaperDesk) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    paper.execute(proposal)
    paper.poll(proposal)
    story = enter(paper.approver).get(at("story", proposal))
    titles = [step.title for step in story.context["story"].steps]
    assert titles[0].startswith("Proposed by")
    assert titles[1] == "Policy: needs one approval"
    assert any(title.endswith("approved") for title in titles)
    assert titles[-1].startswith("Filled")
    assert story.context["story"].events


def test_an_approval_is_taken_back_until_the_order_leaves(paper: PaperDesk) -> None:
    proposal, client = paper.propose(quantity=Decimal("0.05")), enter(paper.approver)
    client.post(at("approve", proposal), carried(client, proposal))
    assert b"Take my approval back" in client.get(at("page", proposal)).content
    assert client.post(at("revoke", proposal)).status_code == 303
    page = client.get(at("page", proposal)).content.decode()
    assert "took the approval back" in page and "Votes: 0 of 2" in page
    assert enter(paper.approver2).post(at("revoke", proposal)).status_code == 404


def test_what_has_left_cannot_be_taken_back(paper: PaperDesk) -> None:
    proposal, client = paper.propose(), enter(paper.approver)
    paper.approve(proposal)
    paper.execute(proposal)
    assert b"Take my approval back" not in client.get(at("page", proposal)).content
    assert client.post(at("revoke", proposal)).status_code == 409
