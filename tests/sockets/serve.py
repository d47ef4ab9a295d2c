"""`python -m tests.sockets.serve --port P [--seed]`: a real server for sockets, told over stdin what else to do.

Each line of stdin is a JSON object {"do": NAME, ...}; its answer is one line of stdout.
"""

import json
import logging
import os
import sys
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.sockets.settings"

import django
import uvicorn

MANY = 260


def answer(value: Any) -> None:
    """One line for the test."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def seed() -> None:
    """People, two desks, connections and instruments."""
    from django.core.management import call_command

    from tests.factories.accounts import DeskFactory, UserFactory
    from tests.factories.connectors import ConnectionFactory, InstrumentFactory

    call_command("migrate", verbosity=0)
    call_command("sync_roles", verbosity=0)
    main, other = DeskFactory(slug="main"), DeskFactory(slug="other")
    UserFactory(username="trader", role="trader", desk=main)
    UserFactory(username="colleague", role="auditor", desk=main, is_staff=False)
    UserFactory(username="stranger", role="trader", desk=other)
    UserFactory(username="nobody", desk=main)
    paper = ConnectionFactory(slug="paper", name="Paper", desk=main)
    elsewhere = ConnectionFactory(slug="elsewhere", name="Elsewhere", desk=other)
    for connection in (paper, elsewhere):
        for code in ("BTC-USD", "ETH-USD"):
            InstrumentFactory(connection=connection, code=code)
    for number in range(MANY):
        InstrumentFactory(connection=paper, code=f"C{number}-USD")


class Acts:
    """What a test may have done inside the server, through the doors of the services."""

    def cookie(self, username: str) -> str:
        """Sign this person in; the session's key."""
        from django.test import Client

        from apps.accounts.models import User

        client = Client()
        client.force_login(User.objects.get(username=username), "allauth.account.auth_backends.AuthenticationBackend")
        return str(client.cookies["sessionid"].value)

    def key(self, username: str, scopes: list[str], on: list[str], seconds: float = 3600) -> dict[str, str]:
        """A key of this person that may use these connections for so long."""
        from django.utils import timezone

        from apps.accounts.models import User
        from apps.accounts.services import api_keys, people
        from apps.connectors.models import Connection, ConnectionGrant

        now, owner = timezone.now(), User.objects.get(username=username)
        key, secret = api_keys.issue(
            owner=owner, name="bot", scopes=scopes, expires_at=now + timedelta(seconds=seconds),
            actor=people.actor_of(owner), now=now - timedelta(hours=1),
        )  # fmt: skip
        for slug in on:
            ConnectionGrant.objects.create(connection=Connection.objects.get(slug=slug), api_key=key, granted_at=now)
        return {"id": str(key.pk), "header": f"Bearer {secret}"}

    def revoke(self, key: str) -> None:
        """End a key."""
        from django.utils import timezone

        from apps.accounts.services import api_keys
        from apps.audit.types import Actor

        api_keys.revoke(key_id=key, actor=Actor.system("test"), now=timezone.now())  # type: ignore[arg-type]

    def deactivate(self, username: str, active: bool = False) -> None:
        """A person leaves, or is back."""
        from apps.accounts.models import User

        User.objects.filter(username=username).update(is_active=active)

    def sign_out(self, cookie: str) -> None:
        """As the page does."""
        from apps.accounts.session_store import SessionStore

        SessionStore(cookie).flush()

    def sockets_told(self) -> int:
        """How many are open, as `/metrics` of another process would say."""
        from django.utils import timezone

        from apps.common import tallies

        return tallies.held("sockets", at_s=int(timezone.now().timestamp()))

    def ungrant(self, key: str, slug: str) -> None:
        """A key may no longer use a connection."""
        from apps.connectors.models import ConnectionGrant

        ConnectionGrant.objects.filter(api_key=key, connection__slug=slug).delete()

    def quote(self, code: str, price: str, age_s: float = 0) -> None:
        """The cache has a quote."""
        from django.utils import timezone

        from apps.connectors.models import Connection
        from apps.connectors.types import Quote
        from apps.quotes.services import quotes

        at, number = timezone.now() - timedelta(seconds=age_s), Decimal(price)
        one = Decimal(1)
        for connection in Connection.objects.all():
            quotes.keep(connection.pk, [Quote(code, number, number + 1, one, one, at, at)])

    def ticks_soon(self, **values: Any) -> None:
        """As `ticks`, while the test does something else."""
        threading.Thread(target=lambda: self.ticks(**values), daemon=True).start()

    def ticks(self, codes: list[str], times: int, pause_s: float = 0, first: int = 1, age_s: float = 0) -> None:
        """Send prices first, first + 1, ... of these instruments."""
        import time

        from django.utils import timezone

        from apps.connectors.models import Connection
        from apps.connectors.selectors import market_of
        from apps.quotes.services import fan_out
        from apps.quotes.types import Tick

        market, one = market_of(Connection.objects.get(slug="paper")), Decimal(1)
        for number in range(first, first + times):
            at, price = timezone.now() - timedelta(seconds=age_s), Decimal(number)
            fan_out.send(
                [
                    Tick(
                        market=market, instrument=code, bid=price, ask=price + 1, bid_quantity=one, ask_quantity=one,
                        last=price, change_24h=Decimal("-1.5"), occurred_at=at, received_at=at,
                    )
                    for code in codes
                ]
            )  # fmt: skip
            if pause_s:
                time.sleep(pause_s)

    def alarm(self, subject: str) -> int:
        """Raise an alarm; its id."""
        from django.utils import timezone

        from apps.audit.services import alarms

        return alarms.raise_alarm(code="BEAT_SILENT", subject=subject, message="A test.", now=timezone.now()).pk

    def compared(self, slug: str) -> None:
        """On record: this connection was compared with its venue."""
        from django.db import transaction
        from django.utils import timezone

        from apps.audit.services import events
        from apps.audit.types import Actor
        from apps.connectors.models import Connection

        about = f"connection:{Connection.objects.get(slug=slug).pk}"
        with transaction.atomic():
            events.record(
                stream=about, kind="reconciliation.ended", actor=Actor.system("test"), subject=about, payload={},
                now=timezone.now(),
            )  # fmt: skip

    def halt(self, slug: str) -> None:
        """Halt one connection."""
        from django.utils import timezone

        from apps.accounts.models import User
        from apps.accounts.types import Principal
        from apps.connectors.models import Connection
        from apps.policies.services import trading_state

        person = User.objects.filter(is_superuser=False).first()
        assert person is not None
        trading_state.halt(
            connection_id=Connection.objects.get(slug=slug).pk, reason="a test",
            actor=Principal(user_id=person.pk, api_key_id=None, name="x").actor(), now=timezone.now(),
        )  # fmt: skip

    def sockets(self) -> dict[str, int]:
        """How many the hub serves, and whether anything of it runs."""
        from apps.accounts.sockets import doorkeeper
        from apps.quotes.hub import Hub

        hub = Hub.running
        return {
            "inside": len(doorkeeper._inside),
            "readers": len(hub._readers) if hub else 0,
            "tasks": len(hub._tasks) if hub else 0,
        }


def obey() -> None:
    """Every line of stdin, until it ends."""
    from django.db import close_old_connections

    acts = Acts()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            done = getattr(acts, asked.pop("do"))(**asked)
        except Exception as error:  # noqa: BLE001  the test is told
            answer({"error": f"{type(error).__name__}: {error}"})
        else:
            answer({"done": done})
        finally:
            close_old_connections()


def main(arguments: list[str]) -> None:
    """Serve on a port of this machine."""
    django.setup()
    logging.getLogger("uvicorn").setLevel(logging.INFO)
    if "--seed" in arguments:
        seed()
    from config.asgi import application
    from config.sockets import OPTIONS, SocketProtocol

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            answer({"done": "up"})

    threading.Thread(target=obey, daemon=True).start()
    port = int(arguments[arguments.index("--port") + 1])
    Server(
        uvicorn.Config(
            application, port=port, lifespan="off", ws=SocketProtocol, log_config=None, access_log=False,
            timeout_graceful_shutdown=1, **OPTIONS,
        )
    ).run()  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
