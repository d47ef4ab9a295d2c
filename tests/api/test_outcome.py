"""Reporting how a trade ended: what follows from its own numbers is kept and remembered, anything else refused."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.accounts.models import IdempotencyRecord
from apps.audit.models import Event
from apps.connectors.services import connections
from apps.connectors.types import Side
from apps.lessons.models import Case, Lesson
from apps.trades.models import Outcome, ReportedOutcome
from tests.api.conftest import Caller, with_header
from tests.factories.accounts import DeskFactory, UserFactory, issue_key
from tests.factories.desk import PaperDesk
from tests.trades.test_fills_corrections import free, trade

__all__ = ["free"]

pytestmark = pytest.mark.django_db

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def told() -> Make:
    """A long of 2 ETH that lost 104 USD after 4 of fees."""

    def make(**changes: Any) -> dict[str, Any]:
        values: dict[str, Any] = {
            "trade_id": "elsewhere-1",
            "instrument": "ETH-USD",
            "side": "BUY",
            "quantity": "2",
            "entry_price": "2000",
            "exit_price": "1950",
            "fees": "4",
            "pnl": "-104",
            "pnl_pct": "-2.6",
            "holding_s": 5400,
            "notes": "Too early.",
            "tags": ["no_confirmation", "my own word"],
        }
        values |= changes
        return {name: value for name, value in values.items() if value is not ...}

    return make


def report(caller: Caller, body: Any, key: str | None = None) -> tuple[int, Any]:
    return caller.post("/trades/outcome", body, Idempotency_Key=key or str(uuid4()))


def rows() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (ReportedOutcome, Case, Lesson, Event, IdempotencyRecord))


def test_a_loss_made_elsewhere_becomes_a_case_with_a_lesson(bot: Caller, paper: PaperDesk, told: Make) -> None:
    status, said = report(bot, told(planned_stop="1960", planned_target="2200", thesis="It must bounce.", setup="dip"))
    assert status == 201, said
    assert (said["pnl"], said["pnl_pct"], said["desk"]) == ("-104", "-2.6", paper.desk.slug)
    assert (said["case"]["result"], said["case"]["r_multiple"]) == ("LOST", "-1.3")
    assert {one["tag"]: one["source"] for one in said["case"]["mistakes"]}["no_confirmation"] == "REPORTED"
    case = Case.objects.get(pk=said["case"]["id"])
    assert (case.source, case.source_id, case.desk_id) == ("REPORTED", said["id"], paper.desk.pk)
    assert (case.thesis, case.notes, case.setup) == ("It must bounce.", "Too early.", "dip")
    assert case.closed_at - (case.opened_at or case.closed_at) == timedelta(seconds=5400)
    assert not case.tags.get(tag="no_confirmation").counts  # the reporter's word, until somebody confirms it
    assert Lesson.objects.filter(case=case).exists()
    event = Event.objects.get(stream=f"outcome:{said['id']}")
    assert event.kind == "outcome.reported"


def test_a_short_wins_as_the_price_falls(bot: Caller, told: Make) -> None:
    status, said = report(bot, told(side="SELL", pnl="96", pnl_pct="2.4"))
    assert (status, said["case"]["result"], said["case"]["mistakes"][0]["source"]) == (201, "WON", "REPORTED")
    assert not Lesson.objects.exists()


def test_what_is_left_out_follows_from_the_rest(bot: Caller, told: Make) -> None:
    status, said = report(bot, told(pnl=..., pnl_pct=..., holding_s=...))
    assert (status, said["pnl"], said["pnl_pct"], said["quote_currency"]) == (201, "-104", "-2.6", "USD")
    assert said["opened_at"] is None


# What is changed of a good report, and the status, the code, the field and the right figure of the answer.
REFUSED: list[tuple[dict[str, Any], int, str, str, str | None]] = [
    ({"pnl": "104"}, 400, "PNL_DOES_NOT_FOLLOW", "pnl", "-104"),
    ({"pnl": "-100"}, 400, "PNL_DOES_NOT_FOLLOW", "pnl", "-104"),
    ({"pnl": "-103.98"}, 400, "PNL_DOES_NOT_FOLLOW", "pnl", "-104"),
    ({"pnl": "-104.01"}, 400, "PNL_DOES_NOT_FOLLOW", "pnl", "-104"),
    ({"pnl_pct": "-2.5"}, 400, "PNL_DOES_NOT_FOLLOW", "pnl_pct", "-2.6"),
    ({"pnl_pct": "-0.026"}, 400, "PNL_DOES_NOT_FOLLOW", "pnl_pct", "-2.6"),
    ({"side": "SELL"}, 400, "PNL_DOES_NOT_FOLLOW", "pnl", "96"),
    ({"quantity": "0"}, 400, "NOT_POSITIVE", "quantity", None),
    ({"entry_price": "-1"}, 400, "NOT_POSITIVE", "entry_price", None),
    ({"exit_price": "0"}, 400, "NOT_POSITIVE", "exit_price", None),
    ({"quantity": 2}, 400, "DECIMAL_NOT_TEXT", "quantity", None),
    ({"pnl": "NaN"}, 400, "DECIMAL_MALFORMED", "pnl", None),
    ({"pnl": "-1e2"}, 400, "DECIMAL_MALFORMED", "pnl", None),
    ({"fees": "-1"}, 400, "FEES_NEGATIVE", "fees", None),
    ({"side": "long"}, 400, "CHOICE_UNKNOWN", "side", None),
    ({"instrument": ...}, 400, "FIELD_MISSING", "instrument", None),
    ({"trade_id": ...}, 400, "ONE_TRADE_NEEDED", "trade_id", None),
    ({"order_id": str(uuid4())}, 400, "ONE_TRADE_NEEDED", "trade_id", None),
    ({"order_id": str(uuid4()), "trade_id": ...}, 404, "ORDER_UNKNOWN", "order_id", None),
    ({"desk": "no-such"}, 404, "DESK_UNKNOWN", "desk", None),
    ({"closed_at": "2099-01-01T00:00:00Z"}, 400, "CLOSED_IN_FUTURE", "closed_at", None),
    (
        {"opened_at": "2026-01-02T00:00:00Z", "closed_at": "2026-01-01T00:00:00Z"},
        400,
        "OPENED_AFTER_CLOSED",
        "opened_at",
        None,
    ),
    (
        {"opened_at": "2026-01-01T00:00:00Z", "closed_at": "2026-01-01T01:00:00Z"},
        400,
        "HOLDING_DOES_NOT_FOLLOW",
        "holding_s",
        "3600",
    ),
    ({"holding_s": -1}, 400, "NUMBER_OUT_OF_RANGE", "holding_s", None),
    ({"planned_stop": "2100"}, 400, "PLAN_ON_WRONG_SIDE", "planned_stop", None),
    ({"planned_target": "1900"}, 400, "PLAN_ON_WRONG_SIDE", "planned_target", None),
    ({"notes": "a\x00b"}, 400, "TEXT_WITH_NUL", "notes", None),
    ({"tags": ["t"] * 21}, 400, "TOO_MANY_ITEMS", "tags", None),
    ({"size": "2"}, 400, "UNKNOWN_FIELD", "size", None),
    ({"outcome": "LOST"}, 400, "UNKNOWN_FIELD", "outcome", None),
]


def test_what_is_not_right_is_refused_by_name_with_the_right_figure(bot: Caller, told: Make, paper: PaperDesk) -> None:
    before, answers = rows(), []
    for changes, *_ in REFUSED:
        status, said = report(bot, told(**changes))
        assert said["fix"], said
        answers.append((changes, status, said["code"], said["field"], said.get("details", said).get("right")))
    assert answers == REFUSED
    assert rows() == before


def test_a_rounded_figure_agrees_and_the_exact_one_is_kept(bot: Caller, told: Make) -> None:
    numbers = {"quantity": "0.37", "entry_price": "2011.13", "exit_price": "1987.77", "fees": "1.234"}
    status, said = report(bot, told(**numbers, pnl="-9.87", pnl_pct="-1.32"))
    assert status == 201, said
    assert said["pnl"] == "-9.8772"


def test_the_same_request_is_answered_again_and_the_same_trade_is_reported_once(bot: Caller, told: Make) -> None:
    first = report(bot, told(), key="once")
    assert report(bot, told(), key="once") == first
    assert bot.last["Idempotent-Replayed"] == "true"
    status, said = report(bot, told())
    assert (status, said["code"]) == (409, "OUTCOME_REPORTED")
    status, said = bot.post("/trades/outcome", told(trade_id="other"))
    assert (status, said["code"]) == (400, "IDEMPOTENCY_KEY_MISSING")
    assert ReportedOutcome.objects.count() == Case.objects.count() == 1


def test_an_order_that_aika_reckons_is_not_reported(free: PaperDesk, told: Make) -> None:
    bot = with_header(free.authorization)
    bought = trade(free, Side.BUY, "0.01", "64000")
    sale = trade(free, Side.SELL, "0.01", "60000")
    for proposal in (bought, sale):
        body = told(order_id=str(free.order_of(proposal).pk), trade_id=..., instrument="BTC-USD")
        status, said = report(bot, body)
        assert (status, said["code"], said["field"]) == (422, "OUTCOME_COMPUTED", "order_id")
        assert "reconcile" in said["fix"]
    assert not ReportedOutcome.objects.exists()


def test_an_order_of_unknown_cost_is_completed_by_a_report_and_counts_once(free: PaperDesk, told: Make) -> None:
    bot = with_header(free.authorization)
    sale = trade(free, Side.SELL, "0.01", "64000")
    outcome = Outcome.objects.get(order__proposal=sale)
    case = Case.objects.get(source_id=str(outcome.pk))
    assert (case.result, case.pnl) == ("UNKNOWN", None)
    body = told(
        order_id=str(outcome.order_id),
        trade_id=...,
        instrument="BTC-USD",
        quantity="0.01",
        entry_price="70000",
        exit_price=str(outcome.exit_price.normalize()),
        fees="0",
        pnl=...,
        pnl_pct=...,
    )
    status, said = report(bot, body | {"quantity": "0.02"})
    assert (status, said["code"], said["field"]) == (422, "ORDER_DIFFERS", "quantity")

    status, said = report(bot, body)
    assert status == 201, said
    case.refresh_from_db()
    assert (said["case"]["id"], said["case"]["result"]) == (str(case.pk), "LOST")
    assert (case.pnl, case.entry_price) == (Decimal(said["pnl"]), Decimal(70000))
    assert Case.objects.count() == 1
    status, said = report(bot, body)
    assert (status, said["code"]) == (409, "OUTCOME_REPORTED")


def test_a_key_without_the_scope_a_stranger_and_another_desk_are_refused(
    paper: PaperDesk, told: Make, signed_in: Callable[..., Caller]
) -> None:
    now = timezone.now()
    key, authorization = issue_key(owner=paper.trader, now=now, scopes=("propose", "read"))
    connections.grant(connection=paper.connection, api_key=key, actor=paper.principal.actor(), now=now)
    status, said = report(with_header(authorization), told())
    assert (status, said["code"]) == (403, "SCOPE_MISSING")
    status, said = report(signed_in(paper.approver), told())
    assert (status, said["code"]) == (403, "NOT_PERMITTED")
    elsewhere = UserFactory(username="elsewhere", role="trader", desk=DeskFactory(slug="elsewhere"))
    status, said = report(signed_in(elsewhere), told(desk=paper.desk.slug))
    assert (status, said["code"]) == (404, "DESK_UNKNOWN")
    status, said = report(signed_in(elsewhere), told())
    assert (status, said["desk"]) == (201, "elsewhere")
    assert report(signed_in(paper.trader), told())[0] == 201


def test_who_sits_at_two_desks_says_which(paper: PaperDesk, told: Make, signed_in: Callable[..., Caller]) -> None:
    DeskFactory(slug="second").members.add(paper.trader)
    status, said = report(signed_in(paper.trader), told())
    assert (status, said["code"], said["field"]) == (400, "DESK_NEEDED", "desk")
    assert report(signed_in(paper.trader), told(desk="second"))[0] == 201
