"""Asking for a trade: what comes back when it waits for people, and when policy says no."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.accounts.models import IdempotencyRecord
from apps.audit.models import Event
from apps.trades.models import Proposal, ProposalFacts
from tests.api.conftest import Caller
from tests.factories.desk import PaperDesk
from tests.factories.tampering import guards_lifted

pytestmark = pytest.mark.django_db

Make = Callable[..., dict[str, Any]]


def test_a_proposal_within_limits_waits_for_people(bot: Caller, body: Make, paper: PaperDesk) -> None:
    status, said = bot.propose(body(confidence="0.80", tags=["momentum"]))

    assert status == 201, said
    assert said["state"] == "AWAITING_APPROVAL"
    assert said["terms"]["quantity"] == "0.01"
    assert said["confidence"] == "0.8"
    assert said["decision"]["outcome"] == "NEEDS_APPROVAL"
    assert said["decision"]["tier"]["needed"] == 1
    assert {line["verdict"] for line in said["decision"]["lines"]} <= {"PASS", "REQUIRE", "NOT_APPLICABLE"}
    assert bot.last["Location"] == said["links"]["self"] == f"/api/v1/trades/proposals/{said['id']}"
    row = Proposal.objects.get(pk=said["id"])
    assert (row.digest, row.proposer_id, row.api_key_id) == (said["digest"], paper.trader.pk, paper.key.pk)
    assert Event.objects.filter(subject=said["id"], kind="proposal.proposed").count() == 1
    assert paper.simulator.orders() == []


def test_it_says_the_plan_it_came_with_and_the_facts_it_was_judged_by(bot: Caller, body: Make) -> None:
    status, said = bot.propose(body(setup="range", planned_stop="60000", planned_target="90000"))
    assert status == 201, said
    entry = said["plan"].pop("entry")
    assert (said["plan"], entry is None) == ({"setup": "range", "stop": "60000", "target": "90000"}, False)
    facts = {fact["name"]: fact for fact in said["facts"]}
    assert facts["has_planned_stop"] == {
        "name": "has_planned_stop",
        "value": "1",
        "unit": "yes",
        "limit": "1",
        "violated": False,
        "told": False,
    }
    assert (facts["chase"]["value"], facts["chase"]["violated"]) == (None, None), "there are no candles to go by"
    told = bot.get(f"/trades/proposals/{said['id']}")[1]
    (listed,) = bot.get("/trades/proposals")[1]["items"]
    assert told["plan"] == listed["plan"] == said["plan"] | {"entry": entry}
    assert told["facts"] == listed["facts"] == said["facts"]


def test_it_takes_facts_that_are_not_measured_and_says_whose_word_they_are(bot: Caller, body: Make) -> None:
    status, said = bot.propose(body(facts={"minutes_to_event": "600", "oos_sharpe": "0.25", "days_to_expiry": None}))
    assert status == 201, said
    facts = {fact["name"]: fact for fact in said["facts"]}
    assert facts["minutes_to_event"] == {
        "name": "minutes_to_event",
        "value": "600",
        "unit": "min",
        "limit": "120",
        "violated": False,
        "told": True,
    }
    assert (facts["oos_sharpe"]["violated"], facts["oos_sharpe"]["told"]) == (True, True)
    assert (facts["days_to_expiry"]["value"], facts["days_to_expiry"]["told"]) == (None, False)
    told = bot.get(f"/trades/proposals/{said['id']}")[1]
    (listed,) = bot.get("/trades/proposals")[1]["items"]
    assert told["facts"] == listed["facts"] == said["facts"]


@pytest.mark.parametrize(
    ("facts", "code", "field"),
    [
        ({"mood": "1"}, "UNKNOWN_FIELD", "facts.mood"),
        ({"hour": "9"}, "UNKNOWN_FIELD", "facts.hour"),
        ({"given_back": "1"}, "UNKNOWN_FIELD", "facts.given_back"),
        ({"minutes_to_event": "soon"}, "DECIMAL_MALFORMED", "facts.minutes_to_event"),
        ({"bar_closed": "0.5"}, "FACT_OUT_OF_RANGE", "facts.bar_closed"),
        ({"size_of_limit": "5"}, "FACT_DIFFERS", "facts.size_of_limit"),
    ],
)
def test_facts_are_held_to_what_those_of_an_outcome_are(
    bot: Caller, body: Make, facts: dict[str, str], code: str, field: str
) -> None:
    status, said = bot.propose(body(facts=facts))
    assert (status, said["code"], said["field"]) == (400, code, field)
    outcome = {
        "trade_id": "t1",
        "instrument": "ES",
        "side": "BUY",
        "quantity": "1",
        "entry_price": "9",
        "exit_price": "8",
    }
    if code != "FACT_DIFFERS":
        status, said = bot.post("/trades/outcome", outcome | {"facts": facts}, Idempotency_Key="outcome-1")
        assert (status, said["code"], said["field"]) == (400, code, field)
    assert not Proposal.objects.exists()
    assert not IdempotencyRecord.objects.exists(), "the key is free for a corrected request"


def test_one_from_before_that_was_kept_says_so(bot: Caller, body: Make) -> None:
    said = bot.propose(body())[1]
    with guards_lifted("trades_proposalfacts"):
        ProposalFacts.objects.all().delete()
    told = bot.get(f"/trades/proposals/{said['id']}")[1]
    assert (told["plan"], told["facts"]) == (None, None)


def test_a_denied_proposal_is_created_too_and_says_what_would_pass(bot: Caller, body: Make) -> None:
    status, said = bot.propose(body(quantity="0.4"))

    assert (status, said["state"]) == (201, "DENIED"), said
    decision = said["decision"]
    assert "MAX_ORDER_NOTIONAL" in decision["codes"]
    (line,) = [line for line in decision["lines"] if line["code"] == "MAX_ORDER_NOTIONAL"]
    assert (line["operator"], line["limit"], line["unit"]) == ("<=", "5000", "USD")
    assert float(line["observed"]) > 5000
    remedy = decision["remedy"]
    assert (remedy["field"], remedy["bound"]) == ("quantity", "at_most")

    status, again = bot.propose(body(quantity=remedy["value"], limit_price=said["terms"]["limit_price"]))
    assert (status, again["state"]) == (201, "AWAITING_APPROVAL"), again["decision"]["codes"]


def test_a_preview_says_the_same_and_stores_nothing(bot: Caller, body: Make) -> None:
    before = Event.objects.count()
    status, said = bot.post("/trades/preview", body(rationale=...))

    assert status == 200, said
    assert said["decision"]["outcome"] == "NEEDS_APPROVAL"
    assert said["fees"]["currency"] == "USD"
    assert float(said["fees"]["worst_case"]) > 0
    assert said["sizing"]["quantity_increment"]
    assert said["quote"]["age_ms"] < 10_000

    status, said = bot.post("/trades/preview", body(rationale=..., quantity="0.4"))
    assert (status, said["decision"]["outcome"]) == (200, "DENY")
    assert said["decision"]["remedy"]["field"] == "quantity"
    assert (Event.objects.count(), Proposal.objects.count(), IdempotencyRecord.objects.count()) == (before, 0, 0)


def test_a_preview_takes_no_narrative(bot: Caller, body: Make) -> None:
    status, said = bot.post("/trades/preview", body())
    assert (status, said["code"], said["field"]) == (400, "UNKNOWN_FIELD", "rationale")


def test_a_new_proposal_may_take_the_place_of_one_that_ended(bot: Caller, body: Make) -> None:
    _, waiting = bot.propose(body())
    status, refused = bot.propose(body(quantity="0.02", supersedes=waiting["id"]))
    assert (status, refused["code"]) == (409, "PROPOSAL_NOT_ENDED")

    assert bot.post(f"/trades/proposals/{waiting['id']}/withdraw")[0] == 200
    status, said = bot.propose(body(quantity="0.02", supersedes=waiting["id"]))
    assert (status, said["supersedes"]) == (201, waiting["id"])
