"""What is taken out of lines, reports and answers, and what is left as it was."""

import io
import json
import logging
import sys
import traceback
from base64 import b64encode
from decimal import Decimal
from typing import Any

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.test import RequestFactory, override_settings
from django.utils.module_loading import import_string
from django.views.debug import ExceptionReporter, get_exception_reporter_filter

from apps.common.api.problems import Problem, respond
from apps.common.redaction import MASK, ReporterFilter, redact, redacted, redacted_report
from apps.common.tasks import publish

KEY = "aika_0123456789ab_" + "f" * 64
PEM = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ED25519 = b64encode(ed25519.Ed25519PrivateKey.generate().private_bytes_raw() * 2).decode()
FERNET = Fernet.generate_key().decode()
WORD = "".join(("hun", "ter", "33"))
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJvcmdhbml6YXRpb25zIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: Bearer {KEY}", KEY[-64:]),
        (f"the key {KEY} was found", KEY[-64:]),
        (f"GET /admin/?q={KEY}", KEY[-64:]),
        (PEM, PEM.splitlines()[1]),
        (repr(PEM), PEM.splitlines()[1]),
        (PEM[:90], PEM.splitlines()[1][:20]),
        (f"secret {ED25519} end", ED25519),
        (f"[{FERNET}]", FERNET),
        (f"Authorization: Bearer {JWT}", JWT),
        (JWT, JWT),
        (Fernet(FERNET.encode()).encrypt(b"x").decode(), "gAAAA"),
        ("postgres://aika:hunter22@db:5432/aika", "hunter22"),
        ("password=hunter22&next=/", "hunter22"),
        ('{"client_secret": "hunter 22", "ok": 1}', "hunter 22"),
        ("{'refresh_token': 'hunter22'}", "hunter22"),
        ("Cookie: sessionid=hunter22", "hunter22"),
        ("new_password1: hunter22", "hunter22"),
        ("HTTP_AUTHORIZATION='Basic aHVudGVyMjI6aHVudGVyMjI='", "aHVudGVyMjI6"),
    ],
    # They are made anew in every process, and tests have one name in all of them.
    ids=lambda _: "leak",
)
def test_a_secret_is_taken_out(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redact(text)
    assert MASK in redact(text)
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Order 0b5c8a1e-8c1f-4e5b-9d7e-0123456789ab is FILLED at 64250.01.",
        "digest " + "ab" * 32,
        "aika_0123456789ab is the prefix of a key",
        "The API key 0123456789ab was revoked before.",
        "KEY_UNKNOWN: This API key is not known.",
        "GET /api/v1/trades/proposals?cursor=2026-03-02T14:46:00Z 200",
        "tokens: 3 of 4, secret_fingerprint=1a2b3c4d",
        "https://api.coinbase.com/api/v3/brokerage/orders",
        "Send `Authorization: Bearer` with a valid API key, or sign in.",
        "Authorization: Bearer aika_…",
        "api_key:0b5c8a1e-8c1f-4e5b-9d7e-0123456789ab acted",
        "What is answered holds no address and no secret: it is kept and shown.",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_secrets_of_the_settings_are_known_whatever_they_look_like() -> None:
    known = {
        "ALARM_WEBHOOK_SECRET": "plain words here",
        "DATABASE_URL": "postgres://aika:p%40ss-word9@db/aika",
        "TOKEN_ENCRYPTION_KEYS": ("one-two-three",),
    }
    with override_settings(**known):
        told = redact("plain words here / p%40ss-word9 / p@ss-word9 / one-two-three / " + settings.SECRET_KEY)
    assert told == " / ".join([MASK] * 5)


def test_values_are_redacted_by_name_and_by_shape() -> None:
    value = {
        "password": "x",
        "list": [f"Bearer {KEY}", 3],
        "secret_fingerprint": "1a2b3c4d",
        "n": None,
        "token_type": "a",
    }
    assert redacted(value) == {
        "password": MASK,
        "list": [f"Bearer {KEY[:18]}{MASK}", 3],
        "secret_fingerprint": "1a2b3c4d",
        "n": None,
        "token_type": "a",
    }


def logged(log: Any) -> str:
    """What the handlers of the settings write for `log(logger)`."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    wanted = settings.LOGGING["formatters"]["line"]
    handler.setFormatter(import_string(wanted["()"])(wanted["format"], style=wanted["style"]))
    logger = logging.Logger("canary")
    logger.addHandler(handler)
    log(logger)
    return stream.getvalue()


def test_a_log_line_and_its_traceback_are_redacted() -> None:
    def fail(logger: logging.Logger) -> None:
        try:
            raise ValueError(f"refused {KEY}")
        except ValueError:
            logger.exception("with %s and %r", KEY, {"password": "hunter22"})

    told = logged(fail)

    assert "ValueError: refused aika_0123456789ab_********" in told
    assert KEY[-64:] not in told and "hunter22" not in told


def test_a_visitor_writes_no_second_line_into_the_log() -> None:
    told = logged(lambda logger: logger.warning("from %s", "x\n2026-03-02 ERROR forged\r\x1b[2J"))
    assert told.count("\n") == 1
    assert "x\\n2026-03-02 ERROR forged\\r\\x1b[2J" in told


def test_an_error_report_shows_no_secret_of_a_frame_the_request_or_the_settings() -> None:
    sent = {"anything": WORD, "password": WORD}
    request = RequestFactory().post("/x", sent, headers={"Authorization": f"Bearer {KEY}"})
    request.COOKIES["sessionid"] = WORD
    del sent
    assert isinstance(get_exception_reporter_filter(request), ReporterFilter)
    try:
        password, harmless, pem = WORD, KEY, PEM
        raise ValueError(f"{len(password)} {len(harmless)} {len(pem)}")
    except ValueError:
        reporter = ExceptionReporter(request, *sys.exc_info())
        with override_settings(DEBUG=True):
            told = reporter.get_traceback_html() + reporter.get_traceback_text()
    assert "harmless" in told and "ValueError" in told
    for secret in (WORD, KEY[-64:], PEM.splitlines()[1], settings.SECRET_KEY):
        assert secret not in told


def as_reporters_send(error: BaseException) -> dict[str, Any]:
    """The exception with each frame's locals, and what a request and the steps before it would add."""
    frames = [
        {"function": frame.f_code.co_name, "lineno": line, "vars": dict(frame.f_locals)}
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return {
        "level": "error",
        "exception": {"values": [{"type": "ValueError", "value": str(error), "stacktrace": {"frames": frames}}]},
        "breadcrumbs": {
            "values": [{"message": f"asked with {KEY}", "data": {"access_token": WORD, "status_code": 401}}]
        },
        "request": {
            "url": f"https://x.example/?q={KEY}",
            "headers": [["Authorization", f"Bearer {KEY}"], ["X-Csrf_token", WORD], ["Accept", "*/*"]],
            "cookies": {"anything": WORD},
            "data": {"anything": WORD, "nested": {"a": [WORD]}},
            "query_string": f"password={WORD}",
        },
        "extra": {KEY: 1, "api_key": {"inner": WORD}, "sum": Decimal("1.5")},
    }


def test_a_report_to_elsewhere_shows_no_secret_of_a_frame_a_request_or_a_step_before() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    def fail(password: str, harmless: str) -> None:
        broken, deep, pair = Broken(), {"list": [{"client_secret": WORD}, PEM]}, ("refresh_token", WORD)
        raise ValueError(f"refused {harmless} {len(password)} {broken is None} {len(deep)} {len(pair)}")

    try:
        fail(WORD, KEY)
    except ValueError as error:
        event = as_reporters_send(error)
    before = str(event["request"])
    told = redacted_report(event, {"exc_info": None})
    text = json.dumps(told)

    for secret in (WORD, KEY[-64:], PEM.splitlines()[1]):
        assert secret not in text
    local = told["exception"]["values"][0]["stacktrace"]["frames"][-1]["vars"]
    assert (local["password"], local["harmless"]) == (MASK, f"aika_0123456789ab_{MASK}")
    assert local["broken"] == "<Broken: RuntimeError>"
    assert told["request"]["cookies"] == {"anything": MASK}
    assert told["request"]["data"] == {"anything": MASK, "nested": MASK}
    assert str(event["request"]) == before, "the event that goes on here was changed"


def test_a_report_to_elsewhere_says_what_happened() -> None:
    event = {
        "level": "error",
        "exception": {
            "values": [{"type": "KeyError", "stacktrace": {"frames": [{"vars": {"n": 3, "product": "BTC-USD"}}]}}]
        },
        "request": {"method": "POST", "headers": [["Accept", "*/*"]], "cookies": {}, "data": None},
    }
    assert redacted_report(event) == event
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert MASK in json.dumps(redacted_report(endless))


def test_an_answer_of_the_api_is_redacted() -> None:
    problem = Problem(status=400, code="X", detail=f"not {KEY}", details={"token": "t", "password": "hunter22"})
    body = json.loads(respond(RequestFactory().get("/"), problem).content)
    assert KEY[-64:] not in body["detail"]
    assert body["details"]["password"] == MASK


def test_a_task_takes_no_secret() -> None:
    for secret in (KEY, PEM, JWT):
        with pytest.raises(TypeError, match="a task takes ids, not a secret"):
            publish("trades.execute_trade", order_id=secret)
