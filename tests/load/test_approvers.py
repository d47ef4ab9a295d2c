"""Who decides under load, and when: a turn belongs to one, and so does a proposal."""

import threading
from decimal import Decimal

import httpx
import pytest
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from apps.accounts.models import User
from apps.trades.models import Proposal
from tests.factories.desk import PaperDesk
from tests.load import report
from tests.load.approvers import DECLINED_EVERY, Approver, Turns
from tests.load.diary import Diary
from tests.load.seen import Plan, Seen
from tests.races.conftest import desk as desk
from tests.scenarios.callers import ANSWER_S_MAX

EVERY_S, PEOPLE = 1.0, 3


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> float:
        return self.at


def test_turns_come_at_the_desks_pace_whoever_takes_them() -> None:
    turns = Turns(EVERY_S, PEOPLE, Clock().now)
    assert [turns.take() for _ in range(4)] == [100.0, 101.0, 102.0, 103.0]


def test_as_many_turns_as_people_may_be_late_and_a_stall_is_not_caught_up() -> None:
    clock = Clock()
    turns = Turns(EVERY_S, PEOPLE, clock.now)
    turns.take()
    clock.at = 102.5
    assert [turns.take(), turns.take()] == [101.0, 102.0]
    clock.at = 160.0
    assert [turns.take() for _ in range(5)] == [157.0, 158.0, 159.0, 160.0, 161.0]


def test_two_people_never_have_the_same_proposal_before_them() -> None:
    turns = Turns(EVERY_S, PEOPLE, Clock().now)
    first, second = {"id": "a"}, {"id": "b"}
    assert turns.pick([first, second]) == first
    assert turns.pick([first, second]) == second
    assert turns.pick([first, second]) is None
    turns.put_down(first)
    assert turns.pick([first, second]) == first
    assert turns.pick([]) is None


def test_the_pace_is_of_the_approvals_under_load_only() -> None:
    seen = Seen(Plan(), Diary(), began=10.0, loaded_until=20.0)
    assert report.as_json(seen, [])["approval_pace"] == "it approved too seldom for a pace"
    seen.diary.times["approved"] = [5.0, 11.0, 14.0, 12.0, 20.0, 29.0]
    assert report.as_json(seen, [])["approval_pace"] == "one approval in 3.00 s (p50 2.00 s, p95 6.00 s)"


@pytest.mark.django_db(transaction=True)
def test_people_side_by_side_approve_each_their_own_decline_a_tenth_and_leave_what_nobody_may_sign(
    desk: PaperDesk, live_server: LiveServer
) -> None:
    """As over a network: through the API and, for the first one each, on the page."""
    diary, over = Diary(), threading.Event()
    turns = Turns(EVERY_S, 2, diary.now)
    browsers = [signed_in(person, live_server.url) for person in (desk.approver, desk.approver2)]
    first, second = (Approver(live_server.url, browser, turns, diary, over) for browser in browsers)
    first.turn()
    assert diary.times["approved"] == [] and diary.counts == {}

    asked = [desk.propose(quantity=Decimal(size)) for size in ("0.001", "0.002", "0.003")]
    first.turn()
    second.turn()
    first.decided = DECLINED_EVERY - 1
    first.turn()
    states = sorted(Proposal.objects.filter(pk__in=[one.pk for one in asked]).values_list("state", flat=True))
    assert states == ["APPROVED", "APPROVED", "DECLINED"]
    assert len(diary.approved) == len(diary.times["approved"]) == 2
    assert diary.counts == {"approve counted": 2, "decline counted": 1}
    assert {answer.what for answer in diary.answers} >= {"page", "approve on the page", "decline"}
    assert {answer.status for answer in diary.answers} == {200}
    for browser in browsers:
        browser.close()


def signed_in(person: User, url: str) -> httpx.Client:
    """A browser of somebody who signed in, at a page that gave it the token of forms."""
    client = Client()
    client.force_login(person)
    browser = httpx.Client(base_url=url, timeout=ANSWER_S_MAX, follow_redirects=True)
    browser.cookies.set("sessionid", client.cookies["sessionid"].value)
    assert browser.get("/admin/").status_code == 200
    return browser
