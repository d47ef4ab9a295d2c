"""Failed keys are bounded: per address they come from, and per key they name. The right key goes on working."""

import time
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.utils import timezone

from apps.common.api import rates
from tests.api.conftest import Caller, with_header
from tests.factories.accounts import issue_key
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db

ADDRESS_MAX, NAME_MAX = 6, 3


@pytest.fixture(autouse=True)
def bounds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small bounds, a cache that remembers nothing, and a minute that does not end in between."""
    monkeypatch.setattr(rates, "FAILURES_PER_ADDRESS_MAX", ADDRESS_MAX)
    monkeypatch.setattr(rates, "FAILURES_PER_NAME_MAX", NAME_MAX)
    began = time.time() // 60 * 60 + 10
    monkeypatch.setattr("apps.common.api.rates.time.time", lambda: began)
    cache.clear()
    yield
    cache.clear()


def wrong(header: str) -> str:
    return header[:-1] + ("0" if header[-1] != "0" else "1")


def named(number: int) -> str:
    """A key nobody has, of a prefix of its own."""
    return f"Bearer aika_{number:012x}_{'a' * 64}"


def tried(header: str, address: str = "203.0.113.7") -> tuple[int, str, Caller]:
    caller = with_header(header)
    caller.client.defaults["REMOTE_ADDR"] = address
    status, said = caller.get("/connectors")
    return status, said.get("code", ""), caller


def test_an_address_that_fails_too_often_waits_and_the_right_key_from_it_works(paper: PaperDesk) -> None:
    answers = [tried(named(number))[:2] for number in range(ADDRESS_MAX + 2)]
    assert answers == [(401, "KEY_UNKNOWN")] * ADDRESS_MAX + [(429, "AUTHENTICATION_FAILURES")] * 2
    status, _, refused = tried("Bearer nonsense")
    assert status == 429
    assert refused.last["Retry-After"] == "50"
    assert refused.last["Content-Type"] == "application/problem+json"
    assert tried(paper.authorization)[0] == 200
    # Another address is another matter.
    assert tried(named(99), "198.51.100.1")[:2] == (401, "KEY_UNKNOWN")


def test_a_key_that_is_tried_too_often_waits_wherever_it_comes_from(paper: PaperDesk) -> None:
    _, other = issue_key(owner=paper.trader, now=timezone.now(), scopes=("read",))
    for number in range(NAME_MAX):
        assert tried(wrong(paper.authorization), f"198.51.100.{number}")[:2] == (401, "KEY_UNKNOWN")
    for header in (wrong(paper.authorization), paper.authorization):
        assert tried(header)[:2] == (429, "AUTHENTICATION_FAILURES")
    assert tried(other)[0] == 200
    # Tightening is never refused to who may.
    assert with_header(paper.authorization).post("/trading-state/halt", {"reason": "Enough."})[0] == 200


def test_a_name_that_does_not_exist_is_bounded_alike(db: None) -> None:
    """Otherwise the bound would tell which prefixes exist."""
    answers = [tried(named(1), f"198.51.100.{number}")[:2] for number in range(NAME_MAX + 1)]
    assert answers == [(401, "KEY_UNKNOWN")] * NAME_MAX + [(429, "AUTHENTICATION_FAILURES")]


def test_the_bound_ends_with_time(paper: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(NAME_MAX):
        tried(wrong(paper.authorization))
    assert tried(paper.authorization)[0] == 429
    later = rates.time.time() + 2 * rates.WINDOW_S
    monkeypatch.setattr("apps.common.api.rates.time.time", lambda: later)
    assert tried(paper.authorization)[0] == 200


def test_success_counts_as_nothing(paper: PaperDesk) -> None:
    assert [tried(paper.authorization)[0] for _ in range(ADDRESS_MAX + NAME_MAX)] == [200] * (ADDRESS_MAX + NAME_MAX)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.9", "203.0.113.9", True),
        ("203.0.113.9", "203.0.113.10", False),
        ("", "@", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, shared: bool) -> None:
    for _ in range(ADDRESS_MAX):
        rates.count_failure(address=one, name=None)
    if shared:
        with pytest.raises(rates.RateExceeded):
            rates.count_failure(address=other, name=None)
    else:
        rates.count_failure(address=other, name=None)
