import threading
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from apps.accounts.models import Desk, IdempotencyRecord
from apps.accounts.services import idempotency
from apps.accounts.services.idempotency import Answer, Claim, Replay
from apps.common.errors import Conflict, Denied, Invalid, Misconfigured
from tests.accounts.conftest import InThreads
from tests.factories.accounts import DeskFactory

BODY = b'{"quantity": "0.05", "side": "BUY"}'


def begin(**changes: Any) -> Replay | Claim:
    asked = {"principal_key": "user:1", "key": "k-1", "method": "POST", "path": "/api/v1/trades/proposals"}
    return idempotency.begin(**{**asked, "body": BODY, **changes})


def claim_of(**changes: Any) -> Claim:
    claim = begin(**changes)
    assert isinstance(claim, Claim)
    return claim


def effect() -> tuple[int, bytes]:
    desk = DeskFactory()
    return 201, f'{{"id": "{desk.pk}"}}'.encode()


def test_the_second_equal_request_gets_the_first_answer(db: None, now: datetime) -> None:
    first = idempotency.complete(claim_of(), act=effect, now=now)

    again = begin()

    assert isinstance(again, Replay)
    assert (again.status, again.body) == (first.status, first.body)
    assert Desk.objects.count() == 1


@pytest.mark.parametrize(
    "same",
    [b'{"side":"BUY","quantity":"0.05"}', b'{\n  "quantity": "0.05",\n  "side": "\\u0042UY"\n}'],
)
def test_the_same_json_written_differently_is_the_same_request(db: None, now: datetime, same: bytes) -> None:
    idempotency.complete(claim_of(), act=effect, now=now)
    assert isinstance(begin(body=same), Replay)


@pytest.mark.parametrize(
    "other",
    [
        {"body": b'{"quantity": "0.06", "side": "BUY"}'},
        {"body": b'{"quantity": 0.05, "side": "BUY"}'},
        {"body": b""},
        {"body": b"[" * 50_000},
        {"method": "PUT"},
        {"path": "/api/v1/trades/preview"},
    ],
)
def test_a_key_used_for_something_else_is_refused(db: None, now: datetime, other: dict[str, Any]) -> None:
    idempotency.complete(claim_of(), act=effect, now=now)
    with pytest.raises(Denied) as refused:
        begin(**other)
    assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"


def test_keys_belong_to_their_principal(db: None, now: datetime) -> None:
    idempotency.complete(claim_of(), act=effect, now=now)
    assert isinstance(begin(principal_key="user:2", body=b"{}"), Claim)


@pytest.mark.parametrize("key", ["", "x" * 256, "with blank", "nul\x00", "ümlaut", "line\n"])
def test_a_malformed_key_is_refused(db: None, key: str) -> None:
    with pytest.raises(Invalid) as refused:
        begin(key=key)
    assert refused.value.code == "IDEMPOTENCY_KEY_MALFORMED"
    assert begin(key="x" * 255)


def test_a_refusal_leaves_nothing_and_the_key_stays_free(db: None, now: datetime) -> None:
    def refuse() -> tuple[int, bytes]:
        effect()
        raise Invalid("SOMETHING", "No.")

    claim = claim_of()
    with pytest.raises(Invalid):
        idempotency.complete(claim, act=refuse, now=now)

    assert not Desk.objects.exists()
    assert idempotency.complete(claim_of(), act=effect, now=now).status == 201


def test_the_loser_of_a_race_has_no_effect_and_replays_the_winner(db: None, now: datetime) -> None:
    slow, fast = claim_of(), claim_of()
    won = idempotency.complete(fast, act=effect, now=now)

    lost = idempotency.complete(slow, act=effect, now=now)

    assert isinstance(lost, Replay)
    assert lost.body == won.body
    assert Desk.objects.count() == 1


def test_the_loser_with_another_body_is_told_so(db: None, now: datetime) -> None:
    slow, fast = claim_of(body=b"{}"), claim_of()
    idempotency.complete(fast, act=effect, now=now)
    with pytest.raises(Denied, match="IDEMPOTENCY_KEY_REUSED"):
        idempotency.complete(slow, act=effect, now=now)
    assert Desk.objects.count() == 1


def test_no_answer_yet_says_when_to_come_back(db: None) -> None:
    with pytest.raises(Conflict) as refused:
        idempotency.replay(claim_of())
    assert (refused.value.code, refused.value.details) == ("IDEMPOTENCY_IN_PROGRESS", {"retry_after": "1"})


@pytest.mark.django_db(transaction=True)
def test_an_answer_is_never_stored_outside_the_transaction_of_its_effect(now: datetime) -> None:
    with pytest.raises(Misconfigured, match="IDEMPOTENCY_OUTSIDE_TRANSACTION"):
        idempotency.finish(claim_of(), status=201, body=b"{}", now=now)
    with pytest.raises(ValueError, match="503"), transaction.atomic():
        idempotency.finish(claim_of(), status=503, body=b"{}", now=now)
    assert not IdempotencyRecord.objects.exists()


def test_old_answers_are_pruned_but_none_younger_than_a_week(db: None, now: datetime) -> None:
    idempotency.complete(claim_of(key="old"), act=effect, now=now)
    idempotency.complete(claim_of(key="young"), act=effect, now=now + timedelta(days=1))

    assert idempotency.prune(older_than=timedelta(days=7), now=now + timedelta(days=7, seconds=1)) == 1

    assert list(IdempotencyRecord.objects.values_list("key", flat=True)) == ["young"]
    with pytest.raises(Invalid, match="IDEMPOTENCY_KEEP_TOO_SHORT"):
        idempotency.prune(older_than=timedelta(days=6), now=now)


def test_the_prune_command(db: None, now: datetime) -> None:
    idempotency.complete(claim_of(), act=effect, now=now - timedelta(days=4000))
    out = StringIO()
    call_command("prune_idempotency", "--older-than-days", "30", stdout=out)
    assert out.getvalue() == "1 stored answers deleted.\n"
    with pytest.raises(CommandError, match="at least 7 days"):
        call_command("prune_idempotency", "--older-than-days", "6")


def test_few_threads_with_one_key_have_one_effect(in_threads: InThreads, now: datetime) -> None:
    _assert_one_effect(in_threads, 4, now)


@pytest.mark.postgres
def test_twenty_threads_with_one_key_have_one_effect(in_threads: InThreads, now: datetime) -> None:
    assert connection.vendor == "postgresql"
    _assert_one_effect(in_threads, 20, now)


def test_without_the_unique_index_the_race_would_be_lost(
    in_threads: InThreads, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: an answer is kept if nobody keeps one yet, and who comes second does not mind."""

    def naive(claim: Claim, *, status: int, body: bytes, now: datetime) -> None:
        values = {"fingerprint": claim.fingerprint, "status": status, "body": body, "created_at": now}
        IdempotencyRecord.objects.get_or_create(principal=claim.principal_key, key=claim.key, defaults=values)

    monkeypatch.setattr(idempotency, "finish", naive)

    _race(in_threads, 4, now)

    assert in_threads(1, Desk.objects.count) == [4]


def _assert_one_effect(in_threads: InThreads, count: int, now: datetime) -> None:
    answers = _race(in_threads, count, now)
    assert in_threads(1, lambda: (Desk.objects.count(), IdempotencyRecord.objects.count())) == [(1, 1)]
    assert len({(answer.status, answer.body) for answer in answers}) == 1
    assert sum(not isinstance(answer, Replay) for answer in answers) == 1


def _race(in_threads: InThreads, count: int, now: datetime) -> list[Answer]:
    barrier = threading.Barrier(count, timeout=30)

    def request() -> Answer:
        claim = claim_of()
        barrier.wait()  # everybody has looked, and nobody has answered
        return idempotency.complete(claim, act=effect, now=now)

    return in_threads(count, request)
