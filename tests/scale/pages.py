"""Every page and list that is opened: who opens it, and where it is."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.contrib import admin
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.common.api.queries import Place
from apps.quotes.services import quotes
from tests.factories.accounts import UserFactory
from tests.factories.desk import BTC
from tests.scale.stage import Stage

# What is typed into the search of a list: an id that nothing has, the beginning of an instrument, and of nothing.
NO_ID: Final = "00000000-0000-4000-8000-000000000000"
# What a column may hold, unlike an id or a time of this run.
VALUE: Final = re.compile("[A-Za-z_]+|[01]")
SEARCHES: Final = {"an id": NO_ID, "BTC": "BTC", "nothing": "zzzz"}


@dataclass(frozen=True)
class Page:
    """One page: its name, address and client, whether it is timed, whether its price must not be old, and whether a
    process learns something at its first opening that later ones do not cost."""

    name: str
    url: str
    client: Client
    headers: Mapping[str, str]
    timed: bool = True
    priced: bool = False
    learnt: bool = False

    def get(self) -> HttpResponse:
        """Ask for it. Raises AssertionError where it is not answered with 200."""
        answer: Any = self.client.get(self.url, headers=dict(self.headers))
        assert answer.status_code == 200, f"{self.name}: {answer.status_code} {answer.content[:300]!r}"
        return answer


def pages(stage: Stage) -> list[Page]:
    """All of them, each for a person it is open to: what has a place of its own, and each list with each search."""
    approver = _signed_in(stage.desk.approver)
    chief = _signed_in(
        User.objects.filter(username="scale").first()
        or UserFactory(username="scale", is_superuser=True, desk=stage.desk.desk)
    )
    program = {"Authorization": stage.desk.authorization}
    return [
        *(Page(name, url, approver, {}, priced=True, learnt=True) for name, url in _console(stage).items()),
        *_changelists(approver, chief),
        *(Page(f"api {name}", f"/api/v1{url}", Client(), program, learnt=True) for name, url in _lists(stage).items()),
        Page("api /approvals", "/api/v1/approvals", approver, {}, learnt=True),
    ]


def variants(stage: Stage, opened: Sequence[Page]) -> list[Page]:
    """Each of these pages with each choice of each of its filters; and for a person of the desk that has hardly any
    rows beside the one that has nearly all. Not timed: there are many of them."""
    neighbour = _signed_in(stage.small.approver)
    own = set(_console(stage)) - set(_shared())
    return [
        *(
            replace(page, name=f"{page.name} | {said}", url=f"{page.url}{query}", timed=False)
            for page in opened
            if "?" not in page.url
            for said, query in _filters(page.client, page.url).items()
        ),
        *(
            replace(page, name=f"{page.name} (small desk)", client=neighbour, timed=False, priced=False)
            for page in opened
            if page.client is opened[0].client and page.name not in own
        ),
    ]


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


def _shared() -> dict[str, str]:
    """What every person may open, whatever there is."""
    return {
        "desk": reverse("admin:index"),
        "watch": reverse("admin:watch"),
        "look back": reverse("admin:look_back"),
        "search": reverse("admin:search") + "?q=BTC",
        "search an id": reverse("admin:search") + f"?q={NO_ID}",
        "search the head of an id": reverse("admin:search") + f"?q={NO_ID[:13]}",
        "search nothing": reverse("admin:search") + "?q=zzzz",
        "status": reverse("admin:status"),
        "dashboard": reverse("home"),
        "dashboard parts": reverse("watch_parts"),
    }


def _console(stage: Stage) -> dict[str, str]:
    proposal = {"args": [stage.waiting]}
    return _shared() | {
        "decision": reverse("decide:page", **proposal),
        "decision live": reverse("decide:live", **proposal),
        "story": reverse("decide:story", **proposal),
        "story of a fill": reverse("decide:story", args=[stage.filled]),
    }


def _changelists(approver: Client, chief: Client) -> list[Page]:
    """Each list of the registry as it opens, and with each search."""
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
    return found


def _filters(client: Client, url: str) -> dict[str, str]:
    """The query of every choice of each filter that the list shows, by a name that is the same in every run."""
    changelist = getattr(client.get(url), "context_data", {}).get("cl")
    if changelist is None:
        return {}
    found = {}
    for spec in changelist.filter_specs:
        for number, choice in enumerate(list(spec.choices(changelist))[1:], start=1):
            said, _, value = choice["query_string"].strip("?").partition("=")
            found[f"{said} {value if VALUE.fullmatch(value) else number}"] = choice["query_string"]
    return found


def _far_back() -> Place:
    """A year of proposals lies before this page."""
    return Place(at=timezone.now() - timedelta(days=365), id=UUID(NO_ID))


def _lists(stage: Stage) -> dict[str, str]:
    connection = stage.desk.connection.slug
    return {
        "/trades/proposals": "/trades/proposals?limit=200",
        "/trades/proposals far back": "/trades/proposals?cursor=" + _far_back().cursor(),
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
