"""Every page and list that is opened: who opens it, and where it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import admin
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.quotes.services import quotes
from tests.factories.accounts import UserFactory
from tests.factories.desk import BTC
from tests.scale.stage import Stage

# What is typed into the search of a list: an id that nothing has, the beginning of an instrument, and of nothing.
NO_ID: Final = "00000000-0000-4000-8000-000000000000"
SEARCHES: Final = {"an id": NO_ID, "BTC": "BTC", "nothing": "zzzz"}


@dataclass(frozen=True)
class Page:
    """One page: its name, address and client, whether it is timed, and whether its price must not be old."""

    name: str
    url: str
    client: Client
    headers: Mapping[str, str]
    timed: bool = True
    priced: bool = False

    def get(self) -> HttpResponse:
        """Ask for it. Raises AssertionError where it is not answered with 200."""
        answer: Any = self.client.get(self.url, headers=dict(self.headers))
        assert answer.status_code == 200, f"{self.name}: {answer.status_code} {answer.content[:300]!r}"
        return answer


def pages(stage: Stage) -> list[Page]:
    """All of them, each for a person it is open to."""
    approver = _signed_in(stage.desk.approver)
    chief = _signed_in(
        User.objects.filter(username="scale").first()
        or UserFactory(username="scale", is_superuser=True, desk=stage.desk.desk)
    )
    found = [Page(name, url, approver, {}, priced=True) for name, url in _console(stage).items()]
    found += _changelists(approver, chief)
    program = {"Authorization": stage.desk.authorization}
    found += [Page(f"api {name}", f"/api/v1{url}", Client(), program) for name, url in _lists(stage).items()]
    return [*found, Page("api /approvals", "/api/v1/approvals", approver, {})]


def refresh(stage: Stage, page: Page) -> Callable[[], None]:
    """Before a page is asked for: nothing remembered of the status line, and a price that is not old where it shows."""

    def fresh() -> None:
        cache.delete("desk:status")
        if page.priced:
            quotes.refresh(stage.desk.connection, [BTC])

    return fresh


def _signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def _console(stage: Stage) -> dict[str, str]:
    proposal = {"args": [stage.waiting]}
    return {
        "desk": reverse("admin:index"),
        "watch": reverse("admin:watch"),
        "look back": reverse("admin:look_back"),
        "search": reverse("admin:search") + "?q=BTC",
        "search an id": reverse("admin:search") + f"?q={NO_ID}",
        "search nothing": reverse("admin:search") + "?q=zzzz",
        "status": reverse("admin:status"),
        "dashboard": reverse("home"),
        "dashboard parts": reverse("watch_parts"),
        "decision": reverse("decide:page", **proposal),
        "decision live": reverse("decide:live", **proposal),
        "story": reverse("decide:story", **proposal),
        "story of a fill": reverse("decide:story", args=[stage.filled]),
    }


def _changelists(approver: Client, chief: Client) -> list[Page]:
    """Each list of the registry as it opens, with each search, and with the first choice of each filter."""
    found = []
    for model, page in sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label_lower):
        label = model._meta.label_lower
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        client = approver if approver.get(url).status_code == 200 else chief
        if client.get(url).status_code == 302:  # a list of one row leads to it
            continue
        found.append(Page(label, url, client, {}))
        if page.search_fields:
            found += [Page(f"{label} ? {said}", f"{url}?q={term}", client, {}) for said, term in SEARCHES.items()]
        found += [
            Page(f"{label} | {query.strip('?').partition('=')[0]}", f"{url}{query}", client, {}, timed=False)
            for query in _filters(client, url)
        ]
    return found


def _filters(client: Client, url: str) -> list[str]:
    """The query of the last choice of each filter that the list shows."""
    changelist = getattr(client.get(url), "context_data", {}).get("cl")
    if changelist is None:
        return []
    choices = [list(spec.choices(changelist)) for spec in changelist.filter_specs]
    return [chosen[-1]["query_string"] for chosen in choices if len(chosen) > 1]


def _lists(stage: Stage) -> dict[str, str]:
    connection = stage.desk.connection.slug
    return {
        "/trades/proposals": "/trades/proposals?limit=200",
        "/trades/proposals denied": "/trades/proposals?state=DENIED",
        "/trades/proposals waiting": "/trades/proposals?state=AWAITING_APPROVAL",
        "/trades/proposals/{id}": f"/trades/proposals/{stage.waiting}",
        "/positions": "/positions",
        "/quotes": f"/quotes?connection={connection}",
        "/candles": f"/candles?connection={connection}&instrument={BTC}&granularity=4h",
        "/connectors": "/connectors",
        "/policies": "/policies",
        "/trading-state": "/trading-state",
    }
