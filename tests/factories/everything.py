"""A row of every model that has a page in the console, so that no page is left out of a walk for want of one."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from allauth.account.models import EmailAddress
from django.contrib import admin
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule

from apps.audit.services import alarms, keys, notices, sealing
from apps.audit.types import Channel
from apps.connectors.models import ConnectorCheck
from apps.connectors.selectors import market_of
from apps.connectors.types import Candle, Side
from apps.lessons.models import KnowledgeSource
from apps.policies.types import LatchKind
from apps.quotes.models import CandleBackfill, CandleSeries
from apps.quotes.rules import spans
from apps.quotes.rules.candles import Source
from apps.quotes.services.candles import keep_candles
from apps.trades.models import (
    Difference,
    EquityMark,
    HaltClearing,
    Inquiry,
    Order,
    ReconciliationRun,
    ReportedOutcome,
)
from apps.trades.types import DifferenceKind, InquiryAnswer, InquiryKind, RunOutcome, RunTrigger
from tests.factories.accounts import SecondPersonRequestFactory
from tests.factories.alarms import Receiver
from tests.factories.connectors import simulator_connection
from tests.factories.desk import BTC, PaperDesk
from tests.factories.knowledge import KnowledgeDocumentFactory, KnowledgeRecallFactory
from tests.factories.latches import trip
from tests.factories.lessons import LessonFactory
from tests.factories.memory import EvaluationFactory, IndexEntryFactory, RecallFactory
from tests.factories.oauth import authorisation_of
from tests.hooks.conftest import make_sender

HOUR: Final = timedelta(hours=1)
QUANTITY: Final = Decimal("0.011")


def a_row_of_each(desk: PaperDesk) -> None:
    """Makes what is missing. A model without a maker is a KeyError that names it."""
    now = timezone.now()
    for model in admin.site._registry:
        if not model._default_manager.exists():
            MAKERS[model._meta.label_lower](desk, now)
    empty = [model._meta.label for model in admin.site._registry if not model._default_manager.exists()]
    assert empty == []


def _traded(desk: PaperDesk, now: datetime) -> None:
    """Bought and sold again: proposals, votes, orders, fills, a position, an outcome, and its case."""
    for side in (Side.BUY, Side.SELL):
        asked = desk.propose(side=side, quantity=QUANTITY)
        desk.approve(asked)
        desk.execute(asked)
        desk.poll(asked)


def _told(desk: PaperDesk, now: datetime) -> None:
    """An alarm, and one telling of it."""
    alarms.raise_alarm(code="FILLS_DIFFER", subject="order:1", message="They differ.", now=now)
    notices.tell_due(channels=[Channel.LOG], now=now)
    notices.send_owed(senders=[Receiver(Channel.LOG)], clock=timezone.now)


def _candles(desk: PaperDesk, now: datetime) -> None:
    one, end = Decimal(100), spans.floor(now, 60)
    candles = [Candle(end - timedelta(minutes=n), one, one + n, one, one, one) for n in range(1, 20)]
    keep_candles(market_of(desk.connection), {BTC: candles}, source=Source.VENUE)


def _backfill(desk: PaperDesk, now: datetime) -> None:
    series = CandleSeries.objects.filter(seconds=60).first() or CandleSeries.objects.latest("pk")
    CandleBackfill.objects.create(
        series=series, since=now - HOUR, until=now, started_at=now, progress_at=now, calls=7, candles=1
    )


def _mark(desk: PaperDesk, now: datetime) -> None:
    worth = {"currency": "USD", "peak": Decimal(1000), "equity": Decimal(990), "totals": {"USD": "990"}}
    times = {"peak_at": now - HOUR, "measured_at": now, "balances_at": now}
    EquityMark.objects.create(connection=desk.connection, **worth, **times)


def _clearing(desk: PaperDesk, now: datetime) -> None:
    """It begins and it ends: the table takes no other beginning."""
    times = {"halted_at": now - HOUR, "started_at": now - HOUR, "next_at": now, "listed_at": now}
    row = HaltClearing.objects.create(connection=desk.connection, outcome="RUNNING", passes=2, **times)
    row.outcome, row.finished_at, row.empty_lists = "DONE", now, 2
    row.save()


def _run(desk: PaperDesk, now: datetime) -> None:
    run = ReconciliationRun.objects.create(
        connection=desk.connection,
        trigger=RunTrigger.COMMAND,
        asked_by="test",
        started_at=now,
        since=now - HOUR,
        until=now,
    )
    run.outcome, run.finished_at = RunOutcome.CLEAN, now
    run.save()


def _difference(desk: PaperDesk, now: datetime) -> None:
    words = {"subject": "v-1", "ours": "nothing", "theirs": "an order", "done": "Nothing."}
    Difference.objects.create(connection=desk.connection, kind=DifferenceKind.ORDER_FOREIGN, found_at=now, **words)


def _inquiry(desk: PaperDesk, now: datetime) -> None:
    order = Order.objects.latest("pk")
    Inquiry.objects.create(order=order, kind=InquiryKind.SCAN, answer=InquiryAnswer.NOT_FOUND, fence=1, asked_at=now)


def _reported(desk: PaperDesk, now: datetime) -> None:
    prices = {"quantity": Decimal(1), "entry_price": Decimal(100), "exit_price": Decimal(90), "pnl": Decimal(-10)}
    ReportedOutcome.objects.create(
        desk=desk.desk,
        trade_id="elsewhere-1",
        environment="paper",
        instrument=BTC,
        quote_currency="USD",
        side="BUY",
        closed_at=now,
        reported_at=now,
        reporter=desk.trader,
        **prices,
    )


def _hook_call(desk: PaperDesk, now: datetime) -> None:
    make_sender(desk).send(b"no json")


def _sealed(desk: PaperDesk, now: datetime) -> None:
    """With a key that signs this once, and nothing kept elsewhere."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "seal.pem"
        believed = [keys.generate(path=path).hex()]
        with override_settings(AUDIT_SEAL_KEY_FILE=str(path), AUDIT_SEAL_PUBLIC_KEYS=believed, AUDIT_ANCHOR_DIR=""):
            sealing.seal(now=now)


def _latch(desk: PaperDesk, now: datetime) -> None:
    """Of a connection that nothing else needs."""
    shut = simulator_connection(desk.simulator, slug="shut-by-latch", desk=desk.desk, created_at=now)
    trip(desk.__class__(**{**vars(desk), "connection": shut}), LatchKind.MISMATCH, now=now)


Maker = Callable[[PaperDesk, datetime], object]
MAKERS: Final[dict[str, Maker]] = {
    **dict.fromkeys(
        (
            *("trades.proposal", "trades.authority", "trades.order", "trades.fill", "trades.position"),
            *("trades.outcome", "trades.proposalfacts", "approvals.vote", "policies.decision"),
            *("policies.budget", "policies.reservation", "lessons.case"),
        ),
        _traded,
    ),
    "trades.hook": _hook_call,
    "trades.hookcall": _hook_call,
    "trades.equitymark": _mark,
    "trades.haltclearing": _clearing,
    "trades.reconciliationrun": _run,
    "trades.difference": _difference,
    "trades.inquiry": _inquiry,
    "trades.reportedoutcome": _reported,
    "policies.latch": _latch,
    "quotes.candleseries": _candles,
    "quotes.candlebackfill": _backfill,
    "lessons.lesson": lambda desk, now: LessonFactory(desk=desk.desk),
    "lessons.recall": lambda desk, now: RecallFactory(desk=desk.desk),
    "lessons.knowledgerecall": lambda desk, now: KnowledgeRecallFactory(desk=desk.desk),
    "lessons.evaluation": lambda desk, now: EvaluationFactory(desk=desk.desk),
    "lessons.indexspace": lambda desk, now: IndexEntryFactory(),
    "lessons.indexentry": lambda desk, now: IndexEntryFactory(),
    "lessons.knowledgedocument": lambda desk, now: KnowledgeDocumentFactory(desk=desk.desk),
    "lessons.knowledgesource": lambda desk, now: KnowledgeSource.objects.create(desk=desk.desk, path="books"),
    "connectors.authorisation": lambda desk, now: authorisation_of(desk.risk),
    "connectors.connectorcheck": lambda desk, now: ConnectorCheck.objects.create(
        connection=desk.connection, ran_at=now, answers={"server_time": "ok"}
    ),
    "accounts.secondpersonrequest": lambda desk, now: SecondPersonRequestFactory(),
    "audit.alarm": _told,
    "audit.delivery": _told,
    "audit.checkpoint": _sealed,
    "account.emailaddress": lambda desk, now: EmailAddress.objects.create(
        user=desk.trader, email="trader@example.com", verified=True, primary=True
    ),
    "django_celery_beat.periodictask": lambda desk, now: call_command("sync_beat", verbosity=0),
    "django_celery_beat.intervalschedule": lambda desk, now: call_command("sync_beat", verbosity=0),
    "django_celery_beat.crontabschedule": lambda desk, now: CrontabSchedule.objects.create(),
}
