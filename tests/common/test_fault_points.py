"""A crash test hears of a commit just before and just after it, and of a call that went wrong too."""

from collections.abc import Iterator

import pytest
from django.db import transaction

from apps.accounts.models import Desk
from apps.common import fault_places as places
from apps.common import faults


class Stopped(Exception):
    """The process went away here."""


@pytest.fixture
def heard() -> Iterator[list[str]]:
    labels: list[str] = []
    faults.install(labels.append)
    yield labels
    faults.install(None)


def stop_at(label: str) -> None:
    def hook(reached: str) -> None:
        if reached == label:
            raise Stopped(label)

    faults.install(hook)


def early() -> str:
    with faults.commit(places.CLAIM):
        return "left early"


@pytest.mark.django_db
def test_both_points_of_a_commit_are_heard_also_where_the_block_is_left_early(heard: list[str]) -> None:
    assert early() == "left early"
    assert heard == ["claim.before_commit", "claim.after_commit"]


@pytest.mark.django_db
def test_a_savepoint_is_no_commit(heard: list[str]) -> None:
    with faults.commit(places.ANSWER), faults.commit(places.HALT):
        pass
    with transaction.atomic(), faults.commit(places.HALT):
        pass
    assert heard == ["answer.before_commit", "answer.after_commit"]


@pytest.mark.django_db
@pytest.mark.parametrize(("label", "kept"), [("claim.before_commit", False), ("claim.after_commit", True)])
def test_what_stops_before_the_commit_is_rolled_back_and_what_stops_after_it_is_kept(
    heard: list[str], label: str, kept: bool
) -> None:
    stop_at(label)
    with pytest.raises(Stopped), faults.commit(places.CLAIM):
        Desk.objects.create(slug="crash", name="Crash")
    assert Desk.objects.filter(slug="crash").exists() is kept


@pytest.mark.django_db
def test_an_error_inside_a_commit_is_not_a_commit(heard: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), faults.commit(places.CLAIM):
        1 / 0  # noqa: B018  an error
    assert heard == []


def test_a_call_that_ends_in_an_error_has_come_back_too(heard: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), faults.call(places.PLACE):
        1 / 0  # noqa: B018  an error
    assert heard == ["place.before_call", "place.after_call"]
