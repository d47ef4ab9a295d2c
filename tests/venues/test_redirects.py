"""A server that sends us elsewhere: nothing goes there, neither the bytes of an order nor the key in a header.

The second server would answer well, and counts: whoever followed would be taken in.
"""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import pytest

from apps.common.errors import AikaError, Misconfigured, OutcomeUnknown, Unavailable
from apps.connectors.venues import http
from apps.lessons.index.server import ServerStore
from tests.venues.coinbase.test_outcomes import BODY, GOOD, SUCCESS, connector
from tests.venues.socket_server import SocketServer, answer, saying, serving

STATUSES = [301, 302, 303, 307, 308]


def sent_on(status: int, elsewhere: SocketServer) -> bytes:
    return answer(status, b"", headers=f"location: {elsewhere.url}/there\r\n")


@pytest.fixture(autouse=True)
def quick_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)


def following(client: type[httpx.Client]) -> Callable[..., httpx.Client]:
    """As a client that follows would be made."""
    return lambda **how: client(**{**how, "follow_redirects": True})


@pytest.mark.parametrize("status", STATUSES)
def test_an_order_and_a_question_to_a_venue_go_nowhere_else(status: int) -> None:
    with (
        serving(saying(GOOD)) as elsewhere,
        serving(saying(sent_on(status, elsewhere))) as venue,
        closing(connector(venue.url)) as placing,
    ):
        with pytest.raises(OutcomeUnknown):
            placing.place_order(BODY)
        assert len(venue.requests) == 1
        with pytest.raises(AikaError):
            placing.permissions()
        assert len(venue.requests) >= 2
    assert elsewhere.requests == []


def test_a_client_that_followed_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.httpx, "Client", following(httpx.Client))
    with (
        serving(saying(GOOD)) as elsewhere,
        serving(saying(sent_on(307, elsewhere))) as venue,
        closing(connector(venue.url)) as placing,
    ):
        placed = placing.place_order(BODY)
    assert placed.venue_order_id == SUCCESS["success_response"]["order_id"]
    assert [request.endswith(BODY) for request in elsewhere.requests] == [True]


@pytest.mark.parametrize("status", STATUSES)
def test_a_question_to_the_vector_index_goes_nowhere_else(status: int) -> None:
    good: Any = {"result": {"exists": True}, "status": "ok", "time": 0}
    with serving(saying(answer(200, good))) as elsewhere, serving(saying(sent_on(status, elsewhere))) as index:
        store = ServerStore(index.url, api_key="key of the index")
        with closing(store), pytest.raises((Misconfigured, Unavailable)):
            store._read(lambda client: client.collection_exists("lessons"))
        assert b"key of the index" in index.requests[0]
        # The same answer from where it asks is taken: only that it lies elsewhere stood in the way.
        with closing(ServerStore(elsewhere.url)) as store:
            assert elsewhere.requests == []
            assert store._read(lambda client: client.collection_exists("lessons"))
