"""The index by kind of work: what stands in Decide, Watch, Set up and Look back, and where each leads."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from redis.exceptions import RedisError

from apps.accounts.models import User
from apps.approvals.selectors import waiting
from apps.audit.services import alarms
from apps.connectors.selectors import market_of
from apps.dashboard import work
from apps.dashboard.views.desk import _waits
from apps.quotes.rules.feed import FeedSigns
from apps.quotes.selectors.feed import signs_key
from apps.trades.selectors.pages import waiting_total
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk
from tests.factories.unknown import unknown
from tests.policies.rows import a_connection

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def enter(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def panel(text: str, key: str) -> str:
    """The text of one panel of a page, tags taken out."""
    inside = text[text.index(f'aria-labelledby="h-{key}"') :].partition("</section>")[0].partition(">")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", inside)).split())


def stands(user: User, key: str) -> dict[str, tuple[str, ...]]:
    """Name -> what is said behind it, of one kind of work."""
    group = enter(user).get(reverse(f"admin:{key}")).context["group"]
    return {link.name: tuple(say.words for say in link.says) for link in group.links}


def feed_is_live(paper: PaperDesk) -> None:
    now = timezone.now()
    signs = FeedSigns(holder="me", said_at=now, since=now, whole_at=now, priced_at=now, sockets=1, live=1)
    cache.set(signs_key(market_of(paper.connection)), signs)


class TestDecide:
    def test_how_many_wait_and_since_when_the_oldest_does(self, paper: PaperDesk) -> None:
        first, client = paper.propose(), enter(paper.approver)
        said = panel(client.get(reverse("admin:index")).content.decode(), "decide")
        assert re.match(r"Decide 1 waits, for \d+ s\.", said), said
        paper.propose(quantity=Decimal("0.02"))
        answer = client.get(reverse("admin:index"))
        assert re.match(r"Decide 2 wait, the oldest for \d+ s\.", panel(answer.content.decode(), "decide"))
        assert waiting.all_waiting(answer.context["lines"], viewer=paper.approver, now=timezone.now()) == (
            2,
            first.created_at,
        )

    @pytest.mark.parametrize(
        ("count", "age", "said"),
        [
            (0, None, ""),
            (1, timedelta(seconds=42), "1 waits, for 42 s"),
            (3, timedelta(minutes=12, seconds=3), "3 wait, the oldest for 12 min 3 s"),
            (3, timedelta(seconds=-5), "3 wait, the oldest for 0 s"),
        ],
    )
    def test_in_words(self, count: int, age: timedelta | None, said: str) -> None:
        now = datetime(2026, 3, 2, 12, tzinfo=UTC)
        assert _waits(count, None if age is None else now - age, now) == said

    def test_what_is_more_than_a_page_is_counted_all_the_same(
        self, paper: PaperDesk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The lines are the newest ones: the oldest of them is not the oldest that waits."""
        asked = [paper.propose(quantity=Decimal(size)) for size in ("0.01", "0.02", "0.03")]
        assert {row.state for row in asked} == {"AWAITING_APPROVAL"}
        monkeypatch.setattr(waiting, "LINES_MAX", 2)
        answer = enter(paper.approver).get(reverse("admin:index"))
        assert [line.id for line in answer.context["lines"]] == [asked[2].pk, asked[1].pk]
        assert answer.context["waits"].startswith("3 wait, the oldest for ")
        found = waiting.all_waiting(answer.context["lines"], viewer=paper.approver, now=timezone.now())
        assert found == (3, asked[0].created_at)

    def test_nothing_of_another_desk_and_nothing_expired_is_counted(
        self, paper: PaperDesk, outsider: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = paper.propose()
        assert waiting_total(connection_ids=(), now=timezone.now()) == (0, None)
        assert waiting_total(connection_ids=None, now=timezone.now()) == (1, asked.created_at)
        assert waiting_total(connection_ids=None, now=asked.expires_at) == (0, None)
        monkeypatch.setattr(waiting, "LINES_MAX", 0)
        assert waiting.all_waiting((), viewer=outsider, now=timezone.now()) == (0, None)
        assert waiting.all_waiting((), viewer=paper.approver, now=timezone.now()) == (1, asked.created_at)

    def test_nothing_waits(self, paper: PaperDesk) -> None:
        said = panel(enter(paper.approver).get(reverse("admin:index")).content.decode(), "decide")
        assert "Nothing waits. What a program asks over the API, or staff, stands here" in said


class TestWatch:
    def test_what_stands_there(self, paper: PaperDesk) -> None:
        alarms.raise_alarm(code="FILLS_DIFFER", subject="order:1", message="They differ.", now=timezone.now())
        feed_is_live(paper)
        said = stands(paper.approver, "watch")
        assert said["Feed"] == ("LIVE",)
        assert said["Orders"] == ("none under way",)
        assert said["Positions"] == ("0 held",)
        assert said["Alarms"] == ("1 not acknowledged",)
        assert said["Trading states"] == ("everything ACTIVE",)
        assert list(said)[: len([name for name in said if said[name]])] == sorted(name for name in said if said[name])

    def test_unknown_orders_stand_beside_those_under_way(self, paper: PaperDesk) -> None:
        works = paper.propose(instrument="ETH-USD", quantity=Decimal("0.1"))
        paper.approve(works)
        unknown(paper, "reset-after")
        flight, lost = stands(paper.approver, "watch")["Orders"]
        assert re.fullmatch(r"2 under way, the oldest (just now|[\d.]+ s ago)", flight)
        assert lost == "1 unknown, being looked up"
        text = panel(enter(paper.approver).get(reverse("admin:watch")).content.decode(), "watch")
        assert flight.partition(",")[0] in text and lost in text

    def test_a_feed_that_is_not_live_says_its_word(self, paper: PaperDesk) -> None:
        assert stands(paper.approver, "watch")["Feed"] == ("DOWN",)
        feed_is_live(paper)
        a_connection(paper.desk, timezone.now(), slug="other")
        assert stands(paper.approver, "watch")["Feed"] == ("1 of 2 LIVE, DOWN",)

    def test_feeds_of_other_desks_are_not_told(self, paper: PaperDesk) -> None:
        feed_is_live(paper)
        assert stands(UserFactory(role="approver"), "watch")["Feed"] == ("none to follow",)

    def test_the_feed_leads_to_its_panel_for_those_who_may_watch(self, paper: PaperDesk) -> None:
        client = enter(paper.approver)
        link = next(one for one in client.get(reverse("admin:watch")).context["group"].links if one.name == "Feed")
        path, _, place = link.url.partition("#")
        assert f'id="{place}"' in client.get(path).content.decode()
        nobody = UserFactory()
        assert enter(nobody).get(path).status_code == 403
        assert "Feed" not in stands(nobody, "watch")

    def test_without_the_cache_the_page_still_comes(self, paper: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
        def down(*_args: Any, **_options: Any) -> Any:
            raise RedisError

        monkeypatch.setattr(work, "feed_states_of", down)
        assert stands(paper.approver, "watch")["Feed"] == ("the cache does not answer",)


# What stands there for somebody who may look at everything. A page that is new is put where people will look for it.
SET_UP = {
    "API keys", "Authorisations", "Connection grants", "Connections", "Connector checks", "Crontabs", "Desks", "Hooks",
    "Index spaces", "Instruments", "Intervals", "Knowledge documents", "Knowledge sources", "Periodic tasks",
    "Policy sets", "Policy versions", "Second person requests", "Users",
}  # fmt: skip
LOOK_BACK = {
    "Authorities", "Calls of hooks", "Candle backfills", "Candle series", "Cases", "Checkpoints", "Decisions",
    "Deliveries", "Email addresses", "Evaluations", "Events", "Fills", "Halt clearings", "Inquiries",
    "Knowledge questions", "Lessons",
    "Lessons: does it help?", "Outcomes", "Proposal facts", "Proposals", "Recalls", "Reconciliation runs",
    "Reported outcomes", "Reservations", "Votes",
}  # fmt: skip
WATCH = {
    "Alarms", "Balances", "Budgets", "Differences", "Equity marks", "Feed", "Index entries", "Latches", "Orders",
    "Positions", "Trading states",
}  # fmt: skip


def test_each_page_stands_in_one_group_and_says_how_it_is(paper: PaperDesk, admin_user: User) -> None:
    assert set(stands(admin_user, "watch")) == WATCH
    set_up, look_back = stands(admin_user, "set_up"), stands(admin_user, "look_back")
    assert set(set_up) == SET_UP
    assert set(look_back) == LOOK_BACK
    assert set_up["Connections"] == ("1 paper, 0 live",)
    assert (look_back["Proposals"], look_back["Outcomes"]) == (("0 in 30 days",), ("0 closed in 30 days",))
    paper.propose()
    assert stands(admin_user, "look_back")["Proposals"] == ("1 in 30 days",)


def test_the_index_has_all_four_of_them_and_a_person_only_what_they_may_see(
    paper: PaperDesk, admin_user: User, auditor: User
) -> None:
    text = enter(admin_user).get(reverse("admin:index")).content.decode()
    assert [key for key in ("decide", "watch", "set_up", "look_back") if f'id="h-{key}"' in text] == [
        "decide", "watch", "set_up", "look_back",
    ]  # fmt: skip
    assert "Users" in panel(text, "set_up") and "Events" in panel(text, "look_back")
    less = {key: set(stands(auditor, key)) for key in ("watch", "set_up", "look_back")}
    assert less["watch"] <= WATCH and less["set_up"] < SET_UP and less["look_back"] <= LOOK_BACK
    assert "Periodic tasks" not in less["set_up"] and "Events" in less["look_back"]
    assert stands(UserFactory(), "set_up") == {}
