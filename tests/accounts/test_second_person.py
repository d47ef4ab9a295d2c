import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.accounts import selectors
from apps.accounts.models import SecondPersonRequest, User
from apps.accounts.services import second_person
from apps.audit.models import Event
from apps.common.errors import AikaError, Conflict, Denied
from tests.accounts.conftest import InThreads
from tests.factories.accounts import SecondPersonRequestFactory

DIGEST = "a" * 64
OTHER_DIGEST = "b" * 64
THING: dict[str, Any] = {"kind": "policy.activate", "subject": "policy_version:7"}


def ask(requester: User, now: datetime, **changes: Any) -> SecondPersonRequest:
    wanted = {"digest": DIGEST, "summary": "1,000 USD an order becomes 2,000 USD.", "ttl": timedelta(hours=1)}
    return second_person.request(**{**THING, **wanted, "requester": requester, "now": now, **changes})


def code_of(act: Any, **arguments: Any) -> str:
    with pytest.raises(AikaError) as refused, transaction.atomic():
        act(**arguments)
    return refused.value.code


def test_asked_seconded_and_used_once(risk: User, approver: User, now: datetime) -> None:
    asked = ask(risk, now)
    assert code_of(second_person.use, **THING, digest=DIGEST, now=now) == "SECOND_PERSON_REQUIRED"

    second_person.second(request_id=asked.pk, seconder=approver, now=now)

    assert code_of(second_person.use, **THING, digest=OTHER_DIGEST, now=now) == "SECOND_PERSON_REQUIRED"
    used = second_person.use(**THING, digest=DIGEST, now=now)
    assert (used.state, used.requester, used.seconder) == ("USED", risk, approver)
    assert code_of(second_person.use, **THING, digest=DIGEST, now=now) == "SECOND_PERSON_REQUIRED"
    kinds = Event.objects.filter(subject=f"second_person:{asked.pk}").order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["second_person.requested", "second_person.seconded", "second_person.used"]


def test_nobody_seconds_an_own_request(risk: User, admin_user: User, now: datetime) -> None:
    for person in (risk, admin_user):
        asked = ask(person, now, subject=f"policy_version:{person.pk}")
        assert code_of(second_person.second, request_id=asked.pk, seconder=person, now=now) == (
            "SECOND_PERSON_IS_REQUESTER"
        )


def test_only_a_permitted_active_person_seconds(
    risk: User, approver: User, trader: User, outsider: User, now: datetime
) -> None:
    asked = ask(risk, now)
    approver.is_active = False
    approver.save()
    for person in (trader, outsider, approver):
        assert code_of(second_person.second, request_id=asked.pk, seconder=person, now=now) == (
            "SECOND_PERSON_NOT_PERMITTED"
        )
    approver.is_active = True
    approver.save()
    assert second_person.second(request_id=asked.pk, seconder=approver, now=now).seconder == approver


def test_a_request_may_name_the_roles_of_its_second_person(
    risk: User, approver: User, operator: User, now: datetime
) -> None:
    asked = ask(risk, now, roles=["operator"])
    assert code_of(second_person.second, request_id=asked.pk, seconder=approver, now=now) == (
        "SECOND_PERSON_NOT_PERMITTED"
    )
    assert second_person.second(request_id=asked.pk, seconder=operator, now=now).state == "SECONDED"


def test_the_clock_ends_a_request_without_any_sweep(risk: User, approver: User, now: datetime) -> None:
    asked = ask(risk, now, ttl=timedelta(minutes=10))
    last, over = now + timedelta(minutes=10, microseconds=-1), now + timedelta(minutes=10)
    assert code_of(second_person.second, request_id=asked.pk, seconder=approver, now=over) == "SECOND_PERSON_EXPIRED"
    second_person.second(request_id=asked.pk, seconder=approver, now=last)
    assert code_of(second_person.use, **THING, digest=DIGEST, now=over) == "SECOND_PERSON_REQUIRED"
    assert second_person.use(**THING, digest=DIGEST, now=last).state == "USED"


def test_one_live_request_for_one_content(risk: User, approver: User, now: datetime) -> None:
    asked = ask(risk, now, ttl=timedelta(hours=1))
    assert code_of(ask, requester=approver, now=now) == "SECOND_PERSON_PENDING"
    assert ask(approver, now, digest=OTHER_DIGEST).state == "OPEN"

    again = ask(approver, now + timedelta(hours=1))

    asked.refresh_from_db()
    assert (asked.state, again.state) == ("EXPIRED", "OPEN")
    assert Event.objects.filter(kind="second_person.expired", subject=f"second_person:{asked.pk}").exists()


def test_a_seconder_who_left_or_lost_the_role_does_not_count(risk: User, approver: User, now: datetime) -> None:
    asked = ask(risk, now, roles=["approver"])
    second_person.second(request_id=asked.pk, seconder=approver, now=now)
    group = approver.groups.get()

    approver.groups.clear()
    assert code_of(second_person.use, **THING, digest=DIGEST, now=now) == "SECOND_PERSON_REQUIRED"
    approver.groups.add(group)
    User.objects.filter(pk=risk.pk).update(is_active=False)
    assert code_of(second_person.use, **THING, digest=DIGEST, now=now) == "SECOND_PERSON_REQUIRED"
    User.objects.filter(pk=risk.pk).update(is_active=True)
    assert second_person.use(**THING, digest=DIGEST, now=now).state == "USED"


def test_withdrawing_ends_it_for_requester_and_colleague_not_for_a_stranger(
    risk: User, approver: User, trader: User, outsider: User, now: datetime
) -> None:
    for person, subject in ((risk, "a"), (approver, "b")):
        asked = ask(risk, now, subject=subject)
        second_person.second(request_id=asked.pk, seconder=approver, now=now)
        for stranger in (trader, outsider):
            assert code_of(second_person.withdraw, request_id=asked.pk, person=stranger, now=now) == (
                "SECOND_PERSON_NOT_PERMITTED"
            )
        assert second_person.withdraw(request_id=asked.pk, person=person, now=now).state == "WITHDRAWN"
        assert code_of(second_person.withdraw, request_id=asked.pk, person=person, now=now) == (
            "SECOND_PERSON_NOT_OPEN"
        )
        assert code_of(second_person.second, request_id=asked.pk, seconder=approver, now=now) == (
            "SECOND_PERSON_NOT_OPEN"
        )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"digest": "A" * 64}, "DIGEST_MALFORMED"),
        ({"digest": "a" * 63}, "DIGEST_MALFORMED"),
        ({"summary": ""}, "SUMMARY_OUT_OF_RANGE"),
        ({"summary": "x" * 2001}, "SUMMARY_OUT_OF_RANGE"),
        ({"ttl": timedelta(0)}, "TTL_OUT_OF_RANGE"),
        ({"ttl": timedelta(days=7, seconds=1)}, "TTL_OUT_OF_RANGE"),
        ({"roles": ["king"]}, "ROLE_UNKNOWN"),
    ],
)
def test_a_request_out_of_bounds_is_refused(risk: User, now: datetime, change: dict[str, Any], code: str) -> None:
    assert code_of(ask, requester=risk, now=now, **change) == code
    assert not SecondPersonRequest.objects.exists()


def test_an_inactive_person_asks_for_nothing(risk: User, now: datetime) -> None:
    risk.is_active = False
    risk.save()
    assert code_of(ask, requester=risk, now=now) == "REQUESTER_INACTIVE"


def test_an_unknown_request_is_not_found(approver: User, now: datetime) -> None:
    for act in ({"seconder": approver}, {"person": approver}):
        verb = second_person.second if "seconder" in act else second_person.withdraw
        assert code_of(verb, request_id=uuid.uuid4(), now=now, **act) == "SECOND_PERSON_NOT_FOUND"


@pytest.mark.parametrize(
    "change",
    [
        {"state": "SECONDED"},
        {"state": "USED"},
        {"digest": OTHER_DIGEST},
        {"summary": "Something harmless."},
        {"expires_at": datetime(2030, 1, 1, tzinfo=UTC)},
    ],
)
def test_the_database_refuses_what_no_service_does(risk: User, now: datetime, change: dict[str, Any]) -> None:
    asked = ask(risk, now)
    with pytest.raises(IntegrityError), transaction.atomic():
        SecondPersonRequest.objects.filter(pk=asked.pk).update(**change)


def test_the_database_refuses_the_same_person_twice(risk: User, now: datetime) -> None:
    asked = ask(risk, now)
    with pytest.raises(IntegrityError), transaction.atomic():
        SecondPersonRequest.objects.filter(pk=asked.pk).update(state="SECONDED", seconder=risk)
    with pytest.raises(IntegrityError), transaction.atomic():
        asked.delete()


def test_what_waits_for_whom(risk: User, approver: User, trader: User, now: datetime) -> None:
    asked = ask(risk, now)
    SecondPersonRequestFactory()  # long expired
    assert list(selectors.waiting_for_second_person(approver, now)) == [asked]
    assert not selectors.waiting_for_second_person(risk, now).exists()
    assert not selectors.waiting_for_second_person(trader, now).exists()


def test_one_seconded_request_is_used_once_however_many_try(
    risk: User, approver: User, now: datetime, in_threads: InThreads
) -> None:
    asked = ask(risk, now)
    second_person.second(request_id=asked.pk, seconder=approver, now=now)
    barrier = threading.Barrier(6, timeout=30)

    def use() -> str:
        barrier.wait()
        try:
            return second_person.use(**THING, digest=DIGEST, now=now).state
        except Denied as error:
            return error.code

    assert sorted(in_threads(6, use)) == ["SECOND_PERSON_REQUIRED"] * 5 + ["USED"]


def test_two_people_ask_for_the_same_at_once(risk: User, approver: User, now: datetime, in_threads: InThreads) -> None:
    people, barrier = iter([risk, approver]), threading.Barrier(2, timeout=30)

    def request() -> str:
        person = next(people)
        barrier.wait()
        try:
            return ask(person, now).state
        except Conflict as error:
            return error.code

    assert sorted(in_threads(2, request)) == ["OPEN", "SECOND_PERSON_PENDING"]
