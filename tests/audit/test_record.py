"""A fact and its event commit together."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import override_settings

from apps.audit import selectors
from apps.audit.models import GENESIS, Event, StreamHead
from apps.audit.services import events
from apps.audit.types import Actor, ActorKind
from apps.common import canonical
from apps.common.errors import Misconfigured


def test_an_event_holds_the_bytes_and_repeats_them_in_columns(record: Any, now: datetime) -> None:
    event = record(stream="proposal:7", payload={"notional": Decimal("10.50"), "at": now})
    event.refresh_from_db()
    assert bytes(event.body).decode() == (
        '{"schema":"aika.event/1",'
        '"actor":{"id":"key-1","kind":"api_key","name":"momentum-bot","on_behalf_of":"user-1"},'
        '"kind":"proposal.proposed","payload":{"at":"2026-03-02T14:46:00.000000Z","notional":"10.5"},'
        '"previous_id":0,"recorded_at":"2026-03-02T14:46:00.000000Z","subject":"proposal:7"}'
    )
    assert (event.stream, event.seq, event.kind, event.subject) == ("proposal:7", 1, "proposal.proposed", "proposal:7")
    assert (event.actor_kind, event.actor_id, event.recorded_at) == ("api_key", "key-1", now)
    assert event.prev_hash == GENESIS
    assert selectors.facts_of(event)["payload"] == {"at": "2026-03-02T14:46:00.000000Z", "notional": "10.5"}


def test_each_stream_is_a_chain_of_its_own(log: list[Event]) -> None:
    assert [(event.stream[-1], event.seq) for event in log] == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3)]
    assert log[2].prev_hash == log[0].hash
    assert log[4].prev_hash == log[2].hash
    assert log[1].prev_hash == GENESIS
    heads = {head.stream: (head.seq, head.hash, head.last_id) for head in StreamHead.objects.all()}
    assert heads == {
        "proposal:a": (3, log[4].hash, log[4].pk),
        "proposal:b": (2, log[3].hash, log[3].pk),
    }


def test_the_hash_is_what_anyone_can_compute(record: Any) -> None:
    """Written out once more, without the code that made it."""
    import hashlib

    event = record(stream="s:ü")
    parts = ["s:ü".encode(), b"1", GENESIS.encode(), bytes(event.body)]
    sealed = b"\x00" + b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    assert event.hash == hashlib.sha256(sealed).hexdigest()


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_nothing_is_recorded(empty_log: None, now: datetime) -> None:
    with pytest.raises(Misconfigured) as caught:
        events.record(stream="s", kind="a.b", actor=Actor.system("test"), subject="s", payload={}, now=now)
    assert caught.value.code == "AUDIT_OUTSIDE_TRANSACTION"
    assert Event.objects.count() == 0


def test_what_is_rolled_back_leaves_no_event_and_no_gap(record: Any) -> None:
    record()
    with pytest.raises(RuntimeError), transaction.atomic():
        record()
        raise RuntimeError
    assert record().seq == 2


@pytest.mark.parametrize(
    "payload",
    [
        {"secret": "x"},
        {"Password": "x"},
        {"outer": {"private-key": "x"}},
        {"list": [{"token": "x"}]},
        {"a": ({"Authorization": "x"},)},
    ],
)
def test_a_payload_that_names_a_secret_is_refused_without_repeating_it(record: Any, payload: Any) -> None:
    with pytest.raises(Misconfigured) as caught:
        record(payload=payload)
    assert caught.value.code == "AUDIT_SECRET_KEY"
    assert "'x'" not in str(caught.value)
    assert Event.objects.count() == 0


API_KEY = "aika_0123456789ab_" + "f" * 64
PEM = "-----BEGIN EC PRIVATE KEY-----\n" + "Zm9vYmFy" * 8 + "\n-----END EC PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"The venue said {API_KEY}.", "The venue said aika_0123456789ab_********."),
        (f"look: {PEM}thanks", "look: ********\nthanks"),
        ("Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIi.c2ln", "Bearer ********"),
        ("Basic aHVudGVyMjI6aHVudGVyMjI=", "Basic ********"),
        ("gAAAA" + "x" * 40, "********"),
        ("f" * 43 + "= was the key", "******** was the key"),
        ("Zm9v" * 21 + "Zg== signs", "******** signs"),
        ("postgres://aika:hunter22@db/aika", "postgres://aika:********@db/aika"),
        ('word of the "index" here', "********"),
    ],
    # The texts are long, and one of them is many lines.
    ids=lambda _: "leak",
)
def test_a_secret_in_a_value_is_masked_wherever_it_stands(record: Any, now: datetime, said: str, kept: str) -> None:
    payload = {"reason": said, "second_factor": {"credential": "key-7"}, "list": [{"n": 1}, said], "price": Decimal(2)}
    facts = {"subject": "s", "payload": payload, "now": now, "actor": Actor(ActorKind.USER, "user-1", "ann")}
    with override_settings(QDRANT_API_KEY='word of the "index" here'):
        recorded = record(**facts)
        row = events.opening(stream="new", kind="proposal.proposed", **facts)
    clean = {"list": [{"n": 1}, kept], "price": "2", "reason": kept, "second_factor": {"credential": "key-7"}}
    assert selectors.facts_of(recorded)["payload"] == clean
    (opened,) = (one for one in row.values if isinstance(one, bytes))
    assert canonical.decode(opened)["payload"] == clean


def test_what_an_actor_calls_itself_is_masked_too(record: Any) -> None:
    event = record(actor=Actor(ActorKind.API_KEY, "key-1", f"bot {API_KEY}"))
    assert selectors.facts_of(event)["actor"]["name"] == "bot aika_0123456789ab_********"


@pytest.mark.parametrize(
    "said",
    [
        "Basic functionality is broken, and the bearer instrument is not.",
        "password=1 is how the form said it",
        "aika_0123456789ab is the prefix of a key",
        "https://api.coinbase.com/api/v3/brokerage/orders",
        "digest " + "ab" * 32,
        "0b5c8a1e-8c1f-4e5b-9d7e-0123456789ab",
        "a >= b",
    ],
)
def test_what_is_no_secret_is_recorded_as_it_was_said(record: Any, said: str) -> None:
    assert selectors.facts_of(record(payload={"credential": said}))["payload"] == {"credential": said}


@pytest.mark.parametrize(
    "wrong",
    [
        {"stream": ""},
        {"stream": "s" * 121},
        {"subject": "s" * 121},
        {"subject": "null\x00byte"},
        {"kind": "Proposed"},
        {"kind": "proposed"},
        {"kind": "a.b; drop"},
        {"actor": Actor(ActorKind.USER, "", "nobody")},
        {"actor": Actor(ActorKind.USER, "1" * 65, "long")},
        {"payload": {"text": "x" * 300_000}},
    ],
)
def test_what_does_not_fit_is_refused(record: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured) as caught:
        record(**wrong)
    assert caught.value.code == "AUDIT_MALFORMED"


@pytest.mark.parametrize("payload", [{"price": 1.5}, {"at": datetime(2026, 1, 1)}, {"n": Decimal("NaN")}])  # noqa: DTZ001
def test_what_is_not_canonical_is_refused(record: Any, payload: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        record(payload=payload)


def test_the_database_refuses_to_change_the_log(log: list[Event]) -> None:
    for attempt in (
        lambda: Event.objects.filter(pk=log[0].pk).update(kind="x.y"),
        lambda: Event.objects.all().delete(),
        lambda: log[0].delete(),
        lambda: log[0].save(),
        lambda: StreamHead.objects.all().delete(),
        lambda: StreamHead.objects.filter(pk="proposal:a").update(stream="proposal:c"),
    ):
        with pytest.raises(IntegrityError, match="guard"), transaction.atomic():
            attempt()


def test_the_story_of_a_subject_is_newest_last(log: list[Event]) -> None:
    assert list(selectors.events_of("proposal:a")) == [log[0], log[2], log[4]]
    assert list(selectors.events_of("nobody")) == []
    assert list(selectors.events_after(log[1].pk, limit=2)) == [log[2], log[3]]


def test_events_of_any_time_zone_are_recorded_in_utc(record: Any) -> None:
    event = record(now=datetime.fromisoformat("2026-01-01T01:00:00.000001+02:00"))
    event.refresh_from_db()
    assert event.recorded_at == datetime(2025, 12, 31, 23, 0, 0, 1, tzinfo=UTC)


@pytest.mark.postgres
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="threads and row locks")
@pytest.mark.django_db(transaction=True)
def test_writers_of_one_new_stream_wait_for_each_other(empty_log: None, now: datetime) -> None:
    """Eight begin the same stream at once: one chain, no gap, nothing lost."""
    from threading import Barrier, Thread

    barrier, failures = Barrier(8), []

    def write() -> None:
        try:
            barrier.wait(timeout=20)
            for _ in range(5):
                with transaction.atomic():
                    events.record(
                        stream="race", kind="a.b", actor=Actor.system("t"), subject="race", payload={}, now=now
                    )
        except (IntegrityError, Misconfigured) as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(Event.objects.order_by("id").values_list("seq", flat=True)) == list(range(1, 41))
