"""What the pages of hooks and a call cost the database: the same with ten times the rows, as is written down."""

import json
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.quotes.services import quotes
from tests.factories.accounts import UserFactory
from tests.factories.desk import BTC, PaperDesk
from tests.factories.trading import change_policy, rules_with
from tests.hooks.conftest import Sender, make_sender

pytestmark = pytest.mark.django_db
BASELINE = Path(__file__).with_name("query_counts.json")


def count(client: Client, urls: dict[str, str], desk: PaperDesk) -> dict[str, int]:
    counts = {}
    for name, url in urls.items():
        client.get(url)  # what a process learns once is not what a page costs
        quotes.refresh(desk.connection, [BTC])  # an old price is another bar
        cache.delete("desk:status")  # kept for a moment: whether that moment is over must not matter
        with CaptureQueriesContext(database) as captured:
            assert client.get(url).status_code == 200
        counts[name] = len(captured)
    return counts


def test_ten_times_the_rows_cost_the_same(paper: PaperDesk, signing: Sender) -> None:
    change_policy(paper, rules_with(duplicate=None))
    client = Client()
    client.force_login(UserFactory(username="otto", role="operator", desk=paper.desk))
    urls = {
        "hooks": reverse("admin:trades_hook_changelist"),
        "hook": reverse("admin:trades_hook_change", args=[signing.hook.pk]),
        "hook_add": reverse("admin:trades_hook_add"),
        "hook_calls": reverse("admin:trades_hookcall_changelist"),
    }
    signing.send()
    few = count(client, urls, paper)
    for number in range(9):
        make_sender(paper)
        signing.send(signing.body(alert=str(number)))
        signing.send(signature="nonsense")
    assert count(client, urls, paper) == few
    signing.send(signing.body(alert="before"))  # prices and balances that have grown old are asked for again
    with CaptureQueriesContext(database) as captured:
        assert signing.send(signing.body(alert="last"))[0] == 201
    costs = few | {"POST hooks/{name}": len(captured)}
    written = json.loads(BASELINE.read_text(encoding="utf-8"))[database.vendor]
    assert {name: number for name, number in costs.items() if number > written[name]} == {}
