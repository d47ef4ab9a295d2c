"""Lists of the console: a term is looked for where it can be, rows are counted so far and no further, and a filter
offers what rows point to."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.approvals.models import Vote
from apps.common import lists
from apps.common.admin import ReadOnlyAdmin
from apps.common.lists import BoundedPaginator, SeenRelatedFilter
from apps.connectors.models import Connection
from apps.trades.models import Proposal
from tests.factories.desk import PaperDesk, connect_paper

pytestmark = pytest.mark.django_db


def searched(person: User, term: str, model: Any = Proposal) -> list[object]:
    request = RequestFactory().get("/")
    request.user = person
    page = admin.site._registry[model]
    rows, twice = page.get_search_results(request, page.get_queryset(request), term)
    assert not twice
    return list(rows.values_list("pk", flat=True))


def test_a_term_is_found_whole_from_its_beginning_and_in_any_spelling(paper: PaperDesk) -> None:
    asked = paper.propose()
    name = paper.trader.username
    for term in (
        str(asked.pk),
        str(asked.pk).upper(),
        asked.pk.hex,
        "BTC",
        "btc-usd",
        name[:4],
        f'"{name}"',
        "btc " + name,
    ):
        assert searched(paper.approver, term) == [asked.pk], term
    for term in (str(asked.pk)[:8], "TC-USD", str(paper.trader.pk), "btc nobody", "%", "_TC"):
        assert searched(paper.approver, term) == [], term


def test_a_term_that_fits_many_people_finds_the_votes_of_all(paper: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    paper.approve(paper.propose(), by=paper.approver)
    paper.approve(paper.propose(instrument="ETH-USD", quantity=Decimal("0.1")), by=paper.approver2)
    votes = set(Vote.objects.values_list("pk", flat=True))
    assert len(votes) == 2
    for named in (1, 2):
        monkeypatch.setattr(lists, "NAMED_MAX", named)
        assert set(searched(paper.approver, "approver", Vote)) == votes
        assert len(searched(paper.approver, paper.approver2.username, Vote)) == 1
        assert searched(paper.approver, "nobody", Vote) == []


def test_an_id_of_another_table_is_asked_for_where_it_is_repeated(paper: PaperDesk) -> None:
    asked = paper.propose()
    paper.approve(asked)
    with CaptureQueriesContext(connection) as queries:
        assert len(searched(paper.approver, str(asked.pk), Vote)) == 1
    assert not [query["sql"] for query in queries.captured_queries if 'FROM "trades_proposal"' in query["sql"]]


def test_rows_of_another_desk_are_found_by_nobody_here(paper: PaperDesk, outsider: User) -> None:
    asked = paper.propose()
    assert searched(outsider, str(asked.pk)) == []


def test_an_id_is_asked_for_as_an_id(paper: PaperDesk) -> None:
    with CaptureQueriesContext(connection) as asked:
        searched(paper.approver, str(paper.desk.pk))
    text = asked.captured_queries[-1]["sql"].upper()
    assert "LIKE" not in text and "UPPER(" not in text


def test_counting_stops(paper: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        paper.propose()
    rows = Proposal.objects.order_by("-created_at")
    assert (BoundedPaginator(rows, 50).count, BoundedPaginator(rows, 50).is_cut) == (3, False)
    monkeypatch.setattr(lists, "COUNTED_MAX", 2)
    assert (BoundedPaginator(rows, 50).count, BoundedPaginator(rows, 50).is_cut) == (2, True)


def test_a_cut_list_says_so(paper: PaperDesk, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    paper.propose(), paper.propose()
    client.force_login(paper.approver)
    said = "The first 2 proposals: search or filter to see others"
    assert said not in client.get("/admin/trades/proposal/").content.decode()
    monkeypatch.setattr(lists, "COUNTED_MAX", 2)
    assert said in client.get("/admin/trades/proposal/").content.decode()


def test_a_filter_offers_what_rows_point_to_and_nothing_else(paper: PaperDesk, now: Any) -> None:
    paper.propose()
    connect_paper(paper.desk, paper.simulator, "second", now)
    request = RequestFactory().get("/")
    request.user = paper.approver
    page: Any = admin.site._registry[Proposal]
    spec = SeenRelatedFilter(Proposal._meta.get_field("connection"), request, {}, Proposal, page, "connection")
    assert [text for _pk, text in spec.lookup_choices] == [str(Connection.objects.get(pk=paper.connection.pk))]


def test_every_ledger_is_counted_and_searched_so() -> None:
    ledgers = [page for page in admin.site._registry.values() if isinstance(page, ReadOnlyAdmin)]
    assert len(ledgers) > 20
    for page in ledgers:
        assert issubclass(page.paginator, BoundedPaginator), page
        for spec in page.search_fields:
            assert lists.field_of(page.model, str(spec).lstrip("=^")).concrete, (page, spec)


def test_what_a_column_may_hold_is_offered_without_reading_it(paper: PaperDesk, client: Any) -> None:
    buy = paper.propose()
    client.force_login(paper.approver)
    with CaptureQueriesContext(connection) as asked:
        page = client.get("/admin/trades/proposal/?side__exact=BUY").content.decode()
    assert not [query["sql"] for query in asked.captured_queries if 'DISTINCT "trades_proposal"."side"' in query["sql"]]
    assert str(buy.pk) in page and "?side__exact=SELL" in page and "?order_type__exact=STOP_LIMIT" in page
    assert str(buy.pk) not in client.get("/admin/trades/proposal/?side__exact=SELL").content.decode()
