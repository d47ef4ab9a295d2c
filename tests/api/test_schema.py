"""The schema is what the API does: it validates, says every refusal, and holds against generated requests."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from apps.common.api.problems import PROBLEM_TYPE
from apps.connectors.selectors import market_of
from apps.connectors.types import Candle
from apps.quotes.rules.candles import Source
from apps.quotes.services.candles import keep_candles
from apps.trades.api import hooks as hooks_door
from tests.api.conftest import Caller
from tests.factories.desk import PaperDesk
from tests.factories.lessons import LessonFactory
from tests.factories.soft_key import SoftKey
from tests.hooks.conftest import make_sender

Make = Callable[..., dict[str, Any]]

# Answered without a word in the schema: the schema itself, its page, and the route for what is not there.
UNSPOKEN = {"v1/schema", "v1/docs", ""}
# The one door outside /api/ that programs use, and how they prove themselves there.
HOOK = "hooks/<slug:name>"
HOOK_PROOFS: list[dict[str, Any]] = [{"hook_signature": []}, {}]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    response = Client().get("/api/v1/schema")
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    described: dict[str, Any] = response.json()
    return described


def operations(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def test_the_schema_validates_without_a_warning(tmp_path: Any) -> None:
    written = tmp_path / "schema.yml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(written))
    assert written.read_text().startswith("openapi: 3.")


def test_every_address_is_in_the_schema(schema: dict[str, Any]) -> None:
    (api,) = [entry for entry in get_resolver().url_patterns if str(entry.pattern) == "api/"]
    routes = set()
    for entry in api.url_patterns:
        children = getattr(entry, "url_patterns", None)
        routes |= {f"{entry.pattern}{child.pattern}" for child in children} if children else {str(entry.pattern)}
    described = {re.sub(r"<str:(\w+)>", r"{\1}", f"/api/{route}") for route in routes - UNSPOKEN}
    assert HOOK in {str(entry.pattern) for entry in get_resolver().url_patterns}
    assert set(schema["paths"]) == described | {"/hooks/{name}"}


def test_every_operation_says_how_it_refuses(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema).items():
        answers = operation["responses"]
        wanted = {"400", "401", "403", "429", "503"} | ({"413", "415"} if "requestBody" in operation else set())
        assert wanted <= set(answers), name
        assert operation["operationId"]
        assert operation["description"], name
        for status, answer in answers.items():
            (kind,) = answer["content"]
            assert kind == (PROBLEM_TYPE if int(status) >= 400 else "application/json"), (name, status)
        is_hook = name == "POST /hooks/{name}"
        assert operation["security"] == (HOOK_PROOFS if is_hook else [{"api_key": []}, {"session": []}]), name
    assert schema["components"]["securitySchemes"]["hook_signature"]["name"] == hooks_door.SIGNATURE


def test_no_field_is_unspoken_and_no_decimal_a_number(schema: dict[str, Any]) -> None:
    for name, component in schema["components"]["schemas"].items():
        assert component["additionalProperties"] is False, name
        for field, described in component["properties"].items():
            assert described.get("type") != "number", (name, field)
    intent = schema["components"]["schemas"]["ProposalBody"]
    assert set(intent["required"]) == {"connection", "instrument", "side", "order_type", "time_in_force"}
    (key,) = [p for p in operations(schema)["POST /api/v1/trades/proposals"]["parameters"] if p["in"] == "header"]
    assert (key["name"], key["required"]) == ("Idempotency-Key", True)


def test_the_page_of_the_schema_needs_nothing_the_content_policy_forbids() -> None:
    page = Client().get("/api/v1/docs")
    html = page.content.decode()
    assert page.status_code == 200
    assert "<style" not in html
    assert "style=" not in html
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", html, re.S)
    assert scripts
    assert all("src=" in attributes and not text.strip() for attributes, text in scripts)
    assert "default-src 'none'" in page["Content-Security-Policy"]
    script = Client().get("/api/v1/docs?script=")
    assert script["Content-Type"].startswith("application/javascript")
    assert "/api/v1/schema" in script.content.decode()


def test_there_is_no_browsable_api(db: None) -> None:
    answer = Client().get("/api/v1/connectors", headers={"Accept": "text/html"})
    assert (answer.status_code, answer["Content-Type"]) == (401, PROBLEM_TYPE)


@pytest.mark.django_db
def test_answers_of_real_rows_are_what_the_schema_says(
    schema: dict[str, Any], bot: Caller, body: Make, paper: PaperDesk, signed_in: Callable[..., Caller]
) -> None:
    """Every shape, filled from a proposal that was executed and one that was denied."""
    import jsonschema_rs

    from apps.trades.models import Proposal

    mara = signed_in(paper.approver)
    answers: dict[str, tuple[str, Any]] = {}

    def keep(name: str, answer: tuple[int, Any]) -> Any:
        status, said = answer
        answers[f"{name} {status}"] = (name, said)
        assert status < 300, said
        return said

    first = keep("POST /api/v1/trades/proposals", bot.propose(body()))
    several = {"items": [body(quantity=size, idempotency_key=size) for size in ("0.011", "0.4", "-1")]}
    keep("POST /api/v1/trades/proposals/batch", bot.post("/trades/proposals/batch", several))
    keep("POST /api/v1/trades/preview", bot.post("/trades/preview", body(rationale=...)))
    keep("GET /api/v1/approvals", mara.get("/approvals"))
    ballot = keep("GET /api/v1/approvals/{proposal_id}", mara.get(f"/approvals/{first['id']}"))
    SoftKey().belongs_to(paper.approver)
    keep("POST /api/v1/approvals/{proposal_id}/challenge", mara.post(f"/approvals/{first['id']}/challenge"))
    keep("POST /api/v1/approvals/{proposal_id}/approve", mara.post(f"/approvals/{first['id']}/approve", ballot["vote"]))
    row = Proposal.objects.get(pk=first["id"])
    paper.execute(row)
    paper.poll(row)
    sold = bot.propose(body(side="SELL", limit_price=str(paper.crossing_price("BTC-USD", "SELL"))))[1]  # type: ignore[arg-type]
    second = Proposal.objects.get(pk=sold["id"])
    paper.approve(second)
    paper.execute(second)
    paper.poll(second)
    bot.propose(body(quantity="0.4"))
    declined = bot.propose(body(quantity="0.02"))[1]
    keep(
        "POST /api/v1/approvals/{proposal_id}/decline",
        mara.post(f"/approvals/{declined['id']}/decline", {"digest": declined["digest"], "comment": "No."}),
    )
    taken_back = bot.propose(body(quantity="0.03"))[1]
    keep("POST /api/v1/trades/proposals/{proposal_id}/withdraw", bot.post(f"{taken_back['links']['withdraw'][7:]}"))
    asked = bot.propose(body(quantity="0.04", limit_price="60000"))[1]
    resting = Proposal.objects.get(pk=asked["id"])
    paper.approve(resting)
    paper.execute(resting)
    where = f"/trades/orders/{paper.order_of(resting).pk}/cancel"
    keep("POST /api/v1/trades/orders/{order_id}/cancel", bot.post(where))
    story = keep("GET /api/v1/trades/proposals/{proposal_id}", bot.get(f"/trades/proposals/{sold['id']}"))
    assert story["outcome"]["pnl"] is not None
    keep("GET /api/v1/trades/proposals", bot.get("/trades/proposals"))
    sender = make_sender(paper)
    keep("POST /hooks/{name}", sender.send())
    keep("GET /api/v1/positions", bot.get("/positions"))
    keep("GET /api/v1/connectors", bot.get("/connectors"))
    keep("GET /api/v1/policies", bot.get("/policies"))
    keep("GET /api/v1/quotes", bot.get(f"/quotes?connection={paper.connection.slug}&instrument=BTC-USD"))
    one = Candle(timezone.now().replace(second=0, microsecond=0), *[Decimal("1.5")] * 5)
    keep_candles(market_of(paper.connection), {"BTC-USD": [one]}, source=Source.VENUE)
    since = {"connection": paper.connection.slug, "instrument": "BTC-USD", "since": "2026-01-01T00:00:00Z"}
    assert keep("GET /api/v1/candles", bot.get(f"/candles?{urlencode(since)}"))["items"]
    assert keep("GET /api/v1/feed", bot.get(f"/feed?connection={paper.connection.slug}"))["items"]
    told = {"trade_id": "t-1", "instrument": "ETH-USD", "side": "BUY", "quantity": "1", "tags": ["no_stop"]}
    told |= {"entry_price": "2000", "exit_price": "1900", "holding_s": 60, "planned_stop": "1950"}
    keep("POST /api/v1/trades/outcome", bot.post("/trades/outcome", told, Idempotency_Key="t-1"))
    document = {"id": "stops.md", "text": "# Stops\n\nSet a stop before the order."}
    keep("POST /api/v1/knowledge", bot.post("/knowledge", {"items": [document]}))
    assert keep("POST /api/v1/knowledge/query", bot.post("/knowledge/query", {"text": "where is my stop"}))["items"]
    lesson = LessonFactory(desk=paper.desk)
    broken = {"name": "stop_distance", "value": "0.4", "unit": "ATR", "limit": "1", "violated": True}
    about = {"facts": [broken], "explain": True}
    asked = keep("POST /api/v1/trades/lessons/query", bot.post("/trades/lessons/query", about))
    assert asked["results"]
    assert keep("GET /api/v1/lessons/{lesson_id}", bot.get(f"/lessons/{lesson.pk}"))["facts"]
    said = {"verdict": "USEFUL", "recall_id": asked["recall_id"]}
    keep("POST /api/v1/lessons/{lesson_id}/feedback", mara.post(f"/lessons/{lesson.pk}/feedback", said))
    keep("POST /api/v1/lessons/{lesson_id}/review", mara.post(f"/lessons/{lesson.pk}/review", {"version": 1}))
    keep("POST /api/v1/trading-state/reduce", bot.post("/trading-state/reduce", {"reason": "Slower."}))
    keep("POST /api/v1/trading-state/halt", bot.post("/trading-state/halt", {"reason": "Done."}))
    keep("GET /api/v1/trading-state", bot.get("/trading-state"))

    described = operations(schema)
    assert {name for name, _ in answers.values()} == set(described)
    for key, (name, said) in answers.items():
        status = key.rpartition(" ")[2]
        content = described[name]["responses"][status]["content"]["application/json"]["schema"]
        wanted = {"components": schema["components"], **_in_plain_json_schema(content)}
        wanted["components"] = _in_plain_json_schema(schema["components"])
        errors = [f"{error.instance_path} {error.message}" for error in jsonschema_rs.iter_errors(wanted, said)]
        assert not errors, (name, errors[:5])


def _in_plain_json_schema(described: Any) -> Any:
    """OpenAPI 3.0's `nullable` as JSON Schema says it."""
    if isinstance(described, list):
        return [_in_plain_json_schema(item) for item in described]
    if not isinstance(described, dict):
        return described
    plain = {name: _in_plain_json_schema(value) for name, value in described.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if described.get("nullable") is True else plain


@pytest.fixture
def connection_kept() -> Iterator[None]:
    """The WSGI application would close the test's own connection after a request; Django's test client does this."""
    for moment in (request_started, request_finished):
        moment.disconnect(close_old_connections)
    yield
    for moment in (request_started, request_finished):
        moment.connect(close_old_connections)


# What only a person does, whatever the key.
BY_PERSON = ("/approvals", "/lessons/{lesson_id}/review", "/lessons/{lesson_id}/feedback")


@pytest.mark.slow
@pytest.mark.django_db
def test_generated_requests_meet_only_what_the_schema_says(
    bot: Caller, paper: PaperDesk, body: Make, signed_in: Callable[..., Caller], request: pytest.FixtureRequest
) -> None:
    """No answer 500, none undocumented, each of the shape the schema names. Seeded, and bounded in number."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, seed
    from hypothesis import settings as examples
    from rest_framework.settings import api_settings

    from config.wsgi import application

    _, waiting = bot.propose(body())
    there = {"connection": paper.connection.slug, "instrument": "BTC-USD", "digest": waiting["digest"]}
    client = signed_in(paper.approver).client
    SoftKey().belongs_to(paper.approver)  # whoever has none is refused a challenge
    session, token = client.cookies[settings.SESSION_COOKIE_NAME].value, "a" * 32
    program = {"Authorization": paper.authorization}
    charting = make_sender(paper, "body_secret")
    person = {"X-CSRFToken": token}
    cookies = {settings.SESSION_COOKIE_NAME: session, settings.CSRF_COOKIE_NAME: token}
    rates = dict(api_settings.DEFAULT_THROTTLE_RATES)
    api_settings.DEFAULT_THROTTLE_RATES.update({"read": "1000000/min", "write": "1000000/min"})
    request.getfixturevalue("connection_kept")  # now: each use of the test client above puts the closing back
    loaded = schemathesis.openapi.from_wsgi("/api/v1/schema", application)
    met: dict[str, set[int]] = {}
    try:
        for found in loaded.get_all_operations():
            operation = found.ok()

            @seed(20261122)
            @examples(
                max_examples=20,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def meets(case: Any) -> None:
                # Towards what is there: generated names and ids alone would only ever be unknown.
                if "proposal_id" in (case.path_parameters or {}):
                    case.path_parameters["proposal_id"] = waiting["id"]
                if case.operation.path == "/hooks/{name}":
                    case.path_parameters["name"] = charting.hook.name
                    case.headers.pop("Aika-Signature", None)
                    if isinstance(case.body, dict):  # a call may also come without a body
                        case.body = {**charting.payload, **case.body, "secret": charting.secret}
                for known in (case.body, case.query):
                    if isinstance(known, dict):
                        known.update({name: value for name, value in there.items() if name in known})
                case.headers.pop("Authorization", None)
                case.cookies.clear()
                by_person = any(part in case.operation.path for part in BY_PERSON)
                answer = case.call(headers=person, cookies=cookies) if by_person else case.call(headers=program)
                met.setdefault(case.operation.label, set()).add(answer.status_code)
                case.validate_response(
                    answer,
                    checks=(
                        schemathesis.checks.not_a_server_error,
                        *schemathesis.checks.CHECKS.get_by_names(
                            [
                                "status_code_conformance",
                                "content_type_conformance",
                                "response_schema_conformance",
                            ]
                        ),
                    ),
                )

            meets()
    finally:
        api_settings.DEFAULT_THROTTLE_RATES.update(rates)
    assert set(met) == set(operations(Client().get("/api/v1/schema").json()))
    answered = set().union(*met.values())
    assert answered >= {200, 400, 409}
    assert 201 in met["POST /hooks/{name}"]
    assert not answered & {401, 403}
