"""`POST /hooks/{name}` through the real door: what becomes a proposal, and what is refused and why."""

import json
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.services import api_keys
from apps.accounts.services.people import actor_of
from apps.common.api import rates
from apps.common.errors import AikaError, Unavailable
from apps.connectors.services import connections
from apps.trades.api import hooks as door
from apps.trades.api.bodies import ProposalBody
from apps.trades.models import HookCall, Proposal
from apps.trades.rules import hooks as rules
from apps.trades.services import hook_intake, hooks
from tests.factories.desk import BTC, PaperDesk, connect_paper
from tests.hooks.conftest import TEMPLATE, Sender, make_sender

pytestmark = pytest.mark.django_db
BOTH = pytest.mark.parametrize("mode", ["signed", "body_secret"])


@BOTH
def test_a_webhook_becomes_a_proposal_that_waits_for_people(paper: PaperDesk, mode: str) -> None:
    sender = make_sender(paper, mode)
    status, said = sender.send()

    assert (status, said["state"]) == (201, "AWAITING_APPROVAL"), said
    row = Proposal.objects.get(pk=said["id"])
    assert (row.instrument, row.side, str(row.quantity)) == (BTC, "BUY", "0.01")
    assert row.connection == paper.connection
    assert (row.proposer, row.api_key) == (paper.trader, sender.hook.api_key)
    assert row.rationale == "Crossed on btcusd"
    (call,) = sender.calls
    assert (call.outcome, call.code, call.proposal, call.status) == ("PROPOSED", "PROPOSED", row, 201)
    assert (call.body_bytes > 50, len(call.body_digest), call.address) == (True, 64, "127.0.0.1")
    assert '"ticker": "BTCUSD"' in call.payload
    assert paper.simulator.orders() == []


@BOTH
def test_the_secret_is_nowhere_afterwards(paper: PaperDesk, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    sender = make_sender(paper, mode)
    sender.send()
    sender.send(sender.body(ticker="NOPE"))
    sender.send(b'{"secret": "wrong"}', signature="t=1,v1=" + "0" * 64)
    rows = [repr(call.__dict__) for call in sender.calls]
    everything = " ".join([*rows, str(sender.last.content), caplog.text, *map(str, Proposal.objects.values())])
    assert len(rows) == 3
    assert sender.secret not in everything
    assert mode == "signed" or "[the secret]" in everything


@BOTH
def test_what_policy_denies_is_created_denied(paper: PaperDesk, mode: str) -> None:
    sender = make_sender(paper, mode)
    status, said = sender.send(sender.body(order={"action": "buy", "size": "0.4"}))
    assert (status, said["state"]) == (201, "DENIED")
    assert sender.codes == [("PROPOSED", said["decision"]["codes"][0])]


def assert_refused(sender: Sender, status: int, code: str, *, recorded: bool = True, **sent: Any) -> dict[str, Any]:
    """The call comes to nothing but a row that says why."""
    before, kept = Proposal.objects.count(), HookCall.objects.count()
    got, said = sender.send(**sent)
    assert (got, said["code"]) == (status, code), said
    assert sender.last["Content-Type"] == "application/problem+json"
    assert said["fix"]
    assert sender.secret not in sender.last.content.decode()
    assert Proposal.objects.count() == before
    assert HookCall.objects.count() == kept + recorded
    if recorded:
        last = sender.calls[-1]
        assert (last.outcome, last.code, last.status, last.proposal) == ("REFUSED", code, status, None)
        assert last.reason
    return said


def test_a_wrong_signature_is_refused(signing: Sender) -> None:
    body = signing.body()
    for signature in (
        signing.signed(body, secret="another"),
        signing.signed(signing.body(price="1")),
        signing.signed(body).replace("v1=", "v1=0"),
        signing.signed(body).upper(),
        "nonsense",
        "",
    ):
        said = assert_refused(signing, 401, "HOOK_NOT_AUTHENTIC", body=body, signature=signature)
        assert signing.last["WWW-Authenticate"] == "Aika-Signature"
        assert "secret" in said["fix"]
    reasons = {call.reason.partition(" of ")[0] for call in signing.calls}
    assert reasons == {"The signature is not", "There is no Aika-Signature"}, "the desk is told which"
    assert {call.payload for call in signing.calls} == {""}, "what nobody vouches for is not kept"
    assert signing.send(body)[0] == 201


def test_the_time_is_part_of_what_is_signed(signing: Sender) -> None:
    body = signing.body()
    old = signing.signed(body, at=time.time() - 400)
    moved = f"t={int(time.time())},{old.partition(',')[2]}"
    assert_refused(signing, 401, "HOOK_NOT_AUTHENTIC", body=body, signature=moved)


@pytest.mark.parametrize("offset_s", [-310, 310])
def test_an_old_timestamp_is_refused_and_a_younger_taken(signing: Sender, offset_s: int) -> None:
    assert_refused(signing, 401, "HOOK_TIMESTAMP_OLD", at=time.time() + offset_s)
    assert signing.send(at=time.time() + (290 if offset_s > 0 else -290))[0] == 201


def test_the_same_request_again_is_refused(signing: Sender) -> None:
    body = signing.body()
    signature = signing.signed(body)
    assert signing.send(body, signature=signature)[0] == 201
    for delivery in ("", "another-name"):
        assert_refused(signing, 409, "HOOK_REPLAYED", body=body, signature=signature, delivery=delivery)


def test_a_request_that_was_refused_for_what_it_says_is_used_up_too(signing: Sender) -> None:
    body = signing.body(ticker="NOPE")
    signature = signing.signed(body)
    assert_refused(signing, 422, "HOOK_VALUE_UNMAPPED", body=body, signature=signature)
    assert_refused(signing, 409, "HOOK_REPLAYED", body=body, signature=signature)


def test_a_delivery_that_is_repeated_gets_the_first_answer(signing: Sender) -> None:
    status, first = signing.send(delivery="d-1", at=time.time() - 2)
    answer = signing.last.content
    assert status == 201
    assert signing.send(delivery="d-1", at=time.time() - 1)[0] == 201
    assert (signing.last.content, signing.last["Idempotent-Replayed"]) == (answer, "true")
    assert [outcome for outcome, _ in signing.codes] == ["PROPOSED", "REPEATED"]
    assert {str(call.proposal_id) for call in signing.calls} == {first["id"]}
    assert_refused(signing, 422, "IDEMPOTENCY_KEY_REUSED", body=signing.body(alert="Other"), delivery="d-1")
    assert_refused(signing, 422, "HOOK_DELIVERY_MALFORMED", body=signing.body(alert="3"), delivery="no blanks")


def test_a_body_again_within_the_window_is_the_same_delivery_and_later_a_new_one(
    charting: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = charting.send()
    _, again = charting.send()
    assert again["id"] == first["id"]
    assert [outcome for outcome, _ in charting.codes] == ["PROPOSED", "REPEATED"]
    monkeypatch.setattr("apps.trades.selectors.hooks.WINDOW", timedelta(seconds=-1))
    status, later = charting.send()
    assert status == 201
    assert later["id"] != first["id"], "the same alert of another day asks again"
    keys = [call.delivery_key.rpartition(":")[2] for call in charting.calls]
    assert keys == ["1", "", "2"]


def test_a_wrong_secret_in_the_body_is_refused(charting: Sender) -> None:
    for secret in ("wrong", "", None, 5, ["x"], charting.secret[:-1], charting.secret.upper()):
        assert_refused(charting, 401, "HOOK_NOT_AUTHENTIC", body=charting.body(secret=secret))
    assert_refused(charting, 401, "HOOK_NOT_AUTHENTIC", body=charting.body(secret=...))
    assert charting.calls[-1].reason == "No secret stands in secret."
    assert_refused(charting, 401, "HOOK_NOT_AUTHENTIC", body=b'"text"')
    assert charting.send()[0] == 201


def test_a_signature_does_not_open_a_hook_that_wants_its_secret_in_the_body(charting: Sender) -> None:
    body = charting.body(secret=...)
    assert_refused(charting, 401, "HOOK_NOT_AUTHENTIC", body=body, signature=charting.signed(body))


def test_a_secret_in_the_body_does_not_open_a_hook_that_wants_a_signature(signing: Sender) -> None:
    assert_refused(signing, 401, "HOOK_NOT_AUTHENTIC", body=signing.body(secret=signing.secret), signature="")


def test_a_time_in_the_body_must_be_young_where_the_template_names_one(paper: PaperDesk) -> None:
    sender = make_sender(paper, "body_secret", template=TEMPLATE | {"sent_at": "{{ timenow }}"})
    now = timezone.now()
    for wrong in ("2020-01-01T00:00:00Z", (now - timedelta(seconds=330)).isoformat(), int(time.time()) - 400):
        assert_refused(sender, 401, "HOOK_TIMESTAMP_OLD", body=sender.body(timenow=wrong))
    assert_refused(sender, 422, "INSTANT_MALFORMED", body=sender.body(timenow="yesterday"))
    assert_refused(sender, 422, "HOOK_FIELD_MISSING", body=sender.body())
    assert sender.send(sender.body(timenow=now.isoformat()))[0] == 201
    assert sender.send(sender.body(timenow=int(time.time()), alert="2"))[0] == 201


def test_a_hook_nobody_has_is_refused_like_a_wrong_signature(signing: Sender) -> None:
    stranger = replace(signing, hook=type(signing.hook)(name="nobody", mode="signed"), last=None)
    status, said = stranger.send()
    assert (status, said["code"]) == (401, "HOOK_NOT_AUTHENTIC")
    _, known = signing.send(signature="t=1,v1=" + "0" * 64)
    unlike = {"request_id"}
    assert {k: v for k, v in said.items() if k not in unlike} == {k: v for k, v in known.items() if k not in unlike}


@BOTH
def test_a_hook_that_is_off_says_so_only_to_its_sender(paper: PaperDesk, mode: str) -> None:
    sender = make_sender(paper, mode, enabled=False)
    assert_refused(sender, 403, "HOOK_DISABLED")
    assert_refused(sender, 401, "HOOK_NOT_AUTHENTIC", body=b'{"secret": "x"}', signature="t=1,v1=" + "0" * 64)
    hooks.enable(hook_id=sender.hook.pk, actor=actor_of(paper.risk), now=timezone.now())
    assert sender.send(sender.body(alert="on"))[0] == 201
    hooks.disable(hook_id=sender.hook.pk, actor=actor_of(paper.approver), now=timezone.now())
    assert_refused(sender, 403, "HOOK_DISABLED", body=sender.body(alert="off"))


def test_what_ends_the_key_ends_the_hook(signing: Sender, paper: PaperDesk) -> None:
    now = timezone.now()
    connections.revoke_grant(
        connection=paper.connection, api_key=signing.hook.api_key, actor=actor_of(paper.risk), now=now
    )
    assert_refused(signing, 403, "HOOK_CONNECTION_REFUSED")
    api_keys.revoke(key_id=signing.hook.api_key_id, actor=actor_of(paper.risk), now=now)
    assert_refused(signing, 403, "HOOK_KEY_ENDED", body=signing.body(alert="2"))


def test_a_hook_is_heard_from_its_networks_only(paper: PaperDesk) -> None:
    here = make_sender(paper, networks=["127.0.0.0/8"])
    assert here.send()[0] == 201
    assert_refused(make_sender(paper, networks=["203.0.113.0/24"]), 403, "HOOK_ADDRESS_REFUSED")
    now = timezone.now()
    until = now + timedelta(days=9)
    hook, _ = hooks.rotate(hook_id=here.hook.pk, expires_at=until, actor=actor_of(paper.risk), now=now)
    assert hook.api_key.networks == ["127.0.0.0/8"]


def test_an_owner_who_lost_the_role_has_no_hooks(signing: Sender, paper: PaperDesk) -> None:
    paper.trader.groups.clear()
    assert_refused(signing, 403, "HOOK_OWNER_REFUSED")
    paper.trader.is_active = False
    paper.trader.save()
    assert_refused(signing, 403, "HOOK_OWNER_REFUSED", body=signing.body(alert="2"))


def test_a_body_cannot_choose_another_connection(signing: Sender, paper: PaperDesk) -> None:
    other = connect_paper(paper.desk, paper.simulator, "other-book", timezone.now())
    status, said = signing.send(signing.body(connection=other.slug))
    assert (status, said["terms"]["connection"]) == (201, paper.connection.slug)


def test_old_secrets_stop_at_once(signing: Sender, paper: PaperDesk) -> None:
    now = timezone.now()
    _, secret = hooks.rotate(
        hook_id=signing.hook.pk, expires_at=now + timedelta(days=9), actor=actor_of(paper.risk), now=now
    )
    assert_refused(signing, 401, "HOOK_NOT_AUTHENTIC")
    assert replace(signing, secret=secret).send()[0] == 201


def test_what_is_no_json_in_utf8_of_64_kib_is_refused(signing: Sender) -> None:
    assert_refused(signing, 415, "MEDIA_TYPE_UNSUPPORTED", content_type="text/plain")
    assert_refused(signing, 415, "MEDIA_TYPE_UNSUPPORTED", content_type="application/x-www-form-urlencoded")
    for size in (64 * 1024 + 1, 1024 * 1024):
        assert_refused(signing, 413, "BODY_TOO_LARGE", body=b" " * size)
    for raw, code in (
        (b" ", "JSON_MALFORMED"),
        (b"\xff", "JSON_MALFORMED"),
        (b'{"a": NaN}', "NUMBER_NOT_FINITE"),
        (b'{"a": 1, "a": 2}', "JSON_KEY_TWICE"),
        (b"[" * 50_000, "JSON_TOO_DEEP"),
        (b'{"a": [[[[1]]]]}', "JSON_TOO_DEEP"),
        (b'{"a": "\x00"}', "TEXT_WITH_NUL"),
        (b"[]", "HOOK_FIELD_MISSING"),
    ):
        assert_refused(signing, 422, code, body=raw)
    assert {call.body_bytes for call in signing.calls[:4]} == {0}, "not read"


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"ticker": ...}, "HOOK_FIELD_MISSING", "instrument"),
        ({"ticker": "NOPE"}, "HOOK_VALUE_UNMAPPED", "instrument"),
        ({"order": ...}, "HOOK_FIELD_MISSING", "side"),
        ({"order": {"action": "buy"}}, "HOOK_FIELD_MISSING", "quantity"),
        ({"order": {"action": "hold", "size": 1}}, "CHOICE_UNKNOWN", "side"),
        ({"order": {"action": True, "size": 1}}, "HOOK_TRANSFORM_NOT_POSSIBLE", "side"),
        ({"order": {"action": "buy", "size": [1]}}, "HOOK_VALUE_NOT_PLAIN", "quantity"),
        ({"order": {"action": "buy", "size": "1,5"}}, "DECIMAL_MALFORMED", "quantity"),
        ({"order": {"action": "buy", "size": True}}, "DECIMAL_NOT_TEXT", "quantity"),
        ({"order": {"action": "buy", "size": -1}}, "NOT_POSITIVE", "quantity"),
        ({"order": {"action": "buy", "size": 1e30}}, "DECIMAL_TOO_LARGE", "quantity"),
        ({"price": None}, "HOOK_FIELD_MISSING", "limit_price"),
        ({"alert": "x" * 5_000}, "TEXT_TOO_LONG", "rationale"),
    ],
)
def test_what_the_template_cannot_make_terms_of(signing: Sender, change: dict[str, Any], code: str, field: str) -> None:
    said = assert_refused(signing, 422, code, body=signing.body(**change))
    assert said["field"] == field


def test_numbers_keep_every_digit(signing: Sender, paper: PaperDesk) -> None:
    raw = signing.body().replace(b'"size": 0.01', b'"size": 1.00000001e-2')
    _, said = signing.send(raw)
    assert said["terms"]["quantity"] == "0.0100000001"


def test_a_secret_does_not_get_onto_a_page_by_another_field(charting: Sender) -> None:
    assert_refused(charting, 422, "HOOK_SECRET_IN_VALUE", body=charting.body(alert=f"see {charting.secret}"))


def test_other_methods_and_other_doors(signing: Sender) -> None:
    answer = signing.client.get(signing.hook.path)
    assert (answer.status_code, answer["Allow"], answer.json()["code"]) == (405, "POST", "METHOD_NOT_ALLOWED")
    assert signing.calls == []
    bearer = Client(raise_request_exception=False).post(
        "/api/v1/trades/proposals",
        signing.body(),
        content_type="application/json",
        headers={"Authorization": f"Bearer {signing.secret}", "Idempotency-Key": "k"},
    )
    assert bearer.status_code == 401, "the secret of a hook opens its own door only"


def test_csrf_is_asked_everywhere_but_here(signing: Sender, paper: PaperDesk) -> None:
    strict = Client(enforce_csrf_checks=True, raise_request_exception=False)
    strict.force_login(paper.trader, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert replace(signing, client=strict).send()[0] == 201
    body = json.dumps({}).encode()
    assert strict.post("/api/v1/trades/proposals", body, content_type="application/json").status_code == 403
    assert strict.post("/admin/halt/").status_code == 403


def test_a_hook_that_is_called_too_often_says_when_to_come_back(
    signing: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "CALLS_PER_MINUTE_MAX", 2)
    for number in range(2):
        assert signing.send(signing.body(alert=str(number)))[0] == 201
    body = signing.body(alert="3")
    signature = signing.signed(body)
    assert_refused(signing, 429, "RATE_EXCEEDED", body=body, signature=signature)
    assert int(signing.last["Retry-After"]) >= 1
    assert_refused(signing, 429, "RATE_EXCEEDED", body=body, signature=signature, recorded=False)
    monkeypatch.setattr(door, "CALLS_PER_MINUTE_MAX", 50)
    assert signing.send(body, signature=signature)[0] == 201, "the same request may come again: it was not taken"


def test_who_fails_too_often_is_turned_away_and_who_signs_right_is_not(
    signing: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "FAILURES_PER_NAME_MAX", 3)
    wrong = "t=1,v1=" + "0" * 64
    for _ in range(3):
        assert_refused(signing, 401, "HOOK_NOT_AUTHENTIC", signature=wrong)
    assert_refused(signing, 429, "AUTHENTICATION_FAILURES", signature=wrong)
    for _ in range(3):
        assert_refused(signing, 429, "AUTHENTICATION_FAILURES", signature=wrong, recorded=False)
    assert signing.send()[0] == 201


def test_failures_of_one_address_are_counted_over_all_hooks(signing: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "FAILURES_PER_ADDRESS_MAX", 3)
    for number in range(5):
        path = f"/hooks/nobody-{number}"
        last = signing.client.post(path, b"{}", content_type="application/json")
    assert (last.status_code, last.json()["code"]) == (429, "AUTHENTICATION_FAILURES")


def test_a_venue_that_is_away_leaves_the_request_to_be_sent_again(
    signing: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = signing.body()
    signature = signing.signed(body)

    def away(**ask: Any) -> Any:
        raise Unavailable("VENUE_UNAVAILABLE", "The venue does not answer.", fix="Later.")

    with monkeypatch.context() as patch:
        patch.setattr(hook_intake.intake, "propose_once", away)
        assert_refused(signing, 503, "VENUE_UNAVAILABLE", body=body, signature=signature)
        assert signing.last["Retry-After"] == "1"
    assert signing.send(body, signature=signature)[0] == 201


def test_nobody_approves_what_their_own_hook_asked(signing: Sender, paper: PaperDesk) -> None:
    _, said = signing.send()
    proposal = Proposal.objects.get(pk=said["id"])
    for role in ("approver", "risk"):
        paper.trader.groups.add(getattr(paper, role).groups.get())
    with pytest.raises(AikaError, match="OWN_PROPOSAL"):
        paper.approve(proposal, by=paper.trader)
    paper.approve(proposal)
    proposal.refresh_from_db()
    assert proposal.state == "APPROVED"


def test_a_hook_on_a_connection_that_ended_proposes_nothing(signing: Sender, paper: PaperDesk) -> None:
    connections.deactivate(connection=paper.connection, reason="Test.", actor=actor_of(paper.risk), now=timezone.now())
    assert_refused(signing, 403, "HOOK_CONNECTION_REFUSED")


def test_the_names_of_rules_and_bodies_agree() -> None:
    # Facts are an object of numbers; a template makes texts and single values.
    known = set(ProposalBody.fields) - {"connection", "supersedes", "not_after", "tags", "facts"}
    assert set(rules.FIELDS) - {rules.SENT_AT} == known
