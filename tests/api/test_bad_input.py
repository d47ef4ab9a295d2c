"""Bad input: each case a 4xx of its own code that names the field and the fix, and nothing half-written."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import Client

from apps.accounts.models import IdempotencyRecord
from apps.audit.models import Event
from apps.common.api.bodies import BODY_BYTES_MAX
from apps.policies.models import Decision
from apps.trades.models import Proposal
from tests.api.conftest import Caller
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db

Make = Callable[..., dict[str, Any]]


def rows() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Proposal, Decision, Event, IdempotencyRecord))


# What is sent as the JSON text of the field, the code of the answer.
FIELDS = [
    ("quantity", '"NaN"', "DECIMAL_MALFORMED"),
    ("quantity", '"Infinity"', "DECIMAL_MALFORMED"),
    ("quantity", '"-Infinity"', "DECIMAL_MALFORMED"),
    ("quantity", '"1e400"', "DECIMAL_MALFORMED"),
    ("quantity", '"1E2"', "DECIMAL_MALFORMED"),
    ("quantity", '"-0"', "DECIMAL_MALFORMED"),
    ("quantity", '"+1"', "DECIMAL_MALFORMED"),
    ("quantity", '"01"', "DECIMAL_MALFORMED"),
    ("quantity", '" 1"', "DECIMAL_MALFORMED"),
    ("quantity", '"1_000"', "DECIMAL_MALFORMED"),
    ("quantity", '"\uff11"', "DECIMAL_MALFORMED"),
    ("quantity", '"\u0661"', "DECIMAL_MALFORMED"),
    ("quantity", '""', "DECIMAL_MALFORMED"),
    ("quantity", '"0.0000000000000000001"', "DECIMAL_TOO_PRECISE"),
    ("quantity", '"1' + "0" * 20 + '"', "DECIMAL_TOO_LARGE"),
    ("quantity", "0.01", "DECIMAL_NOT_TEXT"),
    ("quantity", "1", "DECIMAL_NOT_TEXT"),
    ("quantity", "1e400", "DECIMAL_NOT_TEXT"),
    ("quantity", "-0", "DECIMAL_NOT_TEXT"),
    ("quantity", "true", "DECIMAL_NOT_TEXT"),
    ("quantity", '["1"]', "DECIMAL_NOT_TEXT"),
    ("quantity", '"-1"', "NOT_POSITIVE"),
    ("quantity", '"0"', "NOT_POSITIVE"),
    ("quantity", "null", "ONE_SIZE_NEEDED"),
    ("limit_price", '"NaN"', "DECIMAL_MALFORMED"),
    ("limit_price", "null", "PRICE_NEEDED"),
    ("stop_price", '"1"', "PRICE_NOT_POSSIBLE"),
    ("quote_quantity", '"10"', "ONE_SIZE_NEEDED"),
    ("confidence", "0.5", "DECIMAL_NOT_TEXT"),
    ("confidence", '"1.5"', "CONFIDENCE_OUT_OF_RANGE"),
    ("side", '"buy"', "CHOICE_UNKNOWN"),
    ("side", "1", "WRONG_TYPE"),
    ("side", "null", "FIELD_MISSING"),
    ("order_type", '"ICEBERG"', "CHOICE_UNKNOWN"),
    ("time_in_force", '"DAY"', "CHOICE_UNKNOWN"),
    ("time_in_force", '{"a": 1}', "WRONG_TYPE"),
    ("post_only", '"true"', "WRONG_TYPE"),
    ("post_only", "1", "WRONG_TYPE"),
    ("valid_for_s", '"60"', "WRONG_TYPE"),
    ("valid_for_s", "60.5", "WRONG_TYPE"),
    ("valid_for_s", "true", "WRONG_TYPE"),
    ("valid_for_s", "1", "NUMBER_OUT_OF_RANGE"),
    ("valid_for_s", "9" * 5000, "WRONG_TYPE"),
    ("rationale", "5", "WRONG_TYPE"),
    ("rationale", '"a\\u0000b"', "TEXT_WITH_NUL"),
    ("rationale", '"\\ud800"', "TEXT_MALFORMED"),
    ("rationale", '"' + "x" * 4001 + '"', "TEXT_TOO_LONG"),
    ("tags", '"momentum"', "WRONG_TYPE"),
    ("tags", "[1]", "WRONG_TYPE"),
    ("tags", '[""]', "TEXT_EMPTY"),
    ("tags", "[" + ",".join('"t"' for _ in range(21)) + "]", "TOO_MANY_ITEMS"),
    ("connection", '""', "TEXT_EMPTY"),
    ("instrument", '"NO-SUCH"', "INSTRUMENT_UNKNOWN"),
    ("instrument", '"BTC-USD\\u0000"', "TEXT_WITH_NUL"),
    ("not_after", '"2030-01-01T00:00:00"', "INSTANT_MALFORMED"),
    ("not_after", '"2030-13-01T00:00:00Z"', "INSTANT_MALFORMED"),
    ("not_after", "1893456000", "INSTANT_MALFORMED"),
    ("not_after", '"2020-01-01T00:00:00Z"', "NOT_AFTER_TOO_SOON"),
    ("not_after", '"9999-12-31T23:59:59-23:59"', "INSTANT_MALFORMED"),
    ("supersedes", '"not-a-uuid"', "UUID_MALFORMED"),
    ("leverage", '"5"', "UNKNOWN_FIELD"),
    ("Quantity", '"5"', "UNKNOWN_FIELD"),
]


def test_a_field_that_is_not_right_is_refused_by_name(bot: Caller, body: Make) -> None:
    good, before, answers = body(), rows(), {}
    for field, value, _ in FIELDS:
        kept = {name: kept for name, kept in good.items() if name != field}
        raw = json.dumps(kept, ensure_ascii=False)[:-1] + f", {json.dumps(field)}: {value}" + "}"
        status, said = bot.propose(raw.encode())
        answers[field, value] = (status, said["code"])
        assert said["field"].split("[")[0] == (field if said["code"] != "ONE_SIZE_NEEDED" else "quantity")
        assert said["fix"]
        assert said["request_id"] == bot.last["X-Request-ID"]
        assert bot.last["Content-Type"] == "application/problem+json"

    assert answers == {(field, value): (400, code) for field, value, code in FIELDS}
    assert rows() == before


# The raw body, the status and the code.
RAW = [
    (b"", 400, "FIELD_MISSING"),
    (b"{", 400, "JSON_MALFORMED"),
    (b"\xff\xfe{}", 400, "JSON_MALFORMED"),
    (b"\xef\xbb\xbf{}", 400, "JSON_MALFORMED"),
    (b'{"side": "BUY",}', 400, "JSON_MALFORMED"),
    (b'{"rationale": "\x00"}', 400, "TEXT_WITH_NUL"),
    (b'{"rationale": "\x01"}', 400, "JSON_MALFORMED"),
    (b"[]", 400, "BODY_NOT_OBJECT"),
    (b"null", 400, "BODY_NOT_OBJECT"),
    (b'"text"', 400, "BODY_NOT_OBJECT"),
    (b'{"side": "BUY", "side": "SELL"}', 400, "JSON_KEY_TWICE"),
    (b'{"tags": [[[[["x"]]]]]}', 400, "JSON_TOO_DEEP"),
    (b"[" * 60_000, 400, "JSON_TOO_DEEP"),
    (b'{"quantity": NaN}', 400, "NUMBER_NOT_FINITE"),
    (b'{"quantity": Infinity}', 400, "NUMBER_NOT_FINITE"),
    (b'{"quantity": -Infinity}', 400, "NUMBER_NOT_FINITE"),
    (b" " * (BODY_BYTES_MAX + 1), 413, "BODY_TOO_LARGE"),
    (b"x" * 10_000_000, 413, "BODY_TOO_LARGE"),
]


def test_a_body_that_is_no_strict_json_is_refused(bot: Caller) -> None:
    before, answers = rows(), {}
    for raw, _, _ in RAW:
        status, said = bot.propose(raw)
        answers[raw[:40], len(raw)] = (status, said["code"])

    assert answers == {(raw[:40], len(raw)): (status, code) for raw, status, code in RAW}
    assert rows() == before


def test_all_that_is_wrong_is_said_at_once(bot: Caller, body: Make) -> None:
    status, said = bot.propose(body(side="HOLD", quantity=0.1, levrage="5"))

    assert status == 400
    assert {(e["field"], e["code"]) for e in said["errors"]} == {
        ("levrage", "UNKNOWN_FIELD"),
        ("side", "CHOICE_UNKNOWN"),
        ("quantity", "DECIMAL_NOT_TEXT"),
    }
    assert "BUY, SELL" in next(e["detail"] for e in said["errors"] if e["field"] == "side")


def test_a_misspelled_field_is_answered_with_the_right_one(bot: Caller, body: Make) -> None:
    _, said = bot.propose(body(limitprice="1"))
    assert (said["code"], said["fix"]) == ("UNKNOWN_FIELD", "Did you mean limit_price?")


def test_only_json_in_utf_8_is_taken(bot: Caller, body: Make) -> None:
    refused = (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
    )
    for kind in refused:
        status, said = bot.post("/trades/proposals", json.dumps(body()), Content_Type=kind, Idempotency_Key="k")
        assert (status, said["code"]) == (415, "MEDIA_TYPE_UNSUPPORTED"), kind
    for number, kind in enumerate(("application/json", "application/json; charset=utf-8", "Application/JSON")):
        asked = body(quantity=f"0.01{number}")
        status, said = bot.post("/trades/proposals", asked, Content_Type=kind, Idempotency_Key=f"k{number}")
        assert status == 201, said


def test_another_desks_connection_does_not_exist(bot: Caller, body: Make) -> None:
    status, said = bot.propose(body(connection="coinbase-live"))
    assert (status, said["code"], said["field"]) == (404, "CONNECTION_UNKNOWN", "connection")


def test_a_venue_that_is_down_is_said_and_nothing_is_kept(bot: Caller, body: Make, paper: PaperDesk) -> None:
    asked, before = body(), rows()
    paper.simulator.add_fault("any", "5xx-after", count=100)
    cache.clear()
    key = str(uuid4())
    status, said = bot.propose(asked, key)

    assert (status, said["code"]) == (503, "VENUE_UNAVAILABLE"), said
    assert bot.last["Retry-After"]
    assert rows() == before

    paper.simulator.clear_faults()
    status, said = bot.propose(asked, key)
    assert status == 201, said


def test_a_query_that_is_not_right_is_refused(bot: Caller) -> None:
    cases = {
        "?limit=0": "LIMIT_OUT_OF_RANGE",
        "?limit=201": "LIMIT_OUT_OF_RANGE",
        "?limit=ten": "LIMIT_OUT_OF_RANGE",
        "?limit=%EF%BC%91": "LIMIT_OUT_OF_RANGE",
        "?state=OPEN": "CHOICE_UNKNOWN",
        "?cursor=nonsense": "CURSOR_MALFORMED",
        "?cursor=%C3%A4": "CURSOR_MALFORMED",
        "?page=2": "UNKNOWN_PARAMETER",
        "?limit=1&limit=2": "PARAMETER_TWICE",
        "?instrument=": "PARAMETER_MALFORMED",
        "?instrument=%00": "PARAMETER_MALFORMED",
    }
    answers = {query: bot.get(f"/trades/proposals{query}") for query in cases}
    assert {query: said["code"] for query, (_, said) in answers.items()} == cases
    assert {status for status, _ in answers.values()} == {400}


def test_an_id_that_is_none_names_nothing(bot: Caller) -> None:
    for wrong in ("1", "%00", "..", "x" * 300, str(uuid4()).replace("-", "")):
        status, said = bot.get(f"/trades/proposals/{wrong}")
        assert (status, said["status"]) == (404, 404), wrong


@pytest.mark.parametrize("path", ["/nothing", "/trades/proposals/", "/", "", "/trades", "/admin/"])
def test_an_address_that_is_not_there_answers_in_the_form_of_the_api(db: None, path: str) -> None:
    response = Client().get(f"/api/v1{path}")
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
    assert response.json()["code"] == "NOT_FOUND"


def test_a_host_that_is_not_ours_answers_in_the_form_of_the_api(db: None) -> None:
    response = Client().get("/api/v1/connectors", headers={"Host": "evil.example"})
    assert (response.status_code, response.json()["code"]) == (400, "REQUEST_MALFORMED")


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "trace"])
def test_a_method_that_is_not_there_is_said(bot: Caller, method: str) -> None:
    response = bot.client.generic(method.upper(), "/api/v1/trades/proposals", headers=bot.headers)
    assert (response.status_code, response.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert response["Allow"] == "GET, HEAD, POST"
