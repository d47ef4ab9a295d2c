"""A complete and valid body for every door that changes something, and a row on which it does what it is for.

A door that refuses a body for its form has not said whether it would have let the caller do it.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

from django.utils import timezone

from apps.accounts.models import Desk
from apps.accounts.services import second_person
from apps.audit.types import Actor
from apps.connectors.models import Connection
from apps.connectors.types import Side
from apps.lessons.models import Lesson
from apps.lessons.services import reviews
from apps.policies.services import latches, trading_state
from apps.policies.types import LatchKind, ResumeEvidence
from apps.trades.services import conclusions, differences
from apps.trades.types import DifferenceKind
from tests.factories.connectors import simulator_connection
from tests.factories.desk import BTC, PaperDesk
from tests.factories.latches import trip
from tests.factories.lessons import LessonFactory, confirmed
from tests.factories.soft_key import SoftKey
from tests.factories.unknown import unknown
from tests.permissions.setting import Setting

Body = dict[str, Any]
REASON: Final = {"reason": "Because the test says so."}
PASSWORD: Final = "a new and long enough passphrase"
LESSON: Final = "admin/lessons/lesson/<uuid:lesson_id>/"
LATCH: Final = "admin/latches/<uuid:latch_id>/"
STATE: Final = "admin/trading-state/<slug:scope>/"
INQUIRY: Final = "admin/trades/inquiry/order/<uuid:order_id>/"
API_APPROVAL: Final = "api/v1/approvals/<str:proposal_id>/"
DECIDE: Final = "admin/decide/<uuid:proposal_id>/"
# Where an application is registered for OAuth; nobody is there to be called.
OAUTH: Final = {
    "COINBASE_CLIENT_ID": "aika-tests",
    "COINBASE_CLIENT_SECRET": "no secret of anybody's",
    "COINBASE_REDIRECT_URI": "http://localhost:8000/oauth/coinbase/callback",
    "COINBASE_SCOPES": ("wallet:user:read", "wallet:accounts:read", "wallet:buys:create"),
    "COINBASE_API_BASE": "http://localhost:9",
}


QUERIES: Final[dict[str, Callable[[Setting], Body]]] = {
    "api/v1/candles": lambda setting: {"connection": setting.paper.connection.slug, "instrument": BTC},
    "api/v1/feed": lambda setting: {"connection": setting.paper.connection.slug},
    "api/v1/quotes": lambda setting: {"connection": setting.paper.connection.slug},
}


def query_for(setting: Setting, route: str) -> str:
    """What stands behind the address of a GET that needs to be told something."""
    make = QUERIES.get(route)
    return f"?{urlencode(make(setting))}" if make is not None else ""


def body_for(setting: Setting, route: str, letter: str) -> Body:
    """What somebody would send to this door who means it."""
    make = BODIES.get(route)
    return make(setting, letter) if make is not None else {}


def _seen(setting: Setting, letter: str) -> Body:
    return asdict(setting.paper.seen(setting.waiting))


def _with_a_key(setting: Setting, letter: str) -> Body:
    """Whoever asks what their security key must sign has one."""
    if letter in setting.persons:
        SoftKey().belongs_to(setting.persons[letter])
    return {}


def _declined(setting: Setting, letter: str) -> Body:
    return {"digest": setting.waiting.digest, "comment": "Not now."}


def _intent(setting: Setting, letter: str) -> Body:
    return {
        "connection": setting.paper.connection.slug,
        "instrument": BTC,
        "side": "BUY",
        "order_type": "LIMIT",
        "time_in_force": "GTC",
        "quantity": "0.03",
        "limit_price": str(setting.paper.crossing_price(BTC, Side.BUY)),
    }


def _batch(setting: Setting, letter: str) -> Body:
    return {"items": [_intent(setting, letter) | {"idempotency_key": str(uuid4())}]}


def _review(setting: Setting, letter: str) -> Body:
    return {"version": 1}


def _of_lesson(setting: Setting, letter: str) -> Body:
    return {"note": "Because the test says so.", "version": "1", "other": str(setting.objects[LESSON]["other"])}


def _proposed_lesson(setting: Setting, letter: str) -> Body:
    return {"version": str(setting.objects[LESSON]["proposed_version"])}


def _closed_lesson(setting: Setting, letter: str) -> Body:
    return _of_lesson(setting, letter) | {"version": str(setting.objects[LESSON]["closed_version"])}


def _outcome(setting: Setting, letter: str) -> Body:
    return {
        "trade_id": str(uuid4()),
        "desk": setting.paper.desk.slug,
        "instrument": BTC,
        "side": "BUY",
        "quantity": "1",
        "entry_price": "100",
        "exit_price": "90",
    }


def _found_at_venue(setting: Setting, letter: str) -> Body:
    return {**REASON, "venue_order_id": str(setting.objects[f"{INQUIRY}ask-attach/"]["venue_order_id"])}


def _named(setting: Setting, letter: str) -> Body:
    return {"venue_order_id": str(setting.objects[f"{INQUIRY}attach/"]["venue_order_id"])}


def _always(body: Body) -> Callable[[Setting, str], Body]:
    return lambda setting, letter: body


BODIES: Final[dict[str, Callable[[Setting, str], Body]]] = {
    f"{DECIDE}approve/": _seen,
    f"{DECIDE}challenge/": _with_a_key,
    f"{DECIDE}decline/": _declined,
    f"{DECIDE}lessons/<uuid:item_id>/": _always({"verdict": "USEFUL"}),
    "admin/keys/<uuid:key_id>/rotate/": _always({"overlap_hours": "1", "days": "30"}),
    f"{LATCH}ask/": _always(REASON),
    f"{STATE}halt/": _always(REASON),
    f"{STATE}reduce/": _always(REASON),
    f"{STATE}ask/": _always(REASON),
    f"{LESSON}review/": _of_lesson,
    f"{LESSON}dispute/": _of_lesson,
    f"{LESSON}retire/": _of_lesson,
    f"{LESSON}supersede/": _of_lesson,
    f"{LESSON}merge/": _of_lesson,
    f"{LESSON}wake/": _of_lesson,
    f"{LESSON}confirm/": _proposed_lesson,
    f"{LESSON}reinstate/": _closed_lesson,
    "admin/trades/order/<uuid:order_id>/cancel/": _always(REASON),
    "admin/trades/difference/<uuid:difference_id>/settle/": _always(REASON),
    f"{INQUIRY}ask-abandon/": _always(REASON),
    f"{INQUIRY}ask-attach/": _found_at_venue,
    f"{INQUIRY}attach/": _named,
    "admin/trades/hook/<uuid:pk>/rotate/": _always({"days": "30"}),
    "admin/connectors/authorisation/<uuid:pk>/connection/": lambda setting, letter: {
        "slug": "made-by-oauth",
        "name": "Made by OAuth",
        "desk": str(setting.paper.desk.pk),
    },
    "admin/connectors/connection/<uuid:pk>/deactivate/": _always(REASON),
    "admin/accounts/user/<uuid:person_id>/sign-in/": _always({"verb": "unlock"}),
    "admin/accounts/user/<id>/password/": _always(
        {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    ),
    f"{API_APPROVAL}approve": _seen,
    f"{API_APPROVAL}challenge": _with_a_key,
    f"{API_APPROVAL}decline": _declined,
    "api/v1/trades/proposals": _intent,
    "api/v1/trades/proposals/batch": _batch,
    "api/v1/trades/proposals/<str:proposal_id>/withdraw": _always(REASON),
    "api/v1/trades/orders/<str:order_id>/cancel": _always(REASON),
    "api/v1/trades/preview": _intent,
    "api/v1/trades/lessons/query": _always({"text": "no stop"}),
    "api/v1/lessons/<str:lesson_id>/review": _review,
    "api/v1/lessons/<str:lesson_id>/feedback": lambda setting, letter: {
        "verdict": "USEFUL",
        "recall_id": str(setting.item.recall_id),
    },
    "api/v1/trades/outcome": _outcome,
    "api/v1/trading-state/halt": _always(REASON),
    "api/v1/trading-state/reduce": lambda setting, letter: {**REASON, "connection": setting.paper.connection.slug},
    "api/v1/knowledge": lambda setting, letter: {
        "items": [{"id": "note.md", "text": "# Stops\nAlways one."}],
        "desk": setting.paper.desk.slug,
    },
    "api/v1/knowledge/query": _always({"text": "stops"}),
}


def prepare(setting: Setting) -> None:
    """Each verb finds a row on which it does what it is for: asked for by one, seconded by another, of unknown fate."""
    now, paper = timezone.now(), setting.paper
    setting.objects[f"{DECIDE}revoke/"] = {"proposal_id": setting.approved.pk}
    _lessons(setting, now)
    _unknown_orders(setting)
    for verb in ("ask", "second", "resume"):
        setting.objects[f"{STATE}{verb}/"] = {"scope": _halted(paper, verb, now).pk}
    tripped = simulator_connection(paper.simulator, slug="tripped", desk=paper.desk, created_at=now)
    for verb, kind in (
        ("ask", LatchKind.MISMATCH),
        ("second", LatchKind.REPEATED_REJECTS),
        ("reset", LatchKind.DAILY_LOSS),
    ):
        latch = trip(replace(paper, connection=tripped), kind, now=now)
        if verb != "ask":
            asked = latches.request_reset(latch_id=latch.pk, requester=paper.approver2, reason="Seen.", now=now)
        if verb == "reset":
            second_person.second(request_id=asked.pk, seconder=paper.risk, now=now)
        setting.objects[f"{LATCH}{verb}/"] = {"latch_id": latch.pk}
    difference = differences.keep(
        connection_id=tripped.pk,
        kind=DifferenceKind.BALANCE,
        subject="USD",
        ours="1",
        theirs="2",
        done="Nothing.",
        now=now,
    )
    setting.objects["admin/trades/difference/<uuid:difference_id>/settle/"] = {"difference_id": difference.pk}


def _halted(paper: PaperDesk, verb: str, now: datetime) -> Connection:
    """A connection that somebody halted; asked to be resumed, seconded, as the verb needs it."""
    connection = simulator_connection(paper.simulator, slug=f"halted-{verb}", desk=paper.desk, created_at=now)
    trading_state.halt(connection_id=connection.pk, actor=Actor.system("test"), reason="Test.", now=now)
    if verb != "ask":
        asked = trading_state.request_resume(
            connection_id=connection.pk,
            requester=paper.approver2,
            reason="Over.",
            evidence=ResumeEvidence(reconciled_at=now, differences=(), verified_at=now, intact=True),
            now=now,
        )
    if verb == "resume":
        second_person.second(request_id=asked.pk, seconder=paper.risk, now=now)
    return connection


def _lessons(setting: Setting, now: datetime) -> None:
    desk: Desk = setting.paper.desk
    proposed, closed, resting, other = (LessonFactory(desk=desk) for _ in range(4))
    for lesson in (proposed, closed):
        reviews.dispute(lesson_id=lesson.pk, reviewer=setting.paper.approver2, version=1, note="Not so.", now=now)
    confirmed(closed, setting.paper.risk, now)
    Lesson.objects.filter(pk=resting.pk).update(rests_since=now)
    versions = dict(Lesson.objects.filter(pk__in=[proposed.pk, closed.pk]).values_list("pk", "version"))
    setting.objects[LESSON] = {
        "other": other.pk,
        "proposed_version": versions[proposed.pk],
        "closed_version": versions[closed.pk],
    }
    for verb, lesson in {"confirm": proposed, "reinstate": closed, "wake": resting}.items():
        setting.objects[f"{LESSON}{verb}/"] = {"lesson_id": lesson.pk}


def _unknown_orders(setting: Setting) -> None:
    """Two that are at the venue under our name, and two that never came there; one of each is asked about already."""
    paper = setting.paper
    for number, (verb, fault) in enumerate(
        (
            ("ask-attach", "reset-after"),
            ("attach", "reset-after"),
            ("ask-abandon", "reset-before"),
            ("abandon", "reset-before"),
        )
    ):
        proposal = unknown(paper, fault, quantity=Decimal("0.004") + number * Decimal("0.001"))
        order, there = paper.order_of(proposal), paper.venue_orders(proposal)
        values: dict[str, object] = {"order_id": order.pk}
        if there:
            values["venue_order_id"] = there[0]["order_id"]
        if verb == "attach":
            conclusions.ask_to_attach(
                order_id=order.pk,
                venue_order_id=str(values["venue_order_id"]),
                requester=paper.approver2,
                reason="It is ours.",
                clock=timezone.now,
            )
        if verb == "abandon":
            conclusions.ask_to_abandon(order_id=order.pk, requester=paper.approver2, reason="Gone.", now=timezone.now())
        setting.objects[f"{INQUIRY}{verb}/"] = values
    setting.objects[f"{INQUIRY}look/"] = setting.objects[f"{INQUIRY}ask-attach/"]
