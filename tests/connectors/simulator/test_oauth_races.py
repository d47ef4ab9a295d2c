"""Many who use one code, or one refresh token, at the same moment: one is served. Over real sockets, from a process."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest

from tests.connectors.simulator.client import PREFIX, Client
from tests.connectors.simulator.conftest import Process
from tests.connectors.simulator.oauth_client import (
    CLIENT,
    REDIRECT,
    VERIFIER,
    a_code,
    arguments_of,
    refresh,
    tokens,
    with_bearer,
)

pytestmark = pytest.mark.slow

MANY = 8
Form = dict[str, str]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Start a process of this module, and give a client of it."""
    with ExitStack() as stack:

        def start(module: str = "apps.connectors.simulator") -> Client:
            key_file = tmp_path / "key.json"
            process = Process("--key-file", str(key_file), *arguments_of(tmp_path / "secret"), module=module)
            stack.callback(process.stop)
            client = process.client(key_file)
            stack.callback(client.http.close)
            return client

        yield start


def at_once(venue: Client, forms: list[Form]) -> list[httpx.Response]:
    """Each form on a connection of its own, open already, all let go at the same moment."""
    start = Barrier(len(forms))

    def post(form: Form) -> httpx.Response:
        with httpx.Client(base_url=venue.http.base_url, timeout=10, trust_env=False) as http:
            http.get(f"{PREFIX}/time")
            start.wait(10)
            return http.post("/oauth2/token", data={**CLIENT, **form})

    with ThreadPoolExecutor(len(forms)) as pool:
        return list(pool.map(post, forms))


def refreshing(token: str) -> Form:
    return {"grant_type": "refresh_token", "refresh_token": token}


def exchanging(code: str) -> Form:
    return {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER}


def assert_one(answers: list[httpx.Response]) -> dict[str, Any]:
    """What the one who was served got; the others are told no, as documented."""
    served = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(served) == 1, [answer.status_code for answer in answers]
    assert {(answer.status_code, answer.json()["error"]) for answer in refused} == {(401, "invalid_grant")}
    return dict(served[0].json())


def ended(venue: Client, given: dict[str, Any]) -> bool:
    """Whether what was given is worth nothing any more: a token used twice may have been stolen."""
    as_bearer = with_bearer(venue, given["access_token"], f"{PREFIX}/accounts").status_code == 401
    return as_bearer and refresh(venue, given["refresh_token"]).status_code == 401


@pytest.mark.parametrize("many", [2, MANY])
def test_one_of_many_refreshes_is_served_and_the_consent_ends(begin: Callable[..., Client], many: int) -> None:
    venue = begin()
    won = assert_one(at_once(venue, [refreshing(tokens(venue)["refresh_token"])] * many))
    counts = venue.admin("GET", "/oauth")
    assert (counts["refreshes"], counts["reuses"]) == (1, many - 1)
    assert ended(venue, won)


@pytest.mark.parametrize("many", [2, MANY])
def test_one_of_many_exchanges_is_served_and_what_it_got_ends(begin: Callable[..., Client], many: int) -> None:
    venue = begin()
    won = assert_one(at_once(venue, [exchanging(a_code(venue))] * many))
    counts = venue.admin("GET", "/oauth")
    assert (counts["exchanges"], counts["reuses"]) == (1, many - 1)
    assert ended(venue, won)


def test_consents_do_not_stand_in_each_others_way(begin: Callable[..., Client]) -> None:
    venue = begin()
    forms = [
        *(refreshing(tokens(venue)["refresh_token"]) for _ in range(4)),
        *(exchanging(a_code(venue)) for _ in "abcd"),
    ]
    answers = at_once(venue, forms)
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.json()["access_token"] for answer in answers}) == 8
    assert not any(ended(venue, answer.json()) for answer in answers)


@pytest.mark.parametrize("what", ["refresh", "exchange"])
def test_a_naive_server_serves_more_than_one(begin: Callable[..., Client], what: str) -> None:
    venue = begin("tests.connectors.simulator.naive_oauth")
    form = exchanging(a_code(venue)) if what == "exchange" else refreshing(tokens(venue)["refresh_token"])
    with pytest.raises(AssertionError):
        assert_one(at_once(venue, [form] * MANY))
