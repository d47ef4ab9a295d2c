"""The demo desk: what a stranger finds, that it may be made again, and that its asks mostly reach a person."""

import json
import stat
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from itertools import cycle
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db.models import Model
from django.utils import timezone

from apps.accounts.models import ApiKey, User
from apps.accounts.services import api_keys
from apps.accounts.services.people import actor_of
from apps.accounts.types import Principal
from apps.audit.models import Alarm, Event
from apps.common.errors import AikaError, Misconfigured
from apps.connectors.models import Connection
from apps.connectors.services import connections
from apps.connectors.types import Side
from apps.dashboard.rules import demo_past, demo_wishes
from apps.dashboard.services import demo, demo_trades
from apps.lessons.models import Case, CaseTag, CaseViolation, Lesson
from apps.lessons.services import reviews
from apps.lessons.types import CaseSource
from apps.policies.models import PolicyVersion
from apps.quotes.services import quotes
from apps.trades.models import Order, Position, Proposal
from apps.trades.services import recalling, withdrawals
from apps.trades.services.approval import judge_again
from apps.trades.types import OrderState, ProposalState
from tests.factories.accounts import UserFactory, issue_key
from tests.factories.tampering import tamper
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.django_db

URL = "http://localhost:8000"
ORDINARY = 40
REACH_A_PERSON_IN_TEN = 8
MADE: tuple[type[Model], ...] = (User, ApiKey, Connection, PolicyVersion, Proposal, Order, Case, CaseTag, Lesson, Event)


def seed(simulator: SimulatorProcess, home: Path, *, url: str = URL) -> list[str]:
    """Make the desk with its file in `home`."""
    venue = demo.SimulatedVenue(url=simulator.url, key_name=simulator.key_name, secret=simulator.secret)
    return demo.seed(venue=venue, url=url, file=home / "demo.json", clock=timezone.now)


@pytest.fixture
def home(tmp_path: Path, simulator: SimulatorProcess) -> Path:
    """A data folder with a freshly made demo desk."""
    cache.clear()
    assert seed(simulator, tmp_path) == []
    return tmp_path


def tagged(tag: str) -> Proposal:
    """The one proposal of the demo with this tag."""
    (found,) = [proposal for proposal in Proposal.objects.all() if tag in proposal.tags]
    return found


def test_the_file_says_where_to_go_and_whom_to_sign_in_as(home: Path) -> None:
    file = home / "demo.json"
    found = json.loads(file.read_text(encoding="utf-8"))

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(found) == {"url", "users", "api_key"}
    assert found["url"] == URL
    assert set(found["users"]) == {"trader", "approver", "approver2", "operator", "admin"}
    for user in found["users"].values():
        assert set(user) == {"username", "password"}
        assert User.objects.get(username=user["username"]).check_password(user["password"])
    assert len({user["password"] for user in found["users"].values()}) == 5
    key = api_keys.authenticate(header=f"Bearer {found['api_key']}", address="127.0.0.1", now=timezone.now())
    assert key.owner.username == "trader"
    assert list(home.iterdir()) == [file]


def test_two_connections_say_paper_in_words_under_one_active_policy(home: Path) -> None:
    books = list(Connection.objects.order_by("slug"))

    assert [connection.environment for connection in books] == ["paper", "paper"]
    assert all("paper" in connection.name for connection in books)
    assert PolicyVersion.objects.filter(state="ACTIVE").count() == 1


def test_prices_move(home: Path, simulator: SimulatorProcess) -> None:
    connection = Connection.objects.earliest("created_at")
    seen = set()
    for _ in range(50):
        seen |= {quote.mid for quote in quotes.refresh(connection, ["BTC-USD"]).values()}
        if len(seen) > 1:
            return
        simulator.requests()
    raise AssertionError(f"the price stood still at {seen}")


def test_three_proposals_wait_a_plain_one_one_near_a_limit_and_one_like_past_losses(home: Path) -> None:
    assert Proposal.objects.filter(state=ProposalState.AWAITING_APPROVAL).count() == 3

    plain, near, like = (
        judge_again(tagged(tag), now=timezone.now()) for tag in ("demo-plain", "demo-near-limit", "demo-like-a-loss")
    )
    closest = {
        name: max(Decimal(line.used_fraction) for line in judged.evaluation.lines if line.used_fraction)
        for name, judged in (("plain", plain), ("near", near))
    }
    assert plain.tier and near.tier and like.tier
    assert (plain.tier.needed, near.tier.needed, like.tier.needed) == (1, 1, 2)
    assert (plain.tier.difference, near.tier.difference, like.tier.difference) == (False, False, True)
    assert closest["plain"] < Decimal("0.9") <= closest["near"] <= 1


def test_the_memory_speaks_beside_the_one_that_is_like_past_losses(home: Path) -> None:
    proposal = tagged("demo-like-a-loss")
    (line,) = [
        line for line in json.loads(bytes(proposal.decision.results))["lines"] if line["rule"] == "similar-losses"
    ]
    assert (line["verdict"], line["code"]) == ("REQUIRE", "SIMILAR_LOSSES")

    recalled = recalling.beside(proposal=proposal, principal=program(), now=timezone.now())
    assert recalled.evidence is not None
    assert (recalled.evidence.losses, recalled.evidence.wins) == (4, 0)
    assert demo_past.NO_STOP.next_time in {case.next_time for case in recalled.results}


def test_a_week_of_trades_won_and_lost_is_remembered_and_its_losses_have_lessons(home: Path) -> None:
    cases = Case.objects.filter(source=CaseSource.IMPORTED)
    assert Counter(cases.values_list("result", flat=True)) == {"WON": 8, "LOST": 6}
    assert Counter(Lesson.objects.values_list("state", flat=True)) == {"REVIEWED": 4, "AUTO": 2}
    # Nothing but a mistake that people found: an order of which less is known is not held against these.
    assert set(CaseViolation.objects.values_list("fact", flat=True)) == {"since_loss"}
    assert not Alarm.objects.exists()


def test_what_people_made_of_a_lesson_stays(home: Path, simulator: SimulatorProcess) -> None:
    lesson = Lesson.objects.filter(case__setup="dip").earliest("created_at")
    reviewer = User.objects.get(username="approver")
    reviews.dispute(
        lesson_id=lesson.pk, reviewer=reviewer, version=lesson.version, note="There was one.", now=timezone.now()
    )
    before = list(Lesson.objects.order_by("pk").values())

    seed(simulator, home)

    assert list(Lesson.objects.order_by("pk").values()) == before


def test_one_was_denied_and_its_remedy_would_pass(tmp_path: Path, simulator: SimulatorProcess) -> None:
    # At a price that stands still: the remedy is exact, and a tick up would be too much.
    simulator.pin_price("ADA-USD", "0.6")
    cache.clear()
    seed(simulator, tmp_path)
    denied = tagged("demo-denied")
    assert denied.state == ProposalState.DENIED
    results = json.loads(bytes(denied.decision.results))
    remedy = results["remedy"]
    assert remedy["sentence"]

    smaller = demo_wishes.Wish(**{**vars(demo_wishes.DENIED), "tag": "smaller", "quantity": remedy["value"]})
    connection, principal = denied.connection, program()
    assert demo_trades.ask(smaller, connection, principal, clock=timezone.now).state == ProposalState.AWAITING_APPROVAL


def test_one_went_all_the_way(home: Path) -> None:
    order = Order.objects.get()

    assert order.proposal == tagged("demo-filled")
    assert order.state == OrderState.FILLED
    assert Position.objects.get().quantity == order.filled_quantity == Decimal("0.2")


def test_made_again_it_keeps_everything(home: Path, simulator: SimulatorProcess) -> None:
    kept = json.loads((home / "demo.json").read_text(encoding="utf-8"))
    counts = {model: model.objects.count() for model in MADE}

    assert seed(simulator, home, url="http://localhost:9000") == []

    assert {model: model.objects.count() for model in counts} == counts
    assert json.loads((home / "demo.json").read_text(encoding="utf-8")) == kept | {"url": "http://localhost:9000"}


def test_what_no_longer_waits_is_asked_again(home: Path, simulator: SimulatorProcess) -> None:
    plain = tagged("demo-plain")
    withdrawals.withdraw(proposal_id=plain.pk, principal=program(), reason="", now=timezone.now())
    # Another price than a moment ago, or it would be a duplicate.
    simulator.pin_price("BTC-USD", "64321.5")
    cache.clear()

    seed(simulator, home)

    waiting = Proposal.objects.filter(state=ProposalState.AWAITING_APPROVAL)
    assert Counter(tag for proposal in waiting for tag in proposal.tags if tag != "demo") == {
        "demo-plain": 1,
        "demo-near-limit": 1,
        "demo-like-a-loss": 1,
    }


def test_what_ran_out_while_nothing_ran_is_asked_again(home: Path, simulator: SimulatorProcess) -> None:
    plain = tagged("demo-plain")
    tamper(plain, expires_at=timezone.now() - timedelta(seconds=1))
    simulator.pin_price("BTC-USD", "64321.5")
    cache.clear()

    seed(simulator, home)

    waiting = Proposal.objects.filter(state=ProposalState.AWAITING_APPROVAL, expires_at__gt=timezone.now())
    assert [one for one in waiting if "demo-plain" in one.tags] != []


def test_a_desk_does_not_move_to_another_venue(home: Path, simulator: SimulatorProcess) -> None:
    elsewhere = demo.SimulatedVenue(url="http://localhost:9", key_name=simulator.key_name, secret=simulator.secret)

    with pytest.raises(Misconfigured) as refused:
        demo.seed(venue=elsewhere, url=URL, file=home / "demo.json", clock=timezone.now)

    assert refused.value.code == "SIMULATOR_MOVED"
    assert set(Connection.objects.values_list("api_base", flat=True)) == {simulator.url}


def test_a_start_that_ended_half_way_leaves_no_password_that_nobody_knows(
    tmp_path: Path, simulator: SimulatorProcess
) -> None:
    cache.clear()
    elsewhere = demo.SimulatedVenue(url="http://localhost:9", key_name=simulator.key_name, secret=simulator.secret)
    with pytest.raises(AikaError):
        demo.seed(venue=elsewhere, url=URL, file=tmp_path / "demo.json", clock=timezone.now)
    early = json.loads((tmp_path / "demo.json").read_text(encoding="utf-8"))

    assert all(
        User.objects.get(username=user["username"]).check_password(user["password"]) for user in early["users"].values()
    )


def program() -> Principal:
    """The demo's key, and the trader behind it."""
    key = ApiKey.objects.select_related("owner").get()
    return Principal(user_id=key.owner_id, api_key_id=key.pk, name=key.name)


def test_ordinary_asks_are_varied_and_the_same_for_the_same_seed() -> None:
    asks = [demo_wishes.ordinary_wish(seed=1, number=number) for number in range(200)]

    assert asks == [demo_wishes.ordinary_wish(seed=1, number=number) for number in range(200)]
    assert asks != [demo_wishes.ordinary_wish(seed=2, number=number) for number in range(200)]
    assert len({ask.instrument for ask in asks}) == 5
    assert {ask.side for ask in asks} == {Side.BUY, Side.SELL}
    assert len({ask.quantity for ask in asks}) > 50
    assert any(Decimal(ask.through_bps) < 0 for ask in asks)
    assert any(Decimal(ask.through_bps) > 0 for ask in asks)


def second_program(connection: Connection) -> Principal:
    """Another trader's program on the demo desk: one alone would soon meet the limit of asks per minute."""
    owner = UserFactory(username="trader2", role="trader", desk=connection.desk)
    key, _ = issue_key(owner=owner, now=timezone.now())
    connections.grant(connection=connection, api_key=key, actor=actor_of(owner), now=timezone.now())
    return Principal(user_id=owner.pk, api_key_id=key.pk, name=key.name)


def test_at_least_eight_in_ten_ordinary_asks_reach_a_person(home: Path) -> None:
    """Asked one after the other on a desk where all the earlier ones still wait."""
    connection = Connection.objects.get(slug="coinbase-paper")
    programs = cycle((program(), second_program(connection)))
    ends: Counter[str] = Counter()
    for number, principal in zip(range(ORDINARY), programs, strict=False):
        wish = demo_wishes.ordinary_wish(seed=11, number=number)
        ends[demo_trades.ask(wish, connection, principal, clock=timezone.now).state] += 1

    assert sum(ends.values()) == ORDINARY
    assert ends[ProposalState.AWAITING_APPROVAL] * 10 >= ORDINARY * REACH_A_PERSON_IN_TEN, ends
