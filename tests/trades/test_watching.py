"""Each bound: at the bound it is no alarm, a microsecond later it is, and resolved it is over."""

import json
import threading
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from apps.accounts.models import ApiKey
from apps.accounts.services import api_keys, second_person
from apps.audit.models import Alarm, Pulse
from apps.audit.selectors import open_alarms
from apps.audit.services import alarms, keys, pulses, sealing
from apps.audit.services.verifications import verify_and_record
from apps.audit.types import Actor, ActorKind, Channel, Result, Says
from apps.common.errors import Forbidden
from apps.lessons.services import indexing, spaces
from apps.policies.services import trading_state
from apps.trades import tasks
from apps.trades.models import HaltClearing, Order, Proposal
from apps.trades.services import cancels, differences, endings, market, orders, watching
from apps.trades.types import DifferenceKind, OrderState
from tests.factories.alarms import Receiver, is_open, swept
from tests.factories.desk import PaperDesk
from tests.factories.lessons import CaseFactory
from tests.factories.trading import rest

pytestmark = pytest.mark.django_db

MICROSECOND = timedelta(microseconds=1)
TEST = Actor.system("test")


def assert_bound(code: str, subject: str, *, since: datetime, bound_s: int) -> datetime:
    """No alarm at the bound, one just beyond it. Returns when it was raised."""
    end = since + timedelta(seconds=bound_s)
    swept(end)
    assert not is_open(code, subject)
    swept(end + MICROSECOND)
    assert is_open(code, subject)
    return end + MICROSECOND


@pytest.fixture
def approved(paper: PaperDesk) -> Proposal:
    proposal = paper.propose()
    paper.approve(proposal)
    return proposal


@pytest.fixture
def working(paper: PaperDesk) -> Order:
    """An order that rests at the venue and has been read."""
    proposal = rest(paper)
    paper.poll(proposal)
    return paper.order_of(proposal)


class TestOrders:
    def test_approved_and_not_claimed(self, paper: PaperDesk, approved: Proposal, settings: Any) -> None:
        order = paper.order_of(approved)
        subject, bound = f"order:{order.pk}", settings.ALARM_ORDER_NOT_CLAIMED_S
        at = assert_bound("ORDER_NOT_CLAIMED", subject, since=order.created_at, bound_s=bound)
        paper.execute(approved)
        swept(at)
        assert not is_open("ORDER_NOT_CLAIMED", subject)

    def test_claimed_and_never_heard_of_again(self, paper: PaperDesk, approved: Proposal, settings: Any) -> None:
        order = paper.order_of(approved)
        claim = orders._claim(order.pk, timezone.now(), timezone.now)
        order.refresh_from_db()
        assert claim is not None and order.submitted_at is not None
        subject, bound = f"order:{order.pk}", settings.ALARM_ORDER_IN_FLIGHT_S
        at = assert_bound("ORDER_IN_FLIGHT", subject, since=order.submitted_at, bound_s=bound)
        tasks.publish_pending()  # its claim has not lapsed by the real clock: nothing happens
        assert is_open("ORDER_IN_FLIGHT", subject)
        orders._record(claim, OrderState.REJECTED, at, code="NO_FUNDS")
        swept(at)
        assert not is_open("ORDER_IN_FLIGHT", subject)

    def test_working_and_not_read(self, paper: PaperDesk, working: Order, settings: Any) -> None:
        assert working.polled_at is not None
        subject, bound = f"order:{working.pk}", settings.ALARM_ORDER_NOT_READ_S
        assert_bound("ORDER_NOT_READ", subject, since=working.polled_at, bound_s=bound)
        paper.poll(working.proposal)
        swept(timezone.now())
        assert not is_open("ORDER_NOT_READ", subject)

    def test_past_the_last_moment_it_may_rest(self, paper: PaperDesk, working: Order, settings: Any) -> None:
        subject, bound = f"order:{working.pk}", settings.ALARM_ORDER_OVERDUE_S
        at = assert_bound("ORDER_OVERDUE", subject, since=working.proposal.not_after, bound_s=bound)
        cancels.request_cancel(order_id=working.pk, actor=TEST, reason="Late.", now=timezone.now())
        paper.cancel(working.proposal)
        swept(at)
        assert not is_open("ORDER_OVERDUE", subject)

    def test_to_be_canceled_and_not_ended(self, paper: PaperDesk, working: Order, settings: Any) -> None:
        asked_at = timezone.now()
        cancels.request_cancel(order_id=working.pk, actor=TEST, reason="Enough.", now=asked_at)
        subject, bound = f"order:{working.pk}", settings.ALARM_CANCEL_NOT_CONFIRMED_S
        at = assert_bound("CANCEL_NOT_CONFIRMED", subject, since=asked_at, bound_s=bound)
        paper.cancel(working.proposal)
        swept(at)
        assert not is_open("CANCEL_NOT_CONFIRMED", subject)


class TestPeople:
    def test_a_proposal_that_is_about_to_expire(self, paper: PaperDesk, settings: Any) -> None:
        proposal = paper.propose(valid_for_s=3600)
        within = settings.ALARM_PROPOSAL_EXPIRES_WITHIN_S
        since = proposal.expires_at - timedelta(seconds=within)
        at = assert_bound("PROPOSAL_NEAR_EXPIRY", f"proposal:{proposal.pk}", since=since, bound_s=0)
        endings.expire(proposal_id=proposal.pk, now=proposal.expires_at)
        swept(at)
        assert not is_open("PROPOSAL_NEAR_EXPIRY", f"proposal:{proposal.pk}")

    def test_a_short_one_is_none_in_the_first_half_of_its_time(self, paper: PaperDesk) -> None:
        proposal = paper.propose(valid_for_s=120)
        half = proposal.created_at + (proposal.expires_at - proposal.created_at) / 2
        assert_bound("PROPOSAL_NEAR_EXPIRY", f"proposal:{proposal.pk}", since=half, bound_s=0)

    def test_one_that_is_past_its_time_and_stands(self, paper: PaperDesk, settings: Any) -> None:
        proposal = paper.propose()
        subject, bound = f"proposal:{proposal.pk}", settings.ALARM_PROPOSAL_NOT_EXPIRED_S
        at = assert_bound("PROPOSAL_NOT_EXPIRED", subject, since=proposal.expires_at, bound_s=bound)
        endings.expire(proposal_id=proposal.pk, now=at)
        swept(at)
        assert not is_open("PROPOSAL_NOT_EXPIRED", subject)

    def test_a_request_for_a_second_person(self, risk: Any, approver: Any, now: datetime, settings: Any) -> None:
        asked = second_person.request(
            kind="test.loosen",
            subject="s",
            digest="d" * 64,
            summary="More.",
            requester=risk,
            now=now,
            ttl=timedelta(hours=1),
        )
        within = settings.ALARM_SECOND_PERSON_EXPIRES_WITHIN_S
        half = now + (asked.expires_at - now) / 2
        since = max(half, asked.expires_at - timedelta(seconds=within))
        at = assert_bound("SECOND_PERSON_NEAR_EXPIRY", f"second_person:{asked.pk}", since=since, bound_s=0)
        second_person.second(request_id=asked.pk, seconder=approver, now=at)
        swept(at)
        assert not is_open("SECOND_PERSON_NEAR_EXPIRY", f"second_person:{asked.pk}")


class TestKeys:
    @pytest.fixture
    def key(self, paper: PaperDesk, now: datetime) -> ApiKey:
        """A key that came from outside its networks at `now`, three times."""
        key, secret = api_keys.issue(
            owner=paper.trader,
            name="bot",
            scopes=["read"],
            networks=["10.0.0.0/8"],
            expires_at=now + timedelta(days=30),
            actor=TEST,
            now=now,
        )
        for _ in range(3):
            with pytest.raises(Forbidden, match="KEY_ADDRESS_REFUSED"):
                api_keys.authenticate(header=f"Bearer {secret}", address="198.51.100.7", now=now)
        api_keys.authenticate(header=f"Bearer {secret}", address="10.1.2.3", now=now)
        return key

    def test_a_whole_key_from_elsewhere_is_one_alarm_until_the_key_is_revoked(self, key: ApiKey, now: datetime) -> None:
        at = assert_bound("KEY_USED_ELSEWHERE", f"api_key:{key.pk}", since=now, bound_s=0)
        (alarm,) = open_alarms().filter(code="KEY_USED_ELSEWHERE")
        assert key.prefix in alarm.message and "198.51.100.7" in alarm.message
        api_keys.revoke(key_id=key.pk, actor=TEST, now=at)
        swept(at + timedelta(seconds=10))
        assert not is_open("KEY_USED_ELSEWHERE", f"api_key:{key.pk}")

    def test_it_is_over_a_day_after_the_last_such_call(self, key: ApiKey, now: datetime) -> None:
        swept(now + timedelta(days=1))
        assert is_open("KEY_USED_ELSEWHERE", f"api_key:{key.pk}")
        swept(now + timedelta(days=1) + MICROSECOND)
        assert not is_open("KEY_USED_ELSEWHERE", f"api_key:{key.pk}")


class TestConnections:
    def test_halted_and_not_known_to_be_empty(self, paper: PaperDesk, working: Order, settings: Any) -> None:
        halted_at = timezone.now()
        trading_state.halt(connection_id=paper.connection.pk, actor=TEST, reason="Stop.", now=halted_at)
        subject, bound = f"connection:{paper.connection.pk}", settings.ALARM_HALT_NOT_CLEARED_S
        at = assert_bound("HALT_NOT_CLEARED", subject, since=halted_at, bound_s=bound)
        for turn in range(6):
            later = at + timedelta(seconds=30 * turn)
            tasks.halting.clear(connection_id=paper.connection.pk, clock=lambda later=later: later)
            paper.poll(working.proposal)
        assert HaltClearing.objects.get().outcome == "DONE"
        swept(at)
        assert not is_open("HALT_NOT_CLEARED", subject)

    def test_not_compared_with_its_venue(self, paper: PaperDesk, settings: Any) -> None:
        subject, bound = f"connection:{paper.connection.pk}", settings.RECONCILE_LATE_S
        at = assert_bound("RECONCILIATION_LATE", subject, since=paper.connection.created_at, bound_s=bound)
        tasks.reconcile(connection_id=str(paper.connection.pk))
        swept(at)
        assert not is_open("RECONCILIATION_LATE", subject)

    def test_a_difference_nobody_explains(self, paper: PaperDesk, risk: Any, now: datetime, settings: Any) -> None:
        row = differences.keep(
            connection_id=paper.connection.pk,
            kind=DifferenceKind.BALANCE,
            subject="USD",
            ours="9",
            theirs="10",
            done="Nothing.",
            now=now,
        )
        subject, bound = f"difference:{row.pk}", settings.ALARM_DIFFERENCE_OPEN_S
        at = assert_bound("DIFFERENCE_OPEN", subject, since=now, bound_s=bound)
        differences.settle(difference_id=row.pk, person=risk, reason="A deposit.", now=at)
        swept(at)
        assert not is_open("DIFFERENCE_OPEN", subject)

    def test_facts_prices_and_news_that_do_not_come(self, paper: PaperDesk, settings: Any) -> None:
        now, subject = timezone.now(), f"connection:{paper.connection.pk}"
        market.poll_all(set(), clock=lambda: now)
        pulses.beat(pulses.user_channel(paper.connection.pk), now=now)
        paper.connection.refresh_from_db()
        facts_at = paper.connection.fees_as_of
        assert facts_at is not None
        for code, since, bound in (
            ("PRICES_SILENT", now, settings.ALARM_PRICES_SILENT_S),
            ("USER_CHANNEL_SILENT", now, settings.ALARM_USER_CHANNEL_SILENT_S),
            ("MARKET_FACTS_OLD", facts_at, settings.ALARM_MARKET_FACTS_OLD_S),
        ):
            at = assert_bound(code, subject, since=since, bound_s=bound)
        pulses.beat(pulses.user_channel(paper.connection.pk), now=at)
        market.poll_all(set(), clock=lambda: at)
        tasks.refresh_market_facts()
        swept(timezone.now())
        codes = ("PRICES_SILENT", "USER_CHANNEL_SILENT", "MARKET_FACTS_OLD")
        assert not any(is_open(code, subject) for code in codes)

    def test_one_that_is_switched_off_is_silent_in_peace(self, paper: PaperDesk) -> None:
        paper.connection.__class__.objects.filter(pk=paper.connection.pk).update(is_active=False)
        swept(timezone.now() + timedelta(days=1))
        assert not open_alarms().filter(subject=f"connection:{paper.connection.pk}").exists()


@pytest.fixture
def sealer(db: None, settings: Any, tmp_path: Path) -> None:
    """A sealer with a key of its own, which has sealed nothing yet."""
    settings.AUDIT_SEAL_KEY_FILE = str(tmp_path / "seal.pem")
    settings.AUDIT_SEAL_PUBLIC_KEYS = [keys.generate(path=tmp_path / "seal.pem").hex()]
    settings.AUDIT_ANCHOR_DIR = str(tmp_path / "anchors")


class TestMachinery:
    @pytest.mark.parametrize(
        ("code", "subject", "pulse", "bound"),
        [
            ("BEAT_SILENT", "beat", pulses.BEAT, "ALARM_BEAT_SILENT_S"),
            ("WORKER_SILENT", "worker:default", pulses.worker("default"), "ALARM_WORKER_SILENT_S"),
            ("WORKER_SILENT", "worker:execution", pulses.worker("execution"), "ALARM_WORKER_SILENT_S"),
        ],
    )
    def test_a_part_that_gives_no_sign_of_life(
        self, code: str, subject: str, pulse: str, bound: str, now: datetime, settings: Any
    ) -> None:
        pulses.beat(pulse, now=now)
        at = assert_bound(code, subject, since=now, bound_s=getattr(settings, bound))
        pulses.beat(pulse, now=at)
        swept(at)
        assert not is_open(code, subject)

    def test_the_tasks_are_the_signs(self, db: None) -> None:
        tasks.show_life()
        tasks.show_life_execution()
        tasks.watch_alarms()
        assert {"worker:default", "worker:execution", "beat", "sweep"} <= set(
            Pulse.objects.values_list("pk", flat=True)
        )

    def test_a_desk_that_was_off_for_a_night_wakes_up_calm(self, paper: PaperDesk, settings: Any) -> None:
        evening = timezone.now()
        swept(evening)
        morning = evening + timedelta(hours=9)
        watching.sweep(clock=lambda: morning)
        assert not open_alarms().filter(code__in={"BEAT_SILENT", "WORKER_SILENT", "PRICES_SILENT"}).exists()
        still = morning + timedelta(seconds=settings.ALARM_BEAT_SILENT_S + 1)
        swept(still)
        assert is_open("BEAT_SILENT", "beat"), "it had its minute, and did nothing"

    def test_texts_that_wait_for_the_vector_index(self, paper: PaperDesk, now: datetime, settings: Any) -> None:
        spaces.ensure(now=now)
        case = CaseFactory(desk=paper.desk, now=now)
        at = assert_bound("INDEX_BEHIND", "lessons:index", since=now, bound_s=settings.ALARM_INDEX_BEHIND_S)
        indexing.embed_pending(clock=lambda: at)
        swept(at)
        assert not is_open("INDEX_BEHIND", "lessons:index"), case

    def test_events_in_no_checkpoint(self, now: datetime, settings: Any, sealer: None) -> None:
        sealing.seal(now=now)
        alarms.raise_alarm(code="FILLS_DIFFER", subject="order:1", message="One event.", now=now)
        bound = settings.ALARM_AUDIT_CHECKPOINT_LATE_S
        at = assert_bound("AUDIT_CHECKPOINT_LATE", "audit:seals", since=now, bound_s=bound)
        sealing.seal(now=at)
        swept(at)
        assert not is_open("AUDIT_CHECKPOINT_LATE", "audit:seals")

    def test_a_log_nobody_verifies(self, now: datetime, settings: Any, sealer: None) -> None:
        sealing.seal(now=now)
        assert verify_and_record(by=TEST, now=now).result is Result.INTACT
        bound = settings.ALARM_AUDIT_VERIFICATION_LATE_S
        at = assert_bound("AUDIT_VERIFICATION_LATE", "audit:log", since=now, bound_s=bound)
        sealing.seal(now=at)
        assert verify_and_record(by=TEST, now=at).result is Result.INTACT
        swept(at)
        assert not is_open("AUDIT_VERIFICATION_LATE", "audit:log")

    def test_a_way_out_that_is_blocked_is_an_alarm_which_goes_the_other_way(self, now: datetime, settings: Any) -> None:
        webhook, mail = Receiver(up=False), Receiver(Channel.EMAIL)
        alarms.raise_alarm(code="FILLS_DIFFER", subject="order:1", message="They differ.", now=now)
        swept(now, senders=[webhook, mail])
        end = now + timedelta(seconds=settings.ALARM_NOT_DELIVERED_S)
        swept(end, senders=[webhook, mail])
        assert not is_open("ALARM_NOT_DELIVERED", "channel:webhook")
        swept(end + MICROSECOND, senders=[webhook, mail])
        assert is_open("ALARM_NOT_DELIVERED", "channel:webhook")
        assert "ALARM_NOT_DELIVERED" in {message.code for message in mail.heard}
        webhook.up = True
        late = end + timedelta(hours=1)
        swept(late, senders=[webhook, mail])
        swept(late, senders=[webhook, mail])
        assert not is_open("ALARM_NOT_DELIVERED", "channel:webhook")


class TestCommand:
    def run(self, *words: str) -> tuple[str, int]:
        said, code = StringIO(), 0
        try:
            call_command("alarms", *words, stdout=said)
        except SystemExit as end:
            code = int(end.code or 0)
        return said.getvalue(), code

    def test_it_lists_says_what_to_do_and_exits_1_until_somebody_acknowledges(self, now: datetime) -> None:
        alarm = alarms.raise_alarm(code="FILLS_DIFFER", subject="order:1", message="They differ.", now=now)
        said, code = self.run("--list-only")
        assert code == 1
        assert "NOT ACKNOWLEDGED" in said and "Compare the order's fills" in said
        said, code = self.run("--list-only", "--acknowledge", str(alarm.pk))
        assert code == 0
        assert "acknowledged by manage.py alarms, run by " in said

    def test_it_sweeps_and_speaks_json(self, now: datetime) -> None:
        alarms.raise_alarm(code="FILLS_DIFFER", subject="order:1", message="They differ.", now=now)
        said, code = self.run("--json")
        (line,) = [row for row in json.loads(said)["alarms"] if row["code"] == "FILLS_DIFFER"]
        assert (line["told"], line["acknowledged_by"], code) == (1, None, 1)

    @pytest.mark.django_db(transaction=True)  # each round closes the connection it used, an open transaction with it
    def test_a_watch_of_its_own_sweeps_until_it_is_told_to_stop_and_does_not_pass_for_beat(self, now: datetime) -> None:
        stop = threading.Event()
        alarms.raise_alarm(code="FILLS_DIFFER", subject="order:1", message="They differ.", now=now)

        def clock() -> datetime:
            stop.set()
            return now

        watching.follow(stop, clock=clock, every_s=5)
        assert Alarm.objects.get(code="FILLS_DIFFER").told == 1
        assert not Pulse.objects.filter(name=pulses.BEAT).exists()

    @pytest.mark.parametrize("seconds", ["0", "4", "51"])
    def test_a_watch_that_looks_too_rarely_or_all_the_time_is_refused(self, db: None, seconds: str) -> None:
        with pytest.raises(CommandError, match="takes 5 to 50 seconds"):
            call_command("alarms", "--every", seconds)

    def test_nothing_open_is_said_too(self, db: None) -> None:
        said, code = self.run("--list-only")
        assert (said.strip(), code) == ("No alarm is open.", 0)


def test_acknowledging_stops_the_telling_of_a_sweep(now: datetime) -> None:
    receiver = Receiver()
    alarm = alarms.raise_alarm(code="FILLS_DIFFER", subject="order:1", message="They differ.", now=now)
    swept(now, senders=[receiver])
    alarms.acknowledge(alarm_id=alarm.pk, actor=Actor(ActorKind.USER, "u", "Mara"), now=now)
    swept(now + timedelta(days=1), senders=[receiver])
    heard = [message.says for message in receiver.heard if message.code == "FILLS_DIFFER"]
    assert heard == [Says.OPEN, Says.ACKNOWLEDGED]
    assert Alarm.objects.filter(pk=alarm.pk, cleared_at=None).exists(), "seen is not over"
