"""Distinctive secrets are put through every path; then everything that is kept, shown or sent is searched for them."""

import io
import json
import logging
from base64 import b64encode
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from celery import current_app
from django.conf import settings
from django.core import mail
from django.core.cache import cache
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.module_loading import import_string

from apps.accounts.services import people
from apps.audit.models import Event
from apps.audit.services import events
from apps.common.redaction import redacted_report
from apps.policies.services import trading_state
from tests.factories.accounts import issue_key
from tests.factories.connectors import ConnectionFactory
from tests.factories.desk import PaperDesk, paper_desk
from tests.factories.oauth import OAuthSimulator
from tests.scenarios import canary_places as places
from tests.scenarios.canary_forms import Canary, encodings, found
from tests.scenarios.canary_paths import PATHS, Canaries, mails
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.django_db(transaction=True)

KINDS = {
    *("ES256 key", "Ed25519 key", "malformed key", "API key", "rotated API key", "key of the page", "wrong password"),
    *("password", "TOTP seed", "recovery code 0", "recovery code 1", "recovery code 2", "hook's secret in the body"),
    *("hook's secret that signs", "alarm webhook's secret", "OAuth client secret", "PKCE verifier", "OAuth state"),
    *("OAuth code", "OAuth access token 1", "OAuth refresh token 1", "OAuth access token 2", "OAuth refresh token 2"),
    *("session of an operator", "session of a person", "session with a second factor", "session at a socket"),
    *("key at a socket", "TOKEN_ENCRYPTION_KEY", "second TOKEN_ENCRYPTION_KEY", "SECRET_KEY", "METRICS_TOKEN"),
    *("OIDC client secret", "OIDC access token", "OIDC code", "OIDC identity token"),
    *("Robinhood key", "hook's secret after another", "key of a reset link"),
    *("QDRANT_API_KEY", "EMAIL_HOST_PASSWORD", "password of the database"),
}
"""Every kind of secret there is here, by what it is; also those that are new with a path."""
PLACES = {
    "rows",
    "database files",
    "dumps",
    "sessions",
    "log",
    "cache",
    "broker",
    "pages",
    "frames",
    "mails",
    "reports",
}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the handlers of the settings would write, everything down to DEBUG of our own loggers."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, wanted = logging.StreamHandler(stream), settings.LOGGING["formatters"]["line"]
    handler.setFormatter(import_string(wanted["()"])(wanted["format"], style=wanted["style"]))
    as_json = logging.StreamHandler(stream)
    as_json.setFormatter(import_string(settings.LOGGING["formatters"]["json"]["()"])())
    level = root.level
    root.addHandler(handler)
    root.addHandler(as_json)
    root.setLevel(logging.INFO)
    logging.getLogger("apps").setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.removeHandler(as_json)
    root.setLevel(level)
    logging.getLogger("apps").setLevel(logging.NOTSET)


class House:
    """An installation as it stands on a disk, and everything there is to search in it."""

    def __init__(self, folder: Path, canaries: Canaries, sockets: places.Sockets) -> None:
        self.folder, self.canaries, self.sockets = folder, canaries, sockets

    def places(self) -> dict[str, bytes]:
        """All of it, by what it is."""
        return {
            "rows": places.rows_of_everything(),
            "database files": places.database_files(self.folder),
            "dumps": places.dumps(self.folder),
            "sessions": places.sessions(),
            "log": (self.canaries.log.getvalue() + self.sockets.server.said).encode(),
            "cache": places.cached(),
            "broker": places.broker(self.folder / "broker"),
            "pages": "\n".join(self.canaries.pages).encode(),
            "frames": b"\n".join(self.sockets.frames),
            "mails": mails(),
            "reports": json.dumps(self.canaries.reports).encode(),
        }

    def found(self) -> set[tuple[str, str]]:
        """(secret, place) of each that can be read somewhere."""
        here = self.places()
        assert set(here) == PLACES and all(here.values()), [name for name, content in here.items() if not content]
        return found(self.canaries.secrets.values(), here)


@pytest.fixture
def house(
    tmp_path: Path, transactional_db: None, simulator: SimulatorProcess, oauth_venue: OAuthSimulator, log: io.StringIO
) -> Iterator[House]:
    cache.clear()
    with places.database_on_disk(tmp_path), places.broker_on_disk(tmp_path / "broker"):
        paper = paper_desk(simulator)
        sockets = places.Sockets(tmp_path)
        try:
            yield House(tmp_path, Canaries(paper, oauth_venue, log), sockets)
        finally:
            sockets.stop()


def listen(house: House) -> None:
    """A browser and a program at both sockets; the program also says what it should not."""
    paper, keep = house.canaries.paper, house.canaries.keep
    house.canaries.browser(paper.trader, "session at a socket")
    cookie = house.canaries.secrets["session at a socket"].text
    _, header = issue_key(owner=paper.trader, now=timezone.now(), name="socket")
    keep("key at a socket", header[-64:])
    for path in ("/ws/desk", "/ws/quotes", f"/ws/quotes?key={header[-64:]}&session={cookie}"):
        house.sockets.listen(path, cookie=cookie)
        house.sockets.listen(path, authorization=header)
    house.sockets.listen("/ws/desk", authorization=header[:-1] + "x")


def everything_happens(house: House) -> PaperDesk:
    """Every path, an order, and the news of it at the sockets."""
    listen(house)
    for path in PATHS:
        path(house.canaries)
    paper = house.canaries.paper
    proposal = paper.propose(quantity=Decimal("0.02"))
    paper.approve(proposal)
    house.sockets.wait_for(str(proposal.pk).encode())
    return paper


def test_no_secret_can_be_read_anywhere_and_a_planted_one_is_found(house: House) -> None:
    paper = everything_happens(house)
    assert b"trades.execute_trade" in places.broker(house.folder / "broker")
    assert set(house.canaries.secrets) == KINDS
    assert house.found() == set()

    plant(house, paper)
    assert house.found() == {(name, place) for name in KINDS for place in PLACES}


def plant(house: House, paper: PaperDesk) -> None:
    """All of them in each place, as a careless line of code might leave them there."""
    canaries, now = house.canaries, timezone.now()
    texts = [one.text for one in canaries.secrets.values()]
    # As hex: the nets under our own doors, the audit log's too, would take most of them out as they are.
    leak = " ".join(text.encode().hex() for text in texts)
    logging.getLogger("planted").warning("These are %s.", leak)
    cache.set("planted", leak)
    current_app.send_task("trades.execute_trade", kwargs={"order_id": leak}, queue="execution")
    mail.send_mail("Planted", leak, None, ["somebody@example.com"])
    with transaction.atomic():
        events.record(
            stream="planted", kind="proposal.planted", actor=people.actor_of(paper.risk), subject=str(uuid4()),
            payload={"said": leak}, now=now,
        )  # fmt: skip
    canaries.reports.append(redacted_report({"message": leak}))
    client = canaries.browser(paper.trader)
    session = client.session
    session["planted"] = leak
    session.save()
    for at, text in enumerate(texts):
        piece = text.splitlines()[1] if "\n" in text else text
        named = ConnectionFactory(slug=f"planted-{at}", name=piece, desk=paper.desk)
        trading_state.halt(connection_id=named.pk, actor=people.actor_of(paper.risk), reason="planted", now=now)
    canaries.ask(canaries.browser(canaries.operator), "get", reverse("admin:connectors_connection_changelist"))
    house.sockets.listen("/ws/desk", cookie=canaries.secrets["session at a socket"].text)
    house.sockets.wait_for(piece.encode())
    assert Event.objects.filter(stream="planted").exists()


@pytest.mark.parametrize(
    "text", ['a "canary" \\ of\tletters & signs', "-----BEGIN X-----\n" + "Zm9v" * 16 + "\nYg==\n"]
)
def test_a_secret_is_known_in_every_encoding_and_in_the_middle_of_a_text(text: str) -> None:
    one = Canary("one", text)
    for form in encodings(text.encode()):
        assert one.is_in(b"before " + form + b" after")
    for before in range(3):
        assert one.is_in(b64encode(b"x" * before + text.encode() + b" and more"))
    assert not one.is_in(text[:-4].encode()[:60])


def test_eight_digits_are_known_alone_and_not_within_a_longer_number() -> None:
    one = Canary("one", "31415926")
    assert one.is_in(b"the code 31415926.") and not one.is_in(b"a314159260b")
