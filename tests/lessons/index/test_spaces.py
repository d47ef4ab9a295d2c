"""Another model: its space is filled beside the one that is asked, checked, and put in its place in one step."""

from datetime import datetime
from typing import Any

import pytest

from apps.accounts.models import Desk
from apps.audit.models import Event
from apps.common.errors import Misconfigured
from apps.lessons import embeddings, index
from apps.lessons.embeddings.hashing import HashProvider
from apps.lessons.index.values import Where, collection_of
from apps.lessons.models import IndexEntry, IndexSpace
from apps.lessons.services import index_checks, indexing, searching, spaces
from apps.lessons.types import EntryKind, SpaceState
from tests.factories.lessons import CaseFactory
from tests.lessons.index.conftest import Clock
from tests.lessons.index.standing import active, is_right, points, states

pytestmark = pytest.mark.django_db


class Newer(HashProvider):
    """The same model at its next version."""

    version = HashProvider.version + 1


class Lying(HashProvider):
    """The same name, and other vectors."""

    digest = "of something else"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`installed(provider, old=...)`: what is configured now, and what still makes the vectors of the space before."""
    providers: dict[str, Any] = {}

    def install(provider: Any, *, old: Any = None) -> None:
        providers.update(current=provider, old=old)

    def named(name: str) -> Any:
        return providers["old"] if name == "older" else providers["current"]

    monkeypatch.setattr(embeddings, "provider", lambda: providers["current"])
    monkeypatch.setattr(embeddings, "provider_named", named)
    return install


@pytest.fixture
def older(desk: Desk, clock: Clock, installed: Any) -> IndexSpace:
    """A space in use that the older model filled with three cases; the newer one is installed now."""
    installed(HashProvider())
    for _ in range(3):
        CaseFactory(desk=desk)
    indexing.embed_pending(clock=clock)
    space = active()
    IndexSpace.objects.filter(pk=space.pk).update(provider="older")
    installed(Newer(), old=HashProvider())
    return active()


def asked(space: IndexSpace, desk: Desk) -> None:
    embedded = searching.embed("Support held twice at 2,000; buying the third touch.")
    where = Where(words={"desk": [str(desk.pk)]})
    assert embedded.space == space.name
    assert len(searching.like(kind=EntryKind.CASE, embedded=embedded, wheres=[where], limit=10)) >= 3


def kinds() -> list[str]:
    return list(Event.objects.filter(stream__startswith="index:").order_by("pk").values_list("kind", flat=True))


def aliases() -> dict[str, str]:
    return index.store().aliases()


def test_the_first_space_is_asked_at_once(desk: Desk, clock: Clock) -> None:
    space = spaces.ensure(now=clock.now)
    assert (space.state, space.activated_at) == (SpaceState.ACTIVE, clock.now)
    assert spaces.ensure(now=clock.now) == space
    assert kinds() == ["index.space_begun"]

    indexing.embed_pending(clock=clock)
    embedded = searching.embed("nothing is remembered yet")
    assert searching.like(kind=EntryKind.CASE, embedded=embedded, wheres=[Where()], limit=5) == {}
    assert searching.like(kind=EntryKind.CHUNK, embedded=embedded, wheres=[Where()], limit=5) == {}
    assert aliases() == {
        "lessons": collection_of(EntryKind.CASE, space.name),
        "knowledge": collection_of(EntryKind.CHUNK, space.name),
    }


def test_both_are_written_while_the_new_one_is_filled_and_the_old_one_is_asked(
    desk: Desk, clock: Clock, older: IndexSpace
) -> None:
    newer = spaces.ensure(now=clock.now)
    assert (newer.state, states(newer)) == (SpaceState.BUILDING, {"PENDING": 3})
    asked(older, desk)

    late = CaseFactory(desk=desk, now=clock.now)
    assert set(IndexEntry.objects.filter(subject=late.pk).values_list("space_id", flat=True)) == {older.pk, newer.pk}
    indexing.embed_pending(clock=clock, batch=2)

    assert late.pk in points(older)
    assert is_right(newer)
    assert active() == newer
    asked(newer, desk)
    assert aliases()["lessons"] == collection_of(EntryKind.CASE, newer.name)
    assert kinds() == ["index.space_begun", "index.space_begun", "index.space_old", "index.space_active"]


def test_the_old_one_is_kept_for_a_day_and_is_gone_after_it(desk: Desk, clock: Clock, older: IndexSpace) -> None:
    indexing.embed_pending(clock=clock)
    clock.step(spaces.KEPT_S - 1)
    assert index_checks.check_drift(now=clock.now).dropped == ()
    assert len(points(older)) == 3
    clock.step(1)

    assert index_checks.check_drift(now=clock.now).dropped == (older.name,)

    assert not IndexSpace.objects.filter(pk=older.pk).exists()
    assert not {collection_of(kind, older.name) for kind in EntryKind} & index.store().collections()
    assert kinds()[-1] == "index.space_dropped"


def test_the_way_back_within_a_day_embeds_only_what_is_new(
    desk: Desk, clock: Clock, older: IndexSpace, installed: Any
) -> None:
    indexing.embed_pending(clock=clock)
    newer = active()
    late = CaseFactory(desk=desk, now=clock.now)
    indexing.embed_pending(clock=clock)
    IndexSpace.objects.filter(pk=newer.pk).update(provider="older")
    IndexSpace.objects.filter(pk=older.pk).update(provider="hash")
    installed(HashProvider(), old=Newer())

    turn = indexing.embed_pending(clock=clock)

    assert turn.done == 1
    assert (active(), late.pk in points(older), is_right(older)) == (older, True, True)
    assert IndexSpace.objects.get(pk=newer.pk).state == SpaceState.OLD


def test_a_third_model_takes_over_from_the_one_that_was_being_filled(
    desk: Desk, clock: Clock, older: IndexSpace, installed: Any
) -> None:
    second = spaces.ensure(now=clock.now)

    class Newest(HashProvider):
        version = HashProvider.version + 2

    installed(Newest(), old=HashProvider())
    third = spaces.ensure(now=clock.now)

    assert IndexSpace.objects.get(pk=second.pk).state == SpaceState.OLD
    assert (third.state, active()) == (SpaceState.BUILDING, older)


def test_a_space_that_lost_a_point_is_not_put_in_place(desk: Desk, clock: Clock, older: IndexSpace) -> None:
    newer = spaces.ensure(now=clock.now)
    indexing.drain(space=newer, clock=clock)
    collection = collection_of(EntryKind.CASE, newer.name)
    page, _ = index.store().scroll(collection)
    index.store().delete(collection, [page[0].id])

    assert spaces.activate_if_complete(newer, now=clock.now) is False
    assert active() == older

    assert index_checks.check_drift(now=clock.now).lost == 1
    indexing.embed_pending(clock=clock)
    assert active() == newer
    assert is_right(newer)


def test_a_space_whose_vectors_are_not_those_of_its_texts_is_not_put_in_place(
    desk: Desk, clock: Clock, older: IndexSpace, installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shuffled(Newer):
        def embed_documents(self, texts: Any) -> Any:
            return super().embed_documents([f"{text} {place}, quite other words" for place, text in enumerate(texts)])

    newer = spaces.ensure(now=clock.now)
    installed(Shuffled(), old=HashProvider())
    indexing.drain(space=newer, clock=clock)
    installed(Newer(), old=HashProvider())

    assert spaces.activate_if_complete(newer, now=clock.now) is False
    assert active() == older


def test_a_crash_between_the_aliases_and_the_row_is_put_right(
    desk: Desk, clock: Clock, older: IndexSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*arguments: Any) -> None:
        raise KeyboardInterrupt

    newer = spaces.ensure(now=clock.now)
    indexing.drain(space=newer, clock=clock)
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(spaces, "_move", dies)
        spaces.activate_if_complete(newer, now=clock.now)

    assert active() == older
    asked(older, desk)
    assert index_checks.check_drift(now=clock.now).aliases_moved
    assert aliases()["lessons"] == collection_of(EntryKind.CASE, older.name)
    assert spaces.activate_if_complete(newer, now=clock.now)
    assert aliases()["lessons"] == collection_of(EntryKind.CASE, newer.name)


@pytest.mark.parametrize("said", [{"dim": 7}, {"fingerprint": "f" * 64}])
def test_a_space_of_other_vectors_is_refused(desk: Desk, clock: Clock, said: dict[str, Any]) -> None:
    indexing.embed_pending(clock=clock)
    IndexSpace.objects.update(**said)
    for ask in (lambda: indexing.embed_pending(clock=clock), lambda: searching.embed("anything")):
        with pytest.raises(Misconfigured, match="INDEX_SPACE_DIFFERS") as caught:
            ask()
        assert "rebuild_index --drop" in caught.value.fix


def test_the_check_at_start_says_so_too(desk: Desk, clock: Clock, now: datetime) -> None:
    from apps.lessons.checks import check_index_space

    assert check_index_space(None, databases=["default"]) == []
    indexing.embed_pending(clock=clock)
    assert check_index_space(None, databases=["default"]) == []
    IndexSpace.objects.update(dim=7)
    assert check_index_space(None, databases=None) == []
    (found,) = check_index_space(None, databases=["default"])
    assert (found.id, "other embeddings" in found.msg) == ("lessons.E002", True)
