"""The venue's own OAuth server, by itself: what it gives, and what it refuses beside it."""

import re
from pathlib import Path

import pytest
import time_machine

from apps.connectors.simulator.errors import StartError
from apps.connectors.simulator.oauth import CODE_S, OAuthRefusal, OAuthServer
from apps.connectors.simulator.oauth import Client as Application
from tests.connectors.simulator.client import PREFIX, Client, MakeClient
from tests.connectors.simulator.oauth_client import (
    ASKED,
    CHALLENGE,
    CLIENT,
    REDIRECT,
    SCOPES,
    VERIFIER,
    a_code,
    arguments_of,
    decide,
    exchange,
    refresh,
    sent_back,
    tokens,
    with_bearer,
)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    return tmp_path / "oauth-client-secret"


@pytest.fixture
def arguments(secret_file: Path) -> tuple[str, ...]:
    return arguments_of(secret_file)


@pytest.fixture
def venue(make_venue: MakeClient, arguments: tuple[str, ...]) -> Client:
    return make_venue(*arguments)


def test_the_page_says_what_is_asked_and_both_answers_go_back_with_the_state(venue: Client) -> None:
    page = venue.http.get("/oauth2/auth", params=ASKED)
    assert page.status_code == 200
    assert set(re.findall(r"<code>([^<]+)</code>", page.text)) == set(SCOPES.split())
    assert sent_back(decide(venue, "refuse")) == {
        "error": "access_denied",
        "error_description": "The person refused.",
        "state": ASKED["state"],
    }
    answer = sent_back(decide(venue))
    assert answer["state"] == ASKED["state"] and answer["code"]


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"client_id": "somebody else"}, 400, ""),
        ({"redirect_uri": REDIRECT + "/"}, 400, ""),
        ({"redirect_uri": "https://evil.example/"}, 400, ""),
        ({"response_type": "token"}, 302, "unsupported_response_type"),
        ({"state": "short"}, 302, "invalid_request"),
        ({"scope": "wallet:everything"}, 302, "invalid_scope"),
        ({"code_challenge_method": "S512"}, 302, "invalid_request"),
    ],
)
def test_what_is_asked_wrongly_shows_no_page(venue: Client, changed: dict[str, str], status: int, error: str) -> None:
    for reply in (venue.http.get("/oauth2/auth", params={**ASKED, **changed}), decide(venue, **changed)):
        assert reply.status_code == status
        assert not error or sent_back(reply)["error"] == error


def test_a_code_gives_tokens_as_documented_to_who_knows_its_verifier(venue: Client) -> None:
    reply = tokens(venue)
    assert reply["token_type"] == "bearer" and reply["expires_in"] == 3600
    assert set(reply["scope"].split()) == set(SCOPES.split()) and reply["refresh_token"]
    assert "refresh_token" not in tokens(venue, granted=SCOPES.replace(" offline_access", ""))


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"redirect_uri": REDIRECT + "/"}, "invalid_grant"),
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"code": "simcode-none"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_a_code_gives_nothing_to_who_asks_wrongly(venue: Client, changed: dict[str, str], error: str) -> None:
    code = a_code(venue)
    reply = exchange(venue, code, **changed)
    assert reply.status_code in {400, 401} and reply.json()["error"] == error
    assert exchange(venue, code).status_code == 200


def test_plain_is_what_no_method_means(venue: Client) -> None:
    code = a_code(venue, code_challenge=VERIFIER, code_challenge_method="")
    assert exchange(venue, code).status_code == 200


def test_a_code_used_twice_ends_what_it_gave(venue: Client) -> None:
    code = a_code(venue)
    first = exchange(venue, code).json()
    assert with_bearer(venue, first["access_token"], f"{PREFIX}/accounts").status_code == 200
    assert exchange(venue, code).json()["error"] == "invalid_grant"
    assert with_bearer(venue, first["access_token"], f"{PREFIX}/accounts").status_code == 401
    assert refresh(venue, first["refresh_token"]).status_code == 401


def test_a_refresh_token_rotates_and_used_twice_ends_the_family(venue: Client) -> None:
    first = tokens(venue)
    second = refresh(venue, first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert with_bearer(venue, second["access_token"], f"{PREFIX}/accounts").status_code == 200
    assert refresh(venue, first["refresh_token"]).json()["error"] == "invalid_grant"
    assert with_bearer(venue, second["access_token"], f"{PREFIX}/accounts").status_code == 401
    assert refresh(venue, second["refresh_token"]).status_code == 401
    state = venue.admin("GET", "/oauth")
    assert (state["exchanges"], state["refreshes"], state["reuses"]) == (1, 1, 1)


def test_a_refresh_token_that_nobody_uses_ends_and_each_new_one_has_its_own_life(venue: Client) -> None:
    venue.admin("POST", "/oauth", {"refresh_s": 7200})
    unused, first = tokens(venue), tokens(venue)
    venue.admin("POST", "/clock", {"skew_s": 7000})
    second = refresh(venue, first["refresh_token"]).json()
    venue.admin("POST", "/clock", {"skew_s": 7200})
    refused = refresh(venue, unused["refresh_token"])
    assert (refused.status_code, refused.json()) == (
        401,
        {"error": "invalid_grant", "error_description": "The refresh token has expired."},
    )
    third = refresh(venue, second["refresh_token"])
    assert third.status_code == 200, "its life began when it was given"
    assert with_bearer(venue, third.json()["access_token"], f"{PREFIX}/accounts").status_code == 200


def test_its_life_is_a_year_and_a_half_or_as_the_command_line_says(
    make_venue: MakeClient, arguments: tuple[str, ...]
) -> None:
    assert make_venue(*arguments).admin("GET", "/oauth")["refresh_s"] == 1.5 * 365 * 86_400
    short = make_venue(*arguments, "--oauth-refresh-s", "60")
    given = tokens(short)
    short.admin("POST", "/clock", {"skew_s": 60})
    assert refresh(short, given["refresh_token"]).status_code == 401
    short.admin("POST", "/clock", {"skew_s": 0})
    assert refresh(short, given["refresh_token"]).status_code == 200
    for said in ({"refresh_s": 0}, {"refresh_s": "60"}, {"refresh_s": None}):
        reply = short.http.post("/simulator/oauth", json=said)
        assert reply.status_code == 400 and short.admin("GET", "/oauth")["refresh_s"] == 60


def test_revoking_ends_the_family_and_says_200_whatever_comes(venue: Client) -> None:
    given = tokens(venue)
    wrong = venue.http.post("/oauth2/revoke", data={**CLIENT, "client_secret": "x", "token": given["access_token"]})
    assert wrong.status_code == 200
    assert with_bearer(venue, given["access_token"], "/v2/user").status_code == 200
    assert venue.http.post("/oauth2/revoke", data={**CLIENT, "token": given["access_token"]}).status_code == 200
    refused = with_bearer(venue, given["access_token"], "/v2/user")
    assert (refused.status_code, refused.json()["errors"][0]["id"]) == (401, "revoked_token")


def test_a_bearer_does_what_its_scopes_say(venue: Client) -> None:
    token = tokens(venue, granted="wallet:user:read wallet:accounts:read")["access_token"]
    assert with_bearer(venue, token, f"{PREFIX}/accounts").status_code == 200
    assert with_bearer(venue, token, "/v2/user").json()["data"]["name"] == "Sim Trader"
    assert with_bearer(venue, token, "/v2/user/auth").json()["data"]["scopes"] == [
        "wallet:user:read",
        "wallet:accounts:read",
    ]
    for method, path in (("POST", "/orders"), ("GET", "/orders/historical/batch"), ("GET", "/key_permissions")):
        reply = with_bearer(venue, token, PREFIX + path, method, json={})
        assert (reply.status_code, reply.json()["error_details"]) == (403, "Missing required scopes")


def test_a_code_is_good_for_ten_minutes() -> None:
    for late, is_given in ((CODE_S - 1, True), (CODE_S, False), (CODE_S + 1, False)):
        server = OAuthServer(Application(CLIENT["client_id"], CLIENT["client_secret"], REDIRECT))
        form = {**CLIENT, "grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
        with time_machine.travel(1_800_000_000, tick=False) as clock:
            asked = {"scopes": tuple(SCOPES.split()), "redirect_uri": REDIRECT, "challenge": CHALLENGE}
            form["code"] = server.consent(**asked, method="S256")  # type: ignore[arg-type]
            clock.shift(late)
            if is_given:
                assert server.token(form)["access_token"]
            else:
                with pytest.raises(OAuthRefusal, match="invalid_grant") as refused:
                    server.token(form)
                assert (refused.value.description, refused.value.status) == ("The code has expired.", 401)
        assert server.counts.exchanges == is_given


def test_a_bearer_expires_and_scopes_are_withheld_when_told(venue: Client) -> None:
    venue.admin("POST", "/oauth", {"access_s": 60, "withheld": ["wallet:buys:create"]})
    given = tokens(venue)
    assert given["expires_in"] == 60 and "wallet:buys:create" not in given["scope"]
    venue.admin("POST", "/oauth", {"expire": True})
    refused = with_bearer(venue, given["access_token"], "/v2/user")
    assert (refused.status_code, refused.json()["errors"][0]["id"]) == (401, "expired_token")
    assert with_bearer(venue, refresh(venue, given["refresh_token"]).json()["access_token"], "/v2/user").is_success


def test_a_scope_taken_back_is_gone_at_once_and_from_what_a_refresh_gives(venue: Client) -> None:
    given = tokens(venue)
    venue.admin("POST", "/oauth", {"narrow": ["wallet:buys:create"]})
    refused = with_bearer(venue, given["access_token"], f"{PREFIX}/orders", "POST", json={})
    assert (refused.status_code, refused.json()["error_details"]) == (403, "Missing required scopes")
    assert with_bearer(venue, given["access_token"], f"{PREFIX}/accounts").status_code == 200
    assert "wallet:buys:create" not in refresh(venue, given["refresh_token"]).json()["scope"]


def test_the_log_tells_bearers_apart_and_shows_none(venue: Client) -> None:
    first = tokens(venue)
    second = refresh(venue, first["refresh_token"]).json()
    for token in (first["access_token"], second["access_token"]):
        assert with_bearer(venue, token, f"{PREFIX}/accounts").status_code == 200
    venue.get("/accounts")
    log = [
        row["credential"] for row in venue.admin("GET", "/requests")["requests"] if row["path"].endswith("/accounts")
    ]
    assert log[0] != log[1] and {text.partition(":")[0] for text in log[:2]} == {"oauth"} and log[2] == "key"
    assert not any(token in "".join(log) for token in (first["access_token"], second["access_token"]))


def test_a_lost_reply_rotates_all_the_same(venue: Client) -> None:
    given = tokens(venue)
    venue.admin("POST", "/faults", {"endpoint": "oauth-token", "kind": "5xx-after"})
    assert refresh(venue, given["refresh_token"]).status_code == 502
    assert venue.admin("GET", "/oauth")["refreshes"] == 1
    assert refresh(venue, given["refresh_token"]).json()["error"] == "invalid_grant"


def test_without_an_application_nobody_authorises_anything(make_venue: MakeClient) -> None:
    bare = make_venue()
    assert bare.http.get("/oauth2/auth", params=ASKED).status_code == 400
    assert exchange(bare, "simcode-x").json()["error"] == "invalid_client"


@pytest.mark.parametrize("content", [None, " \n", "\ud800"], ids=["missing", "empty", "no text"])
def test_a_secret_that_cannot_be_read_is_no_start(
    secret_file: Path, arguments: tuple[str, ...], make_venue: MakeClient, content: str | None
) -> None:
    if content is None:
        secret_file.unlink()
    else:
        secret_file.write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(StartError, match=secret_file.name):
        make_venue(*arguments)


def test_a_secret_is_no_argument(
    arguments: tuple[str, ...], make_venue: MakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        make_venue(*arguments, "--oauth-client-secret", CLIENT["client_secret"], "x")
    assert "unrecognized arguments" in capsys.readouterr().err
