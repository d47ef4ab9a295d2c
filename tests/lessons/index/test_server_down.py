"""A server that does not answer, answers late, or answers no: said at once, and gone on without."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from apps.common.errors import AikaError, Misconfigured, Unavailable
from apps.lessons.index import server
from apps.lessons.index.breaker import Breaker
from apps.lessons.index.server import ServerStore
from apps.lessons.index.values import Question
from tests.lessons.index.conftest import KEY
from tests.lessons.index.qdrant_server import Serving

QUESTION = Question("thesis", np.array([1, 0], dtype=np.float32))


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(served: Serving, clock: Clock) -> Iterator[ServerStore]:
    store = ServerStore(served.url, api_key=KEY, breaker=lambda: Breaker(clock=clock))
    store.ensure_collection("lessons__a", {"thesis": 2})
    yield store
    store.close()


def ask(store: ServerStore) -> object:
    return store.search("lessons__a", [QUESTION], limit=3)


def error_of(store: ServerStore) -> AikaError:
    with pytest.raises(AikaError) as caught:
        ask(store)
    return caught.value


def test_a_stopped_server_is_asked_once_and_found_again_after_half_a_minute(
    store: ServerStore, served: Serving, clock: Clock
) -> None:
    assert ask(store) == [[]]
    served.stop()

    first, second = error_of(store), error_of(store)
    assert (first.code, second.code) == ("INDEX_DOWN", "INDEX_DOWN")
    assert isinstance(first, Unavailable)
    assert "a moment ago" in second.message

    served.start()
    served.fake.seen.clear()
    assert error_of(store).code == "INDEX_DOWN"
    assert served.fake.seen == [], "nobody asked while it is open"

    clock.now += 30
    assert ask(store) == [[]]
    assert ask(store) == [[]]


def test_it_stays_open_where_the_try_fails_too(store: ServerStore, served: Serving, clock: Clock) -> None:
    served.stop()
    error_of(store)
    clock.now += 30
    assert "a moment ago" not in error_of(store).message
    clock.now += 29
    assert "a moment ago" in error_of(store).message


def test_one_asks_for_all_when_the_time_has_come(clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    breaker.failed()
    assert not breaker.may_pass()
    clock.now += 30
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: breaker.may_pass(), range(64))) == 1
    breaker.succeeded()
    assert breaker.may_pass()
    assert breaker.may_pass()


def test_one_who_never_comes_back_does_not_close_it_for_ever(clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    breaker.failed()
    clock.now += 30
    assert breaker.may_pass()
    assert breaker.seconds_left == 30
    clock.now += 30
    assert breaker.may_pass()


def test_a_server_that_hangs_is_waited_for_within_the_bound(
    store: ServerStore, served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ASK_S", 0.2)
    hasty = ServerStore(served.url, api_key=KEY)
    served.fake.may_answer.clear()

    found = error_of(hasty)

    assert (found.code, found.details["because"]) == ("INDEX_DOWN", "ReadTimeout")
    assert not served.fake.may_answer.is_set(), "and it still has not answered"
    served.fake.may_answer.set()
    hasty.close()


def test_an_error_of_the_server_counts_as_down(store: ServerStore, served: Serving) -> None:
    served.fake.broken = True
    assert error_of(store).details == {"status": "500"}
    assert "a moment ago" in error_of(store).message


def test_what_it_refuses_does_not_count_as_down(store: ServerStore) -> None:
    with pytest.raises(Misconfigured, match="INDEX_REFUSED"):
        store.search("lessons__a", [Question("text", QUESTION.vector)], limit=3)
    with pytest.raises(Unavailable, match="INDEX_MISSING"):
        store.count("lessons__b")
    assert ask(store) == [[]]


def test_changes_that_fail_leave_questions_alone(store: ServerStore, served: Serving) -> None:
    served.fake.broken = True
    with pytest.raises(Unavailable, match="INDEX_DOWN"):
        store.drop_collection("lessons__a")
    served.fake.broken = False
    assert ask(store) == [[]]
    with pytest.raises(Unavailable, match="a moment ago"):
        store.drop_collection("lessons__a")


def test_a_wrong_key_is_for_an_operator_and_is_not_shown(served: Serving) -> None:
    wrong = ServerStore(served.url, api_key="not this one")
    found = error_of(wrong)
    assert (type(found), found.code) == (Misconfigured, "INDEX_KEY_REFUSED")
    assert "not this one" not in f"{found}{found.fix}{found.details}"
    wrong.close()


def test_what_is_no_qdrant_is_no_index(served: Serving) -> None:
    served.fake.app.router.routes.clear()
    with pytest.raises(Unavailable, match="INDEX_MISSING"):
        ask(ServerStore(served.url, api_key=KEY))
