"""Several proposals in one request: each with its own key and verdict, none lost for another's sake."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import IdempotencyRecord
from apps.accounts.services import idempotency
from apps.audit.models import Event
from apps.connectors.services import connections
from apps.policies.models import Decision
from apps.trades.models import Order, Proposal, ProposalFacts
from apps.trades.services import batches
from tests.api.conftest import Caller, with_header
from tests.api.test_callers import key_with
from tests.api.test_watch import BASELINE
from tests.factories.desk import PaperDesk, connect_paper
from tests.factories.trading import change_policy, replayed, rules_with

pytestmark = pytest.mark.django_db

Make = Callable[..., dict[str, Any]]
PATH = "/trades/proposals/batch"


@pytest.fixture
def item(body: Make) -> Make:
    """A good proposal with a key of its own, unlike any before in its quantity."""
    made = iter(range(1, 1_000))

    def make(**changes: Any) -> dict[str, Any]:
        return body(**{"quantity": f"0.0100{next(made):03d}", "idempotency_key": str(uuid4())} | changes)

    return make


def said_of(answer: tuple[int, Any]) -> list[Any]:
    """Of each item: its state where it is stored, else the code of its problem."""
    status, said = answer
    assert status == 207, said
    for one in said["items"]:
        assert (one["proposal"] is None) != (one["problem"] is None)
        assert one["status"] == (one["problem"]["status"] if one["problem"] else 201)
    return [one["proposal"]["state"] if one["proposal"] else one["problem"]["code"] for one in said["items"]]


def proposals_in(answer: tuple[int, Any]) -> list[Any]:
    return [one["proposal"] for one in answer[1]["items"]]


def test_one_that_is_wrong_keeps_no_other_from_being_stored(bot: Caller, item: Make) -> None:
    twice = item()
    items = [
        item(),
        item(quantity="0.4"),
        item(quantity="-1"),
        item(instrument="NO-SUCH"),
        item(connection="elsewhere"),
        item(idempotency_key="ä"),
        item(idempotency_key=...),
        item(supersedes=str(uuid4())),
        item(planned_stop="-5"),
        "no object",
        item(limit_price=60000),
        item(shoe_size="44"),
        twice,
        twice | {"quantity": "0.02"},
        item(),
    ]
    answer = bot.post(PATH, {"items": items})
    assert said_of(answer) == [
        "AWAITING_APPROVAL",
        "DENIED",
        "NOT_POSITIVE",
        "INSTRUMENT_UNKNOWN",
        "CONNECTION_UNKNOWN",
        "IDEMPOTENCY_KEY_MALFORMED",
        "FIELD_MISSING",
        "PROPOSAL_UNKNOWN",
        "NOT_POSITIVE",
        "BODY_NOT_OBJECT",
        "DECIMAL_NOT_TEXT",
        "UNKNOWN_FIELD",
        "AWAITING_APPROVAL",
        "IDEMPOTENCY_KEY_TWICE",
        "AWAITING_APPROVAL",
    ]
    problems = [one["problem"] for one in answer[1]["items"] if one["problem"]]
    assert all(problem["fix"] and problem["request_id"] == bot.last["X-Request-ID"] for problem in problems)
    assert {problem.get("field") for problem in problems} >= {"idempotency_key", "instrument", "connection"}
    rows = list(Proposal.objects.order_by("created_at"))
    assert [str(row.pk) for row in rows] == [one["id"] for one in proposals_in(answer) if one]
    assert Decision.objects.count() == ProposalFacts.objects.count() == IdempotencyRecord.objects.count() == 4
    assert list(Event.objects.filter(stream__startswith="proposal:").order_by("id").values_list("kind", flat=True)) == [
        "proposal.proposed",
        "proposal.denied",
        "proposal.proposed",
        "proposal.proposed",
    ]
    assert replayed() == 4


def test_each_states_facts_of_its_own_and_one_that_states_them_wrongly_is_alone_in_that(
    bot: Caller, item: Make
) -> None:
    answer = bot.post(
        PATH,
        {
            "items": [
                item(facts={"minutes_to_event": "600"}),
                item(facts={"mood": "1"}),
                item(facts={"size_of_limit": "5"}),
                item(),
            ]
        },
    )
    assert said_of(answer) == ["AWAITING_APPROVAL", "UNKNOWN_FIELD", "FACT_DIFFERS", "AWAITING_APPROVAL"]
    told = [{fact["name"] for fact in one["facts"] if fact["told"]} for one in proposals_in(answer) if one]
    assert told == [{"minutes_to_event"}, set()]
    fields = [one["problem"]["field"] for one in answer[1]["items"] if one["problem"]]
    assert fields == ["facts.mood", "facts.size_of_limit"]
    assert ProposalFacts.objects.count() == 2


def test_each_is_what_a_single_request_would_have_got(bot: Caller, item: Make) -> None:
    told = item(confidence="0.5", tags=["momentum"], setup="range", planned_stop="60000", valid_for_s=600)
    (batched,) = proposals_in(bot.post(PATH, {"items": [told]}))
    alone = {name: value for name, value in told.items() if name != "idempotency_key"} | {"quantity": "0.02"}
    single = bot.propose(alone)[1]

    assert set(batched) == set(single)
    assert set(batched["decision"]) == set(single["decision"])
    assert {line["rule"] for line in batched["decision"]["lines"]} == {
        line["rule"] for line in single["decision"]["lines"]
    }
    for name in ("state", "confidence", "tags", "rationale"):
        assert batched[name] == single[name], name
    assert {fact["name"] for fact in batched["facts"]} == {fact["name"] for fact in single["facts"]}
    found = bot.get(f"/trades/proposals/{batched['id']}")[1]
    assert {name: found[name] for name in batched if name != "lessons"} == {
        name: value for name, value in batched.items() if name != "lessons"
    }


def test_sent_again_what_is_stored_is_answered_again_and_the_rest_is_tried_anew(bot: Caller, item: Make) -> None:
    good, denied, bad = item(), item(quantity="0.4"), item(quantity="-1")
    first = bot.post(PATH, {"items": [good, bad, denied]})
    assert said_of(first) == ["AWAITING_APPROVAL", "NOT_POSITIVE", "DENIED"]
    assert [one["replayed"] for one in first[1]["items"]] == [False, False, False]

    corrected, more = bad | {"quantity": "0.03"}, item()
    again = bot.post(PATH, {"items": [more, dict(reversed(denied.items())), corrected, good]})
    assert said_of(again) == ["AWAITING_APPROVAL", "DENIED", "AWAITING_APPROVAL", "AWAITING_APPROVAL"]
    assert [one["replayed"] for one in again[1]["items"]] == [False, True, False, True]
    assert [proposals_in(again)[3], proposals_in(again)[1]] == [proposals_in(first)[0], proposals_in(first)[2]]
    assert Proposal.objects.count() == IdempotencyRecord.objects.count() == 4

    whole = bot.post(PATH, {"items": [good, corrected, denied, more]})
    assert [one["replayed"] for one in whole[1]["items"]] == [True] * 4
    assert Proposal.objects.count() == 4
    other = bot.post(PATH, {"items": [good | {"quantity": "0.02"}, item()]})
    assert said_of(other) == ["IDEMPOTENCY_KEY_REUSED", "AWAITING_APPROVAL"]


def test_alone_and_in_a_batch_a_key_is_the_same(bot: Caller, item: Make) -> None:
    one, other = item(), item()
    alone, inside = dict(one), dict(other)
    alone_key, inside_key = alone.pop("idempotency_key"), inside.pop("idempotency_key")
    _, single = bot.propose(alone, alone_key)
    answer = bot.post(PATH, {"items": [one, other]})
    assert [entry["replayed"] for entry in answer[1]["items"]] == [True, False]
    assert proposals_in(answer)[0] == single
    assert bot.propose(inside, inside_key) == (201, proposals_in(answer)[1])
    assert bot.last["Idempotent-Replayed"] == "true"
    assert Proposal.objects.count() == 2


def test_what_an_earlier_one_binds_counts_against_the_later_ones(
    bot: Caller, item: Make, paper: PaperDesk, settings: Any
) -> None:
    """Where no person is asked, an approval takes its part of the day at once: the third finds too little left, a
    smaller one after it still passes."""
    settings.POLICY_REQUIRE_APPROVAL = False
    price = paper.crossing_price("BTC-USD", "BUY")  # type: ignore[arg-type]
    tiers = [{"needed": "0", "roles": ["approver"]}]
    day = {"max_notional": str(int(price * 5 / 100))}
    change_policy(paper, rules_with(approvals={"tiers": tiers}, daily_notional=day))
    sizes = ("0.02", "0.021", "0.022", "0.005")
    answer = bot.post(PATH, {"items": [item(quantity=size, limit_price=str(price)) for size in sizes]})
    assert said_of(answer) == ["APPROVED", "APPROVED", "DENIED", "APPROVED"]
    assert proposals_in(answer)[2]["decision"]["codes"] == ["DAILY_NOTIONAL"]
    assert Order.objects.count() == 3
    in_order = [str(made) for made in Proposal.objects.order_by("created_at").values_list("pk", flat=True)]
    assert in_order == [one["id"] for one in proposals_in(answer)]
    assert replayed() == 7

    alone = [
        {name: value for name, value in item(quantity=size).items() if name != "idempotency_key"} for size in sizes
    ]
    assert [bot.propose(one)[1]["state"] for one in alone] == ["DENIED"] * 4


def test_rates_and_duplicates_of_policy_count_the_earlier_ones(bot: Caller, item: Make, paper: PaperDesk) -> None:
    change_policy(paper, rules_with(rate_proposer={"max_count": "4"}))
    same = {"quantity": "0.02"}
    answer = bot.post(PATH, {"items": [item(**same), item(**same), item(), item(), item(), item()]})
    codes = [one["decision"]["codes"] for one in proposals_in(answer)]
    assert codes == [[], ["DUPLICATE"], [], [], ["ORDER_RATE"], ["ORDER_RATE"]]
    assert said_of(answer)[1] == "DENIED"
    assert replayed() == 6


def test_two_connections_take_turns(bot: Caller, item: Make, paper: PaperDesk) -> None:
    more = connect_paper(paper.desk, paper.simulator, "more", timezone.now())
    connections.grant(connection=more, api_key=paper.key, actor=paper.principal.actor(), now=timezone.now())
    asked = [item(), item(connection="more"), item(connection="elsewhere"), item(), item(connection="more")]
    answer = bot.post(PATH, {"items": asked})
    assert said_of(answer)[2] == "CONNECTION_UNKNOWN"
    made = [one for one in proposals_in(answer) if one]
    assert [one["terms"]["connection"] for one in made] == [asked[place]["connection"] for place in (0, 1, 3, 4)]
    assert [str(row.pk) for row in Proposal.objects.order_by("created_at")] == [one["id"] for one in made]


def test_a_venue_that_is_away_refuses_its_items_only(
    bot: Caller, item: Make, paper: PaperDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.common.errors import Unavailable

    more = connect_paper(paper.desk, paper.simulator, "more", timezone.now())
    connections.grant(connection=more, api_key=paper.key, actor=paper.principal.actor(), now=timezone.now())
    real = batches.market.fresh_market

    def away(connection: Any, codes: Any, *, now: Any) -> Any:
        if connection.slug == "more":
            raise Unavailable("VENUE_UNAVAILABLE", "It does not answer.")
        return real(connection, codes, now=now)

    monkeypatch.setattr(batches.market, "fresh_market", away)
    answer = bot.post(PATH, {"items": [item(connection="more"), item()]})
    assert said_of(answer) == ["VENUE_UNAVAILABLE", "AWAITING_APPROVAL"]


def test_it_needs_the_scope_and_the_grant_of_a_single_one(paper: PaperDesk, item: Make) -> None:
    for scope in ("read", "halt", "report"):
        status, said = key_with(paper, scope).post(PATH, {"items": [item()]})
        assert (status, said["code"]) == (403, "SCOPE_MISSING")
    assert said_of(key_with(paper, "propose", granted=False).post(PATH, {"items": [item()]})) == ["CONNECTION_UNKNOWN"]
    assert not Proposal.objects.exists()
    assert said_of(key_with(paper, "propose").post(PATH, {"items": [item()]})) == ["AWAITING_APPROVAL"]


def test_each_counts_as_a_request(bot: Caller, item: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from rest_framework.settings import api_settings

    monkeypatch.setattr("apps.common.api.rates.time.time", lambda: 1_000_000_020.0)
    monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, "write", "5/min")
    cache.clear()
    assert len(said_of(bot.post(PATH, {"items": [item(), item(), item()]}))) == 3
    status, said = bot.post(PATH, {"items": [item(), item(), item()]})
    assert (status, said["code"], bot.last["Retry-After"]) == (429, "RATE_EXCEEDED", said["details"]["retry_after"])
    assert Proposal.objects.count() == 3
    assert bot.propose(item(idempotency_key=...))[0] == 429


def test_a_batch_has_its_bounds(bot: Caller, item: Make) -> None:
    for count, code in ((0, "TOO_FEW_ITEMS"), (batches.ITEMS_MAX + 1, "TOO_MANY_ITEMS")):
        status, said = bot.post(PATH, {"items": [item()] * count})
        assert (status, said["code"], said["field"]) == (400, code, "items")
    for wrong, code in (({}, "FIELD_MISSING"), ({"items": "x"}, "WRONG_TYPE"), ([], "BODY_NOT_OBJECT")):
        assert bot.post(PATH, wrong)[1]["code"] == code
    assert bot.post(PATH, b'{"items": [' + b" " * 512 * 1024 + b"]}")[0] == 413
    assert bot.get(PATH)[0] == 405
    assert not Proposal.objects.exists()


@pytest.mark.parametrize("count", [1, 20])
def test_reads_are_made_once_for_all(bot: Caller, item: Make, count: int) -> None:
    bot.post(PATH, {"items": [item()]})
    items = [item() for _ in range(count)]
    with CaptureQueriesContext(database) as queries:
        answer = bot.post(PATH, {"items": items})
    assert set(said_of(answer)) == {"AWAITING_APPROVAL"}
    assert len(queries) == BASELINE[f"POST trades/proposals/batch of {count}"]


def test_who_loses_the_race_for_one_key_loses_nothing_else(
    bot: Caller, item: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch has looked and found nothing; then a single request with one of its keys commits."""
    items = [item(), item(), item(quantity="0.4")]
    alone = {name: value for name, value in items[1].items() if name != "idempotency_key"}
    real, winner = idempotency.settled_each, {}

    def late(claims: Any) -> Any:
        found = real(claims)
        winner["answer"] = bot.propose(alone, items[1]["idempotency_key"])
        return found

    monkeypatch.setattr(batches.idempotency, "settled_each", late)
    answer = bot.post(PATH, {"items": items})
    assert said_of(answer) == ["AWAITING_APPROVAL", "AWAITING_APPROVAL", "DENIED"]
    assert [one["replayed"] for one in answer[1]["items"]] == [False, True, False]
    assert proposals_in(answer)[1] == winner["answer"][1]
    assert Proposal.objects.count() == IdempotencyRecord.objects.count() == 3
    assert replayed() == 3


def test_a_stranger_learns_nothing(item: Make, paper: PaperDesk) -> None:
    status, said = with_header("Bearer nonsense").post(PATH, {"items": [item()]})
    assert (status, said["code"]) == (401, "KEY_MALFORMED")
