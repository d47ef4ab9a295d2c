"""A second factor on one decision: bound to its digest, used up by it, and nothing else in place of it."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.services import step_up
from apps.accounts.types import NO_PROOF, Proof
from apps.approvals.models import Vote
from apps.approvals.services import challenges, decide
from apps.audit.models import Alarm, Event
from apps.audit.selectors import facts_of
from apps.common.errors import AikaError, Forbidden
from apps.connectors.types import OrderType, TimeInForce
from apps.trades.models import Order, Proposal
from tests.approvals.test_pages import at, carried, enter
from tests.factories.accounts import PASSWORD
from tests.factories.desk import PaperDesk
from tests.factories.soft_key import SoftKey, app_for, code_of
from tests.factories.trading import change_policy, kinds, move, replayed, rules_with

pytestmark = pytest.mark.django_db

HOST = "testserver"
ROLES = ["approver", "risk"]
SHOWN = [{"needed": "1", "roles": ROLES, "second_factor": True}]


@pytest.fixture
def strict(paper: PaperDesk) -> PaperDesk:
    """Every approval at this desk needs a second factor."""
    cache.clear()
    change_policy(paper, rules_with(approvals={"tiers": SHOWN}))
    move(paper, "64000")
    return paper


@pytest.fixture
def waiting(strict: PaperDesk) -> Proposal:
    return strict.propose()


@pytest.fixture
def one_period() -> Iterator[None]:
    """Enough of a code's period is left for the test. First of its fixtures: a price from before the jump is old."""
    left = 30 - time.time() % 30
    if left < 10:
        with time_machine.travel(time.time() + left, tick=True):
            yield
    else:
        yield


def approve(desk: PaperDesk, proposal: Proposal, proof: Proof = NO_PROOF, **changes: Any) -> Any:
    values = {"approver": desk.approver, "now": timezone.now(), **changes}
    return decide.approve(proposal_id=proposal.pk, seen=desk.seen(proposal), comment="", proof=proof, **values)


def refused(desk: PaperDesk, proposal: Proposal, proof: Proof = NO_PROOF, **changes: Any) -> str:
    """The code of the refusal, after making sure that nothing was counted."""
    with pytest.raises(AikaError) as error:
        approve(desk, proposal, proof, **changes)
    assert isinstance(error.value, Forbidden)
    assert not Vote.objects.filter(proposal=proposal).exists()
    assert not Order.objects.filter(proposal=proposal).exists()
    return error.value.code


def asked(desk: PaperDesk, proposal: Proposal) -> dict[str, Any]:
    return challenges.begin(proposal_id=proposal.pk, approver=desk.approver, host=HOST, now=timezone.now())


def test_a_signed_digest_counts_once(strict: PaperDesk, waiting: Proposal) -> None:
    key = SoftKey().belongs_to(strict.approver)
    options = asked(strict, waiting)
    assert options["publicKey"]["userVerification"] == "required"
    proof = Proof(assertion=key.get(options))

    assert refused(strict, waiting) == "SECOND_FACTOR_REQUIRED"
    approve(strict, waiting, proof)

    vote = Vote.objects.get(proposal=waiting)
    event = Event.objects.get(kind="vote.approve", subject=str(waiting.pk))
    kept = json.loads(bytes(event.body))["payload"]["second_factor"]
    assert vote.second_factor == f"{kept['method']}:{kept['credential']}"
    assert kept["method"] == "webauthn"
    assert key.id.hex() not in bytes(event.body).decode()
    assert kinds(waiting) == ["proposal.proposed", "vote.approve", "proposal.approved"]
    assert replayed()


@pytest.mark.parametrize(
    "assertion",
    ["x", "null", "[]", "7", "{}", '{"id": 1}', '{"response": {}}', "[" * 7_000, '{"a":' * 1_500 + "1" + "}" * 1_500],
    ids=lambda text: text[:18],
)
def test_what_is_no_answer_of_a_key_is_refused(strict: PaperDesk, waiting: Proposal, assertion: str) -> None:
    SoftKey().belongs_to(strict.approver)
    assert refused(strict, waiting, Proof(assertion=assertion)) == "SECOND_FACTOR_REFUSED"


def test_what_a_key_signed_for_something_else_does_not_count(strict: PaperDesk, waiting: Proposal) -> None:
    other = strict.propose(quantity=Decimal("0.02"))
    key = SoftKey().belongs_to(strict.approver)
    stranger = SoftKey().belongs_to(strict.approver2)
    elsewhere = Proof(assertion=key.get(asked(strict, other)))
    assert refused(strict, waiting, elsewhere) == "SECOND_FACTOR_REFUSED"
    assert refused(strict, other, elsewhere) == "SECOND_FACTOR_REFUSED", "an answer that was tried is used up"
    assert refused(strict, waiting, Proof(assertion=stranger.get(asked(strict, waiting)))) == "SECOND_FACTOR_REFUSED"
    assert "vote.second_factor_refused" in kinds(waiting)
    cache.clear()

    made_up = {"publicKey": {"challenge": asked(strict, waiting)["publicKey"]["challenge"][:-4] + "AAAA"}}
    assert refused(strict, waiting, Proof(assertion=key.get(made_up))) == "SECOND_FACTOR_REFUSED"
    key.flags = 0x01
    assert refused(strict, waiting, Proof(assertion=key.get(asked(strict, waiting)))) == "SECOND_FACTOR_REFUSED"
    key.flags, key.origin = 0x05, "https://evil.example"
    assert refused(strict, waiting, Proof(assertion=key.get(asked(strict, waiting)))) == "SECOND_FACTOR_REFUSED"
    key.origin = "https://testserver"
    cache.clear()
    proof = Proof(assertion=key.get(asked(strict, waiting)))
    assert refused(strict, waiting, Proof(assertion="{}")) == "SECOND_FACTOR_REFUSED"
    assert refused(strict, waiting, Proof(assertion="[1")) == "SECOND_FACTOR_REFUSED"
    approve(strict, waiting, proof)


def test_a_key_whose_counter_went_back_decides_nothing_and_is_an_alarm(strict: PaperDesk, waiting: Proposal) -> None:
    key = SoftKey().belongs_to(strict.approver)
    key.count = 40
    before = strict.propose(quantity=Decimal("0.02"))
    approve(strict, before, Proof(assertion=key.get(asked(strict, before))))
    key.count = 38
    assert refused(strict, waiting, Proof(assertion=key.get(asked(strict, waiting)))) == "SECOND_FACTOR_REFUSED"
    assert "count 39, after 41" in Alarm.objects.get(code="SECURITY_KEY_COPIED").message
    key.count = 41
    approve(strict, waiting, Proof(assertion=key.get(asked(strict, waiting))))


def test_an_answer_that_is_too_old_does_not_count(strict: PaperDesk, waiting: Proposal) -> None:
    key, now = SoftKey().belongs_to(strict.approver), timezone.now()
    for age, counts in ((121, False), (119, True)):
        began = now - timedelta(seconds=age)
        options = step_up.begin(
            person=strict.approver, subject=str(waiting.pk), digest=waiting.digest, host=HOST, now=began
        )
        proof = Proof(assertion=key.get(options))
        if counts:
            approve(strict, waiting, proof, now=now)
        else:
            assert refused(strict, waiting, proof, now=now) == "SECOND_FACTOR_REFUSED"


def digest_is_held(desk: PaperDesk, proposal: Proposal) -> None:
    """The promise: what was signed for one digest shows nothing for another, also of the same subject."""
    key = SoftKey().belongs_to(desk.approver)
    now, subject = timezone.now(), str(proposal.pk)
    options = step_up.begin(person=desk.approver, subject=subject, digest="ab" * 32, host=HOST, now=now)
    proof = Proof(assertion=key.get(options))
    with pytest.raises(Forbidden):
        step_up.show(person=desk.approver, subject=subject, digest=proposal.digest, proof=proof, now=now)


def test_a_step_up_that_forgets_the_digest_is_caught(
    strict: PaperDesk, waiting: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest_is_held(strict, waiting)
    naive: Callable[[bytes, str], bool] = lambda challenge, digest: True  # noqa: E731
    monkeypatch.setattr(step_up, "is_for", naive)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        digest_is_held(strict, waiting)


def test_a_code_counts_for_one_decision_and_for_no_sign_in(
    one_period: None, strict: PaperDesk, waiting: Proposal
) -> None:
    secret = app_for(strict.approver)
    other = strict.propose(quantity=Decimal("0.02"))
    code = code_of(secret)
    assert refused(strict, waiting, Proof(code="000000" if code != "000000" else "111111")) == "SECOND_FACTOR_REFUSED"
    approve(strict, waiting, Proof(code=code))
    assert Vote.objects.get(proposal=waiting).second_factor.startswith("totp:")
    assert code not in str([bytes(body) for body in Event.objects.values_list("body", flat=True)])

    assert refused(strict, other, Proof(code=code)) == "SECOND_FACTOR_REFUSED"
    client = Client()
    client.post(reverse("account_login"), {"login": strict.approver.username, "password": PASSWORD})
    client.post(reverse("mfa_authenticate"), {"code": code})
    assert "_auth_user_id" not in client.session


def test_a_code_of_a_sign_in_counts_for_no_decision(one_period: None, strict: PaperDesk, waiting: Proposal) -> None:
    secret, client = app_for(strict.approver), Client()
    code = code_of(secret)
    client.post(reverse("account_login"), {"login": strict.approver.username, "password": PASSWORD})
    client.post(reverse("mfa_authenticate"), {"code": code})
    assert "_auth_user_id" in client.session
    assert client.post(at("approve", waiting), {**carried(client, waiting), "code": code}).status_code == 403
    assert refused(strict, waiting, Proof(code=code)) == "SECOND_FACTOR_REFUSED"


def test_a_password_shown_again_is_no_second_factor(one_period: None, strict: PaperDesk, waiting: Proposal) -> None:
    """Shown again a moment ago, by who had no factor then; the vote goes through with a code, and with nothing less."""
    client, again = Client(), reverse("account_reauthenticate")
    client.post(reverse("account_login"), {"login": strict.approver.username, "password": PASSWORD})
    shown = client.post(again, {"password": PASSWORD})
    assert shown.status_code == 302 and "password" in str(client.session["account_authentication_methods"])
    for more in ({}, {"password": PASSWORD}):
        assert client.post(at("approve", waiting), {**carried(client, waiting), **more}).status_code == 403
    secret = app_for(strict.approver)
    elsewhere = client.post(again, {"password": PASSWORD})
    assert elsewhere["Location"].startswith(reverse("mfa_reauthenticate")), "a password is not even asked for"
    assert client.post(at("approve", waiting), carried(client, waiting)).status_code == 403
    assert not Vote.objects.exists()
    done = client.post(at("approve", waiting), {**carried(client, waiting), "code": code_of(secret)})
    assert done.status_code == 303 and Vote.objects.get().second_factor.startswith("totp:")


def test_guessing_codes_ends(one_period: None, strict: PaperDesk, waiting: Proposal) -> None:
    secret = app_for(strict.approver)
    wrong = "000000" if code_of(secret) != "000000" else "111111"
    for _ in range(5):
        assert refused(strict, waiting, Proof(code=wrong)) == "SECOND_FACTOR_REFUSED"
    assert refused(strict, waiting, Proof(code=code_of(secret))) == "SECOND_FACTOR_LOCKED"
    cache.delete(f"step-up:failures:{strict.approver.pk}")
    approve(strict, waiting, Proof(code=code_of(secret)))


def test_a_code_with_nothing_to_be_compared_with_is_refused_and_told(
    one_period: None, strict: PaperDesk, waiting: Proposal
) -> None:
    secret = app_for(strict.approver)
    app = Authenticator.objects.filter(user=strict.approver)
    whole = app.get().data
    app.update(data={"secret": "sealed:junk"})
    assert refused(strict, waiting, Proof(code=code_of(secret))) == "SECOND_FACTOR_UNREADABLE"
    assert Alarm.objects.filter(code="SECOND_FACTOR_UNREADABLE", cleared_at=None).exists()
    event: Any = facts_of(Event.objects.get(kind="vote.second_factor_refused"))
    assert event["payload"]["code"] == "SECOND_FACTOR_UNREADABLE"
    app.update(data=whole)
    approve(strict, waiting, Proof(code=code_of(secret)))


def test_nobody_without_a_factor_and_nobody_is_asked_below_the_tier(strict: PaperDesk) -> None:
    tiers = [{"up_to": "1000", "needed": "1", "roles": ROLES}, {**SHOWN[0]}]
    change_policy(strict, rules_with(approvals={"tiers": tiers}))
    small, large = strict.propose(), strict.propose(quantity=Decimal("0.03"))
    assert refused(strict, large) == "SECOND_FACTOR_MISSING"
    with pytest.raises(Forbidden, match="SECOND_FACTOR_MISSING"):
        asked(strict, large)
    approve(strict, small)
    assert Vote.objects.get(proposal=small).second_factor == ""


def test_a_vote_of_a_lower_tier_does_not_count_in_one_that_asks_for_more(one_period: None, paper: PaperDesk) -> None:
    cache.clear()
    tiers = [
        {"up_to": "645", "needed": "2", "roles": ROLES},
        {"needed": "2", "roles": ROLES, "second_factor": True},
    ]
    change_policy(paper, rules_with(approvals={"tiers": tiers}))
    move(paper, "64000")
    proposal = paper.propose(order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC)
    before = paper.seen(proposal).tier
    decide.approve(
        proposal_id=proposal.pk, approver=paper.approver, seen=paper.seen(proposal), comment="", now=timezone.now()
    )
    move(paper, "64800")
    assert before != paper.seen(proposal).tier
    secrets = {who: app_for(who) for who in (paper.approver2, paper.risk)}
    for index, who in enumerate(secrets, start=1):
        proof = Proof(code=code_of(secrets[who]))
        result = approve(paper, proposal, proof, approver=who)
        assert (result.approvals, result.order_id is not None) == (index, index == 2)


class TestThePage:
    def test_asks_for_it_in_the_rail(self, one_period: None, strict: PaperDesk, waiting: Proposal) -> None:
        client = enter(strict.approver)
        page = client.get(at("page", waiting)).content.decode()
        assert "Approve is off: you have no second factor." in page
        secret = app_for(strict.approver)
        page = client.get(at("page", waiting)).content.decode()
        assert 'name="code"' in page
        assert "use-key" not in page

        without = client.post(at("approve", waiting), carried(client, waiting))
        assert without.status_code == 403
        assert "needs your second factor" in without.content.decode()
        done = client.post(at("approve", waiting), {**carried(client, waiting), "code": code_of(secret)})
        assert done.status_code == 303
        assert Vote.objects.get(proposal=waiting).second_factor.startswith("totp:")

    def test_offers_a_key(self, strict: PaperDesk, waiting: Proposal) -> None:
        client, key = enter(strict.approver), SoftKey().belongs_to(strict.approver)
        page = client.get(at("page", waiting)).content.decode()
        assert "use-key" in page
        assert 'name="code"' not in page
        assert client.get(at("challenge", waiting)).status_code == 405
        options = client.post(at("challenge", waiting)).json()
        done = client.post(at("approve", waiting), {**carried(client, waiting), "assertion": key.get(options)})
        assert done.status_code == 303
        assert client.post(at("challenge", waiting)).status_code == 409

    def test_of_another_desk_is_not_there(self, waiting: Proposal, outsider: Any) -> None:
        SoftKey().belongs_to(outsider)
        assert enter(outsider).post(at("challenge", waiting)).status_code == 404


def test_the_api_asks_for_it_too(strict: PaperDesk, waiting: Proposal) -> None:
    client, key = enter(strict.approver), SoftKey().belongs_to(strict.approver)
    base = f"/api/v1/approvals/{waiting.pk}"
    ballot = client.get(base).json()
    assert ballot["now"]["tier"]["second_factor"] is True

    without = client.post(f"{base}/approve", ballot["vote"], content_type="application/json")
    assert (without.status_code, without.json()["code"]) == (403, "SECOND_FACTOR_REQUIRED")
    options = json.loads(client.post(f"{base}/challenge", content_type="application/json").json()["options"])
    body = {**ballot["vote"], "assertion": key.get(options)}
    done = client.post(f"{base}/approve", body, content_type="application/json")
    assert (done.status_code, done.json()["state"]) == (200, "APPROVED")
