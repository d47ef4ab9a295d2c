"""`python -m tests.benchmarks.sockets_server SIDE PORT`: a server that `fan_out` compares, until it is ended."""

import os
import sys
import threading
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.sockets.settings")

import django
import uvicorn

PEOPLE = 40


def seed() -> list[str]:
    """People enough for every socket, and a key of each; the headers."""
    from django.core.management import call_command
    from django.utils import timezone

    from apps.connectors.models import ConnectionGrant
    from tests.benchmarks.sockets_ticks import CODES
    from tests.factories.accounts import DeskFactory, UserFactory, issue_key
    from tests.factories.connectors import ConnectionFactory, InstrumentFactory

    call_command("migrate", verbosity=0)
    call_command("sync_roles", verbosity=0)
    desk, now, headers = DeskFactory(), timezone.now(), []
    connection = ConnectionFactory(slug="paper", desk=desk)
    for code in CODES:
        InstrumentFactory(connection=connection, code=code)
    for _ in range(PEOPLE):
        key, header = issue_key(owner=UserFactory(role="trader", desk=desk), now=now - timedelta(hours=1))
        ConnectionGrant.objects.create(connection=connection, api_key=key, granted_at=now)
        headers.append(header)
    return headers


def send_ticks() -> None:
    """Through the door the feed uses; `last` is the moment it was sent."""
    from django.utils import timezone

    from apps.connectors.models import Connection
    from apps.connectors.selectors import market_of
    from apps.quotes.services import fan_out
    from apps.quotes.types import Tick
    from tests.benchmarks.sockets_ticks import make_ticks

    market, one = market_of(Connection.objects.get(slug="paper")), Decimal(1)

    def tick(code: str, number: int) -> None:
        now, bid = timezone.now(), Decimal(number)
        fan_out.send(
            [
                Tick(
                    market=market, instrument=code, bid=bid, ask=bid + 1, bid_quantity=one, ask_quantity=one,
                    last=Decimal(repr(time.time())), change_24h=Decimal("-1.5"), occurred_at=now, received_at=now,
                )
            ]
        )  # fmt: skip

    make_ticks(tick)


class Server(uvicorn.Server):
    """Says when it listens."""

    async def startup(self, sockets: Any = None) -> None:
        """Start, then say so."""
        await super().startup(sockets=sockets)
        sys.stdout.write("ready\n")
        sys.stdout.flush()


def main(side: str, port: int) -> None:
    """Aika's own application, or one of the two it is measured against."""
    django.setup()
    from config.sockets import OPTIONS, SocketProtocol

    application: Any
    if side == "aika":
        for header in seed():
            sys.stdout.write(header + "\n")
        from config.asgi import application

        threading.Thread(target=send_ticks, daemon=True).start()
    else:
        from tests.benchmarks.sockets_asgi import Layered, Raw

        application = Raw() if side == "raw" else Layered.as_asgi()
    config = uvicorn.Config(
        application, port=port, lifespan="off", ws=SocketProtocol, log_config=None, access_log=False,
        log_level="error", backlog=1024, timeout_graceful_shutdown=1, **OPTIONS,
    )  # fmt: skip
    Server(config).run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
