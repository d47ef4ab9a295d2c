"""Every page and list that is opened: who opens it, and where it is."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.contrib import admin
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.common.api.queries import Place
from apps.quotes.services import quotes
from apps.trades.models import Proposal
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
    """One page: its name, address (another in each database for the last page of a list) and client, whether it is
    timed, whether its price must not be old, and whether a process learns something at its first opening that later
    ones do not cost."""

    name: str
    url: "str | FarBack"
    client: Client
    headers: Mapping[str, str]
    timed: bool = True
    priced: bool = False
    learnt: bool = False

    def get(self) -> HttpResponse:
        """Ask for it. Raises AssertionError where it is not answered with 200."""
        answer: Any = self.client.get(str(self.url), headers=dict(self.headers))
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
        Page("api /trades/proposals far back", FarBack(), Client(), program, learnt=True),
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
            if "?" not in str(page.url)
            for said, query in _filters(page.client, str(page.url)).items()
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
        if isinstance(page.url, FarBack):
            page.url.look()

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


class FarBack:
    """The last page of the proposals, whole, however many lie before it: a year of them, or a week. One after the last
    would answer with nothing where they are few."""

    ROWS: Final = 60

    def __init__(self) -> None:
        self.look()

    def look(self) -> None:
        """Find it in the database that is asked now; before the newest where there are fewer."""
        *_, first = Proposal.objects.order_by("created_at", "pk")[: self.ROWS + 1]
        self.place = Place(at=first.created_at, id=first.pk)

    def __str__(self) -> str:
        return f"/api/v1/trades/proposals?cursor={self.place.cursor()}"


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
