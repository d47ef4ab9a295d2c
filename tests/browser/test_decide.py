"""An approver at work: reads, decides, and watches what becomes of it, in a real browser."""

import re
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from apps.approvals.models import Vote
from apps.trades.models import Order, Proposal
from apps.trades.types import OrderState, ProposalState
from tests.browser.conftest import PHONE, WIDE, SignIn, Ticker
from tests.factories.desk import PaperDesk
from tests.factories.similar import lost, proposed

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def open_page(page: Page, proposal: Proposal) -> None:
    page.goto(f"/admin/decide/{proposal.pk}/")


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_approving_leads_to_filled_without_leaving_the_page(
    desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn, viewport: dict[str, int]
) -> None:
    proposal = desk_live.propose()
    page = sign_in(desk_live.approver, viewport=viewport)
    open_page(page, proposal)
    expect(page.locator("h1")).to_contain_text("0.01 BTC")
    page.locator("#approve").click()
    expect(page.locator("#follow")).to_contain_text("about to leave")
    assert page.url.endswith(f"/admin/decide/{proposal.pk}/")

    desk_live.execute(proposal)
    desk_live.poll(proposal)
    expect(page.locator("#follow h2")).to_have_text("Filled", timeout=5000)
    expect(page.locator("#follow")).to_contain_text("Price seen by the last approver")
    assert Order.objects.get(proposal=proposal).state == OrderState.FILLED
    assert page.troubles == []  # type: ignore[attr-defined]


def test_the_price_ages_in_sight_and_approve_goes_and_comes_with_it(
    desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn
) -> None:
    proposal = desk_live.propose()
    page = sign_in(desk_live.approver)
    open_page(page, proposal)
    approve = page.locator("#approve")
    expect(approve).to_be_enabled()
    ticking.silence()
    expect(approve).to_be_disabled(timeout=15_000)
    expect(page.locator("#why-off")).to_contain_text(re.compile(r"Approve is off: the price is \d+ s old"))
    expect(page.locator('[data-tile="price"]')).to_contain_text("Not known")
    expect(page.locator("#decline")).to_be_enabled()

    again = Ticker(desk_live).start()
    try:
        expect(approve).to_be_enabled(timeout=5000)
    finally:
        again.silence()


def test_where_similar_trades_lost_approving_needs_what_is_different(
    desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn
) -> None:
    lost(desk_live)
    proposal = proposed(desk_live)
    page = sign_in(desk_live.approver)
    open_page(page, proposal)
    expect(page.locator("#difference-help")).to_contain_text("3 of 3 similar trades in 30 days lost")
    page.locator("#approve").click()
    expect(page.locator("#difference-missing")).to_be_visible()
    expect(page.locator("#difference")).to_be_focused()
    page.locator("#difference").fill("Too short.")
    page.locator("#approve").click()
    expect(page.locator("#difference-missing")).to_contain_text("at least 20 characters")
    expect(page.locator("#difference")).to_have_value("Too short.")
    assert Vote.objects.count() == 0

    page.locator("#difference").fill("Half the size, and the stop rests at the venue.")
    page.locator("#approve").click()
    expect(page.locator(".votes")).to_contain_text("Half the size, and the stop rests at the venue.")
    assert Vote.objects.get().difference == "Half the size, and the stop rests at the venue."
    proposal.refresh_from_db()
    assert (proposal.state, proposal.needed) == (ProposalState.AWAITING_APPROVAL, 2)
    assert [trouble for trouble in page.troubles if "400" not in trouble] == []  # type: ignore[attr-defined]


def test_declining_needs_a_sentence_and_ends_it(desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn) -> None:
    proposal = desk_live.propose()
    page = sign_in(desk_live.approver)
    open_page(page, proposal)
    page.locator("#decline").click()
    expect(page.locator("#comment-missing")).to_be_visible()
    assert Vote.objects.count() == 0

    page.locator("#comment").fill("Twice stopped out this morning.")
    page.locator("#decline").click()
    expect(page.locator("#callouts")).to_contain_text("Twice stopped out this morning.")
    proposal.refresh_from_db()
    assert proposal.state == ProposalState.DECLINED


def test_keys_move_the_focus_and_enter_sends(desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn) -> None:
    first, second = desk_live.propose(), desk_live.propose(quantity=Decimal("0.02"))
    page = sign_in(desk_live.approver)
    page.goto("/admin/")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/admin/decide/{first.pk}/")
    page.keyboard.press("a")
    expect(page.locator("#approve")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#follow")).to_be_visible()
    second.refresh_from_db()
    assert second.state == ProposalState.AWAITING_APPROVAL


def test_d_moves_to_declining_and_sends_nothing_before_enter(
    desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn
) -> None:
    proposal = desk_live.propose()
    page = sign_in(desk_live.approver)
    open_page(page, proposal)
    page.keyboard.press("d")
    expect(page.locator("#decline")).to_be_focused()
    assert Vote.objects.count() == 0

    page.locator("#comment").focus()
    page.keyboard.type("add it later")
    assert page.locator("#comment").input_value() == "add it later", "in a field, a and d are letters"
    page.locator("#comment").blur()
    page.keyboard.press("d")
    page.keyboard.press("Enter")
    expect(page.locator("#callouts")).to_contain_text("add it later")
    proposal.refresh_from_db()
    assert proposal.state == ProposalState.DECLINED


def test_keys_walk_every_list_of_the_console(desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn) -> None:
    older = desk_live.propose()
    desk_live.propose(quantity=Decimal("0.02"))
    page = sign_in(desk_live.approver)
    page.goto("/admin/trades/proposal/")
    for key in ("j", "j", "k", "j"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/admin/trades/proposal/{older.pk}/change/**")
    page.goto("/admin/trades/proposal/")
    page.keyboard.press("/")
    page.keyboard.type("j")
    expect(page.locator(":focus")).to_have_value("j")
    assert page.locator(".is-here").count() == 0, "typing is not walking"


def test_somebody_was_faster_and_the_page_says_so_by_itself(
    desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn
) -> None:
    proposal = desk_live.propose()
    page = sign_in(desk_live.approver)
    open_page(page, proposal)
    page.locator("#comment").fill("I was about to")
    desk_live.approve(proposal, desk_live.approver2)
    expect(page.locator("#follow")).to_be_visible(timeout=5000)
    expect(page.locator("#approve")).to_have_count(0)


def test_a_form_posts_without_scripts(desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn) -> None:
    proposal = desk_live.propose()
    page = sign_in(desk_live.approver, scripts=False)
    open_page(page, proposal)
    page.locator("#approve").click()
    expect(page.locator("#follow")).to_be_visible()


def test_halt_acts_at_once_and_leads_back(desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn) -> None:
    proposal = desk_live.propose()
    page = sign_in(desk_live.approver)
    open_page(page, proposal)
    page.get_by_role("button", name="Halt").click()
    expect(page.locator("#bar-state")).to_contain_text("HALTED")
    expect(page.locator("h1")).to_contain_text("Trading is HALTED")
    page.get_by_role("link", name="Back to where you were").click()
    page.wait_for_url(f"**/admin/decide/{proposal.pk}/")
    expect(page.locator("#approve")).to_be_disabled()
    expect(page.locator("#why-off")).to_contain_text("policy denies")


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_red_button_is_in_sight_on_every_page_and_works_without_scripts(
    desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn, viewport: dict[str, int]
) -> None:
    proposal = desk_live.propose()
    page = sign_in(desk_live.approver, viewport=viewport, scripts=False)
    where = ("/admin/", f"/admin/decide/{proposal.pk}/", "/admin/trading-state/", "/admin/trades/order/")
    for path in (*where, "/accounts/password/change/", "/admin/nowhere/"):
        page.goto(path)
        button = page.get_by_role("button", name="Halt trading")
        box = button.bounding_box()
        assert box is not None and box["y"] + box["height"] <= viewport["height"], path
        assert box["x"] >= 0 and box["x"] + box["width"] <= viewport["width"], path
        assert box["height"] >= 32, path
    page.get_by_role("button", name="Halt trading").click()
    expect(page.locator("h1")).to_contain_text("Trading is HALTED")
    expect(page.locator(".then").first).to_contain_text(desk_live.approver.shown_name)


def test_the_first_screen_of_a_phone_answers_the_four_questions(
    desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn
) -> None:
    proposal = desk_live.propose()
    page = sign_in(desk_live.approver, viewport=PHONE)
    open_page(page, proposal)
    bar = page.locator(".gobar").bounding_box()
    assert bar is not None
    for tile in page.locator(".tile .answer").all():
        box = tile.bounding_box()
        assert box is not None and box["y"] + box["height"] <= bar["y"]
    approve = page.locator("#approve").bounding_box()
    last = page.locator(".tiles").bounding_box()
    assert approve is not None and last is not None and approve["y"] > last["y"] + last["height"]
