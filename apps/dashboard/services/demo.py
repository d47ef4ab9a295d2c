"""Making the demo desk. Everything goes through the services that people and programs use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from apps.accounts.services import api_keys, second_person
from apps.accounts.services.people import actor_of
from apps.accounts.types import Principal
from apps.common.errors import Misconfigured
from apps.common.tasks import publish
from apps.connectors.selectors import connection_by_slug
from apps.connectors.services import connections, sync
from apps.dashboard.services import demo_past, demo_people, demo_trades
from apps.dashboard.services.demo_people import SEEDING, DemoPeople
from apps.dashboard.services.demo_policy import DEMO_RULES
from apps.policies.selectors import active_version
from apps.policies.services import versions

if TYPE_CHECKING:
    from apps.connectors.models import Connection

CONNECTIONS: Final = (("coinbase-paper", "Coinbase (paper)"), ("coinbase-paper-2", "Coinbase, second book (paper)"))
POLICY_SLUG: Final = "demo-policy"
STEPS: Final = 5


@dataclass(frozen=True, kw_only=True)
class SimulatedVenue:
    """Where the simulator listens, and the key it takes."""

    url: str
    key_name: str
    secret: str = field(repr=False)


def seed(
    *,
    venue: SimulatedVenue,
    url: str,
    file: Path,
    clock: demo_trades.Clock,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> list[str]:
    """Make or refresh the desk and write `file`. Returns what could not be asked for, in words; usually nothing.

    `clock` gives the time at each step: the venue is asked in between. `report` is told after each. The charts' past is
    fetched once the desk runs.
    Raises Misconfigured where the desk was made for a simulator at another address.
    """
    now = clock()
    earlier = demo_people.read_demo_file(file)
    passwords = demo_people.new_passwords(earlier)
    known_key = str(earlier.get("api_key") or "")
    # Before the people: a start that is killed half-way must not leave passwords that nobody knows.
    demo_people.write_demo_file(file, url=url, passwords=passwords, api_key=known_key)
    team = demo_people.seat_people(passwords, now=now)
    books = [_connect(team, venue, slug, name, now) for slug, name in CONNECTIONS]
    if active_version(books[0].pk) is None:
        _activate_policy(team, now)
    principal, secret = _program(team, books, known_key, now)
    demo_people.write_demo_file(file, url=url, passwords=passwords, api_key=secret)
    report(1, STEPS)
    for book in books:
        sync.refresh_instruments(book, now=clock())
        sync.refresh_balances(book, now=clock())
        sync.refresh_fees(book, now=clock())
    report(2, STEPS)
    # Not here: a start waits for nothing that nobody needs yet.
    publish("dashboard.fill_demo_candles", connection=books[0].slug)
    demo_trades.begin(books[0], principal, team.users["approver"], clock=clock)
    report(3, STEPS)
    demo_past.remember(books[0], team.users["approver2"], clock=clock)
    report(4, STEPS)
    troubles = demo_trades.top_up(books[0], principal, clock=clock)
    report(STEPS, STEPS)
    return troubles


def _connect(team: DemoPeople, venue: SimulatedVenue, slug: str, name: str, now: datetime) -> "Connection":
    found = connection_by_slug(slug)
    if found is None:
        draft = connections.Draft(
            slug=slug,
            name=name,
            desk=team.desk,
            environment="paper",
            api_base=venue.url,
            key_name=venue.key_name,
            secret=venue.secret,
        )
        return connections.create(draft=draft, actor=actor_of(team.users["operator"]), now=now)
    if found.api_base != venue.url:
        raise Misconfigured(
            "SIMULATOR_MOVED",
            f"The demo desk trades with a simulator at {found.api_base}, and that port is taken by another program.",
            fix="Free the port, or start with another AIKA_DATA_DIR.",
        )
    if found.key_name != venue.key_name:
        connections.replace_secret(
            connection=found, key_name=venue.key_name, secret=venue.secret, actor=SEEDING, now=now
        )
        found.refresh_from_db()
    return found


def _activate_policy(team: DemoPeople, now: datetime) -> None:
    author = team.users["approver2"]
    made = versions.create_set(slug=POLICY_SLUG, name="Demo policy", desk_id=team.desk.pk, author=author, now=now)
    draft = versions.create_draft(
        policy_set_id=made.pk, author=author, now=now, rules=DEMO_RULES, note="The limits of the demo desk."
    )
    request = versions.request_activation(version_id=draft.pk, requester=author, now=now)
    second_person.second(request_id=request.pk, seconder=team.users["operator"], now=now)
    versions.activate(version_id=draft.pk, person=author, now=now)


def _program(team: DemoPeople, books: "list[Connection]", secret: str, now: datetime) -> tuple[Principal, str]:
    """The trader's program: its key from an earlier run while that still works, else a new one."""
    trader = team.users["trader"]
    if secret:
        key = api_keys.authenticate(header=f"Bearer {secret}", address="127.0.0.1", now=now)
    else:
        key, secret = demo_people.trader_key(trader, now=now)
        for book in books:
            connections.grant(connection=book, api_key=key, actor=SEEDING, now=now)
    return Principal(user_id=trader.pk, api_key_id=key.pk, name=key.name), secret
