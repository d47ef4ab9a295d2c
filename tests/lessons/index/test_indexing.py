"""What is remembered gets into the vector index, whatever stands in its way."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from apps.accounts.models import Desk
from apps.common.errors import Misconfigured, Unavailable
from apps.lessons import embeddings, index
from apps.lessons.embeddings.hashing import HashProvider
from apps.lessons.index.server import ServerStore
from apps.lessons.index.values import Where
from apps.lessons.models import Case, IndexEntry
from apps.lessons.selectors.index import index_lag
from apps.lessons.services import indexing, outbox, searching, spaces
from apps.lessons.types import EntryKind, EntryState, Plan
from tests.factories.accounts import DeskFactory
from tests.factories.lessons import CaseFactory, closed_trade, remembered
from tests.lessons.index.conftest import KEY, Clock
from tests.lessons.index.qdrant_server import Serving
from tests.lessons.index.standing import active, is_right, points, states

pytestmark = pytest.mark.django_db


def ask(text: str, desk: Desk, limit: int = 10) -> dict[Any, Any]:
    where = Where(words={"desk": [str(desk.pk)]})
    return dict(searching.like(kind=EntryKind.CASE, embedded=searching.embed(text), wheres=[where], limit=limit))


def test_a_case_that_was_there_before_the_first_space_is_found_by_its_thesis(desk: Desk, clock: Clock) -> None:
    support = CaseFactory(desk=desk)
    earnings = CaseFactory(desk=desk, plan=Plan(thesis="Earnings tonight, and the options are cheap."))

    turn = indexing.embed_pending(clock=clock)

    # The first turn makes the space; the check fills it with what was there before.
    assert turn.done == 2
    assert is_right(active())
    found = ask("Earnings tonight, and the options are cheap.", desk)
    assert max(found, key=lambda subject: found[subject].get("thesis", 0)) == earnings.pk
    assert found[earnings.pk]["thesis"] == pytest.approx(1, abs=1e-5)
    assert found[support.pk]["thesis"] < 0.5


def test_a_new_case_is_queued_with_it_and_embedded_once(desk: Desk, clock: Clock) -> None:
    indexing.embed_pending(clock=clock)
    case = CaseFactory(desk=desk, now=clock.now)
    entry = IndexEntry.objects.get()
    assert (entry.subject, entry.state, entry.content_hash) == (case.pk, EntryState.PENDING, case.content_hash)

    assert indexing.embed_pending(clock=clock).done == 1
    assert indexing.embed_pending(clock=clock).done == 0
    assert is_right(active())


def test_a_case_that_is_rolled_back_leaves_nothing(desk: Desk, clock: Clock) -> None:
    indexing.embed_pending(clock=clock)
    with pytest.raises(RuntimeError), transaction.atomic():
        CaseFactory(desk=desk)
        raise RuntimeError
    assert not IndexEntry.objects.exists()


def test_a_corrected_case_replaces_its_point(desk: Desk, clock: Clock) -> None:
    trade = closed_trade(desk=desk)
    case = remembered(trade)
    indexing.embed_pending(clock=clock)
    remembered(closed_trade(desk=desk, source_id=trade.source_id, pnl=Decimal(40)))
    assert states(active()) == {EntryState.PENDING: 1}

    indexing.embed_pending(clock=clock)

    case.refresh_from_db()
    assert points(active()) == {case.pk: case.content_hash}
    won = Where(words={"desk": [str(desk.pk)], "result": ["WON"]})
    assert case.pk in searching.like(
        kind=EntryKind.CASE, embedded=searching.embed(case.thesis_text), wheres=[won], limit=3
    )


def test_another_desks_cases_are_no_answer(desk: Desk, clock: Clock) -> None:
    mine, theirs = CaseFactory(desk=desk), CaseFactory(desk=DeskFactory())
    indexing.embed_pending(clock=clock)
    assert set(ask(mine.thesis_text, desk)) == {mine.pk}
    assert theirs.pk in points(active())


def test_a_text_with_nothing_to_embed_stands_without_that_vector(desk: Desk, clock: Clock) -> None:
    silent = CaseFactory(desk=desk, plan=Plan())
    assert (silent.thesis_text, bool(silent.narrative_text)) == ("", True)
    indexing.embed_pending(clock=clock)
    assert "thesis" not in ask(silent.narrative_text, desk)[silent.pk]
    assert ask("", desk) == {}


def test_a_row_that_is_gone_loses_its_point(desk: Desk, clock: Clock) -> None:
    case = CaseFactory(desk=desk)
    indexing.embed_pending(clock=clock)
    Case.objects.filter(pk=case.pk).update(thesis_text="", narrative_text="", content_hash="0" * 64)
    outbox.enqueue(kind=EntryKind.CASE, subject=case.pk, content_hash="0" * 64, now=clock.now)

    indexing.embed_pending(clock=clock)

    assert points(active()) == {}
    assert states(active()) == {EntryState.GONE: 1}


def test_batches_follow_each_other_until_nothing_waits_or_the_time_is_up(desk: Desk, clock: Clock) -> None:
    for _ in range(7):
        CaseFactory(desk=desk)
    assert indexing.embed_pending(clock=clock, seconds=0).done == 0
    assert indexing.embed_pending(clock=clock, batch=2).done == 7


def test_what_one_worker_has_no_other_gets_until_its_time_is_over(desk: Desk, clock: Clock) -> None:
    space = spaces.ensure(now=clock.now)
    cases = {CaseFactory(desk=desk, now=clock.now).pk for _ in range(3)}
    first = outbox.claim(space=space, limit=2, now=clock.now)
    second = outbox.claim(space=space, limit=2, now=clock.now)
    assert {entry.subject for entry in first} | {entry.subject for entry in second} == cases
    assert outbox.claim(space=space, limit=2, now=clock.now) == []

    clock.step(outbox.CLAIMED_S)
    again = outbox.claim(space=space, limit=9, now=clock.now)
    assert {entry.subject for entry in again} == cases
    assert {entry.attempts for entry in again} == {2}


def test_a_text_that_changed_while_it_was_embedded_is_embedded_again(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade = closed_trade(desk=desk)
    remembered(trade)
    write = indexing._write

    def corrected_meanwhile(*arguments: Any) -> None:
        monkeypatch.setattr(indexing, "_write", write)
        remembered(closed_trade(desk=desk, source_id=trade.source_id, pnl=Decimal(40)))
        assert outbox.claim(space=active(), limit=9, now=clock.now) == [], "it is still in the first worker's hands"
        write(*arguments)

    monkeypatch.setattr(indexing, "_write", corrected_meanwhile)

    assert indexing.embed_pending(clock=clock).done == 1
    assert is_right(active())


def test_a_worker_that_was_overtaken_has_its_work_done_again(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    CaseFactory(desk=desk)
    write = indexing._write

    def too_late(*arguments: Any) -> None:
        monkeypatch.setattr(indexing, "_write", write)
        clock.step(outbox.CLAIMED_S)
        indexing.embed_pending(clock=clock)
        assert states(active()) == {EntryState.INDEXED: 1}
        write(*arguments)

    monkeypatch.setattr(indexing, "_write", too_late)
    indexing.embed_pending(clock=clock, seconds=600)
    assert is_right(active())


class Broken(HashProvider):
    """Breaks on one text."""

    def embed_documents(self, texts: Sequence[str]) -> Any:
        if any("poison" in text for text in texts):
            raise RuntimeError("the model choked")
        return super().embed_documents(texts)


def test_a_text_that_cannot_be_embedded_stops_no_other_and_is_given_up_in_the_end(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "provider_named", lambda name: Broken())
    poisoned = CaseFactory(desk=desk, plan=Plan(thesis="poison"))
    for _ in range(3):
        CaseFactory(desk=desk)

    turn = indexing.embed_pending(clock=clock)
    assert (turn.done, turn.failed) == (3, 1)
    entry = IndexEntry.objects.get(subject=poisoned.pk)
    assert (entry.state, entry.attempts, entry.error) == (EntryState.PENDING, 1, "RuntimeError: the model choked")

    waits = []
    while entry.state == EntryState.PENDING:
        waits.append((entry.next_try_at - clock.now).total_seconds())
        clock.now = entry.next_try_at
        indexing.embed_pending(clock=clock)
        entry.refresh_from_db()
    assert waits == [10, 20, 40, 80, 160, 320, 640]
    assert (entry.state, entry.attempts) == (EntryState.FAILED, outbox.ATTEMPTS_MAX)
    lag = index_lag(clock.now)
    assert (lag.pending, lag.failed) == (0, 1)

    monkeypatch.undo()
    assert outbox.retry_failed(space=active(), now=clock.now) == 0
    clock.step(outbox.FAILED_RETRY_S)
    assert outbox.retry_failed(space=active(), now=clock.now) == 1
    indexing.embed_pending(clock=clock)
    assert is_right(active())


@pytest.fixture
def on_server(served: Serving, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """This process's index is the server of the tests; calling it forgets that it was down."""

    def again() -> None:
        index.close()
        monkeypatch.setattr(index, "_store", ServerStore(served.url, api_key=KEY))

    again()
    return again


def test_a_server_that_is_away_costs_a_text_nothing(
    desk: Desk, clock: Clock, served: Serving, on_server: Callable[[], None]
) -> None:
    CaseFactory(desk=desk)
    indexing.embed_pending(clock=clock)
    case = CaseFactory(desk=desk, now=clock.now)
    served.stop()

    turn = indexing.embed_pending(clock=clock)
    assert (turn.done, turn.stopped) == (0, "INDEX_DOWN")
    entry = IndexEntry.objects.get(subject=case.pk)
    assert (entry.state, entry.attempts, entry.claimed_until) == (EntryState.PENDING, 0, None)
    assert entry.error.startswith("INDEX_DOWN")
    clock.step(25)
    lag = index_lag(clock.now)
    assert (lag.pending, lag.oldest_age_s) == (1, 25)
    with pytest.raises(Unavailable, match="INDEX_DOWN"):
        ask(case.thesis_text, desk)

    served.start()
    on_server()
    clock.step(indexing.AWAY_S)
    assert indexing.embed_pending(clock=clock).done == 1
    assert is_right(active())
    assert case.pk in ask(case.thesis_text, desk)
    assert index_lag(clock.now).pending == 0


def test_an_index_that_is_deleted_altogether_comes_back(
    desk: Desk, clock: Clock, served: Serving, on_server: Callable[[], None]
) -> None:
    indexing.embed_pending(clock=clock)
    for collection in list(index.store().collections()):
        index.store().drop_collection(collection)
    CaseFactory(desk=desk, now=clock.now)
    indexing.embed_pending(clock=clock)
    assert is_right(active())


def test_what_the_server_refuses_is_for_an_operator_and_loses_nothing(
    desk: Desk, clock: Clock, served: Serving, on_server: Callable[[], None]
) -> None:
    CaseFactory(desk=desk)
    served.fake.api_key = "changed"
    with pytest.raises(Misconfigured, match="INDEX_KEY_REFUSED"):
        indexing.embed_pending(clock=clock)
    assert IndexEntry.objects.get().attempts == 0
    served.fake.api_key = KEY
    clock.step(indexing.AWAY_S)
    assert indexing.embed_pending(clock=clock).done == 1


def test_before_there_is_a_space_nothing_is_similar_and_that_is_said(desk: Desk) -> None:
    with pytest.raises(Unavailable, match="INDEX_MISSING"):
        searching.embed("anything")
