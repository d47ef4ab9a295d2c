"""Who gets into a socket, who does not and is told why, and who has to leave: against a real server."""

import asyncio
import json
from typing import Any

import pytest
import websockets

from tests.sockets.conftest import looped
from tests.sockets.process import SocketServer, ending, heard, subscribe

pytestmark = pytest.mark.slow

PATHS = ("/ws/quotes", "/ws/desk")
GONE_S_MAX = 15.0


async def comes_in(server: SocketServer, path: str, **who: Any) -> None:
    """A heartbeat is heard."""
    async with server.connect(path, **who) as client:
        await heard(client, "heartbeat")


async def refusal(server: SocketServer, path: str, **who: Any) -> tuple[int | None, str]:
    """The close code and the code of the error."""
    async with server.connect(path, **who) as client:
        code, errors = await ending(client)
    assert len(errors) == 1
    assert errors[0]["detail"]
    return code, errors[0]["code"]


@pytest.mark.parametrize("path", PATHS)
@looped
async def test_a_session_and_a_key_come_in_and_nobody_else(
    server: SocketServer, cookie: str, key: str, path: str
) -> None:
    await comes_in(server, path, cookie=cookie)
    await comes_in(server, path, key=key)

    assert await refusal(server, path) == (4401, "NOT_SIGNED_IN")
    assert await refusal(server, path, cookie="x" * 32) == (4401, "NOT_SIGNED_IN")
    assert await refusal(server, path, key="Bearer nonsense") == (4401, "KEY_MALFORMED")
    # A wrong key never falls through to the session beside it.
    wrong = f"Bearer aika_{'0' * 12}_{'0' * 64}"
    assert await refusal(server, path, key=wrong, cookie=cookie) == (4401, "KEY_UNKNOWN")


@pytest.mark.parametrize("path", PATHS)
@looped
async def test_a_page_of_another_site_does_not_come_in_with_our_cookie(
    server: SocketServer, cookie: str, key: str, path: str
) -> None:
    for origin in (server.origin, "https://desk.example", "https://one.aika.example"):
        await comes_in(server, path, cookie=cookie, origin=origin)
    foreign = (
        "https://evil.example", "https://desk.example.evil.example", "http://desk.example", "null", "https://[", None,
        server.origin.replace("http://", "https://"), f"{server.origin}0", "https://evilaika.example",
    )  # fmt: skip
    for origin in foreign:
        assert await refusal(server, path, cookie=cookie, origin=origin) == (4403, "ORIGIN_REFUSED"), origin
    # A key needs no origin, and is refused from a foreign one all the same.
    await comes_in(server, path, key=key, origin=None)
    assert await refusal(server, path, key=key, origin="https://evil.example") == (4403, "ORIGIN_REFUSED")


@looped
async def test_a_host_that_is_not_ours_is_refused(server: SocketServer, key: str) -> None:
    async with websockets.connect(
        f"ws://evil.example:{server.port}/ws/quotes", host="127.0.0.1", port=server.port, proxy=None,
        additional_headers={"Authorization": key},
    ) as client:  # fmt: skip
        code, errors = await ending(client)

    assert (code, errors[0]["code"]) == (4403, "HOST_REFUSED")


@pytest.mark.parametrize("path", PATHS)
@looped
async def test_a_key_needs_the_scope_and_its_owner_the_role(server: SocketServer, path: str) -> None:
    proposes = server.do("key", username="trader", scopes=["propose"], on=["paper"])
    expired = server.do("key", username="trader", scopes=["read"], on=["paper"], seconds=-1)
    revoked = server.do("key", username="trader", scopes=["read"], on=["paper"])
    await comes_in(server, path, key=revoked["header"])
    server.do("revoke", key=revoked["id"])

    assert await refusal(server, path, key=proposes["header"]) == (4401, "SCOPE_MISSING")
    assert await refusal(server, path, key=expired["header"]) == (4401, "KEY_EXPIRED")
    assert await refusal(server, path, key=revoked["header"]) == (4401, "KEY_REVOKED")
    without_role = server.do("cookie", username="nobody")
    assert await refusal(server, path, cookie=without_role) == (4401, "NOT_PERMITTED")


@pytest.mark.parametrize("path", PATHS)
@looped
async def test_who_loses_the_right_loses_the_open_socket_within_seconds(
    server: SocketServer, cookie: str, path: str
) -> None:
    expires = server.do("key", username="trader", scopes=["read"], on=["paper"], seconds=3)
    revoked = server.do("key", username="trader", scopes=["read"], on=["paper"])
    signed_out, colleague = (server.do("cookie", username=name) for name in ("trader", "colleague"))
    async with (
        server.connect(path, cookie=cookie) as stays,
        server.connect(path, key=expires["header"]) as first,
        server.connect(path, key=revoked["header"]) as second,
        server.connect(path, cookie=signed_out) as third,
        server.connect(path, cookie=colleague) as fourth,
    ):
        for client in (first, second, third, fourth, stays):
            await heard(client, "heartbeat")
        server.do("revoke", key=revoked["id"])
        server.do("sign_out", cookie=signed_out)
        server.do("deactivate", username="colleague")
        try:
            async with asyncio.timeout(GONE_S_MAX):
                ended = [await ending(client) for client in (first, second, third, fourth)]
        finally:
            server.do("deactivate", username="colleague", active=True)
        await heard(stays, "heartbeat")
        assert server.do("sockets_told") >= 1

    told = [(code, errors[0]["code"]) for code, errors in ended]
    assert told == [(4401, code) for code in ("KEY_EXPIRED", "KEY_REVOKED", "NOT_SIGNED_IN", "NOT_SIGNED_IN")]


@looped
async def test_a_connection_that_is_taken_away_takes_its_prices_with_it(server: SocketServer) -> None:
    made = server.do("key", username="trader", scopes=["read"], on=["paper"])
    async with server.connect("/ws/quotes", key=made["header"]) as client:
        await subscribe(client, "BTC-USD")
        server.do("ungrant", key=made["id"], slug="paper")
        assert (await heard(client, "subscribed"))["items"] == []
        server.do("ticks", codes=["BTC-USD"], times=1)
        await client.send(json.dumps({"action": "nothing"}))
        said: list[str] = []
        while "error" not in said:
            said.append(json.loads(await client.recv())["type"])

    assert "quotes" not in said


@looped
async def test_one_person_has_so_many_sockets_and_no_more(server: SocketServer, key: str) -> None:
    from apps.accounts.sockets import SOCKETS_PER_PERSON_MAX

    stranger = server.do("key", username="stranger", scopes=["read"], on=["elsewhere"])["header"]
    clients = [await server.connect("/ws/desk", key=stranger) for _ in range(SOCKETS_PER_PERSON_MAX)]
    try:
        for client in clients:
            await heard(client, "hello")
        assert await refusal(server, "/ws/quotes", key=stranger) == (4429, "TOO_MANY_SOCKETS")
        await comes_in(server, "/ws/quotes", key=key)
        await clients.pop().close()
        await comes_in(server, "/ws/quotes", key=stranger)
    finally:
        for client in clients:
            await client.close()


@looped
async def test_a_path_without_a_socket_is_refused_in_the_handshake(server: SocketServer, key: str) -> None:
    for path in ("/ws/quotes/", "/ws/other", "/", "/api/v1/quotes"):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await server.connect(path, key=key)
        assert refused.value.response.status_code == 403
