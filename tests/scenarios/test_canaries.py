"""Distinctive secrets are put through every path; then everything that is kept, shown or sent is searched for them."""

import io
import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import redis
from allauth.mfa.models import Authenticator
from celery import current_app
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from django.utils.module_loading import import_string
from kombu.transport import memory

from apps.accounts.models import ApiKey, User
from apps.accounts.second_factor import SecondFactorAdapter
from apps.accounts.services import api_keys, people
from apps.audit.models import Alarm
from apps.audit.services import alarms, notices
from apps.audit.services.webhook import Webhook
from apps.audit.types import Channel
from apps.connectors.models import Connection
from apps.connectors.services.key_rotation import rotate_key
from apps.dashboard import live
from apps.dashboard.rules.news import News
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk
from tests.hooks.conftest import make_sender

pytestmark = pytest.mark.django_db

EXPIRES = timedelta(days=1)
QUEUES = ("default", "execution")


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


class Canaries:
    """The secrets, where they went through, and what came out on the way."""

    def __init__(self, paper: PaperDesk, log: io.StringIO) -> None:
        self.paper, self.log = paper, log
        self.secrets: dict[str, str] = {}
        self.pages: list[str] = []
        self.reader = live.Log(0.0)
        self.frames: list[News] = []

    def keep(self, name: str, secret: str) -> str:
        self.secrets[name] = secret
        return secret

    def ask(self, client: Client, method: str, path: str, *args: Any, shown_once: str = "", **kwargs: Any) -> str:
        """The answer's text, kept; without the one secret that this very page shows once."""
        answer = getattr(client, method)(path, *args, **kwargs)
        text = answer.content.decode() + json.dumps(dict(answer.headers))
        self.pages.append(text.replace(self.secrets[shown_once], "") if shown_once in self.secrets else text)
        return text

    def places(self) -> dict[str, str]:
        """Everything there is to search, by what it is."""
        self.frames += self.reader.read(1e9)
        dumped = io.StringIO()
        call_command("dumpdata", stdout=dumped)
        return {
            "database": rows_of_everything(),
            "dumpdata": dumped.getvalue(),
            "log": self.log.getvalue(),
            "cache": kept_in_the_cache(),
            "broker": waiting_at_the_broker(),
            "pages": "\n".join(self.pages),
            "frames": json.dumps([item.as_dict() for item in self.frames]),
        }

    def found(self) -> set[tuple[str, str]]:
        """(secret, place) of each that can be read somewhere."""
        places = self.places()
        assert all(places[name] for name in ("database", "dumpdata", "log", "pages", "frames", "broker"))
        return {
            (name, place) for name, secret in self.secrets.items() for place, text in places.items() if secret in text
        }


def kept_in_the_cache() -> str:
    """Every value as its bytes are kept."""
    if isinstance(kept := getattr(cache, "_cache", None), dict):
        return "\n".join(repr(value) for value in kept.values())
    server = redis.Redis.from_url(settings.CACHES["default"]["LOCATION"])
    return "\n".join(repr(server.dump(key)) for key in server.scan_iter())


def forget_tasks() -> None:
    """Nothing waits at the broker: a server keeps what an earlier run planted."""
    if settings.CELERY_BROKER_URL.startswith("redis"):
        redis.Redis.from_url(settings.CELERY_BROKER_URL).delete(*QUEUES)
    for queue in memory.Channel.queues.values():
        queue.queue.clear()


def waiting_at_the_broker() -> str:
    """The bodies of all tasks that were published."""
    if settings.CELERY_BROKER_URL.startswith("redis"):
        server = redis.Redis.from_url(settings.CELERY_BROKER_URL)
        raw = [text.decode() for queue in QUEUES for text in server.lrange(queue, 0, -1)]
    else:
        raw = [json.dumps(message) for queue in memory.Channel.queues.values() for message in queue.queue]
    bodies = [b64decode(json.loads(text)["body"]).decode() for text in raw]
    return "\n".join([*raw, *bodies])


def rows_of_everything() -> str:
    """Every value of every row of every table, bytes as the characters they may be."""
    found: list[str] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608  names of our tables
            found += [
                bytes(value).decode("latin-1") if isinstance(value, bytes | memoryview) else str(value)
                for row in cursor.fetchall()
                for value in row
            ]
    return "\n".join(found)


@pytest.fixture
def canaries(paper: PaperDesk, log: io.StringIO) -> Iterator[Canaries]:
    forget_tasks()
    yield Canaries(paper, log)
    forget_tasks()


def operator_of(paper: PaperDesk) -> tuple[User, Client]:
    person, client = UserFactory(username="op", role="operator", desk=paper.desk), Client(raise_request_exception=False)
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return person, client


def connection_keys(canaries: Canaries) -> None:
    """A private key that is taken, one that is malformed, one that replaces another, one that a venue refuses."""
    paper = canaries.paper
    _, client = operator_of(paper)
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    canaries.keep("connection key", pem.decode().splitlines()[2])
    form = {
        **{"slug": "canary", "name": "Canary", "desk": str(paper.desk.pk), "venue": "coinbase", "environment": "paper"},
        **{"api_base": paper.simulator.url, "key_name": "organizations/o/apiKeys/k", "new_secret": pem.decode()},
    }
    add = reverse("admin:connectors_connection_add")
    canaries.ask(client, "post", add, form)
    made = Connection.objects.get(slug="canary")
    page = reverse("admin:connectors_connection_change", args=[made.pk])
    canaries.ask(client, "get", page)
    canaries.ask(client, "post", reverse("admin:connectors_connection_verify", args=[made.pk]), follow=True)
    seed = b64encode(b"a canary that sings of ed25519!!").decode()
    canaries.keep("second connection key", seed)
    canaries.ask(client, "post", page, {"key_name": "organizations/o/apiKeys/l", "new_secret": seed}, follow=True)
    canaries.keep("malformed key", "canary-of-a-malformed-private-key")
    canaries.ask(client, "post", add, {**form, "slug": "x", "new_secret": canaries.secrets["malformed key"]})
    canaries.ask(client, "get", reverse("admin:connectors_connection_changelist"))


def keys_of_programs(canaries: Canaries) -> None:
    """Issued, used, rotated, used with a wrong prefix, put where it does not belong."""
    paper, now = canaries.paper, timezone.now()
    actor = people.actor_of(paper.risk)
    key, whole = api_keys.issue(
        owner=paper.trader, name="canary", scopes=["read", "propose"], expires_at=now + EXPIRES, actor=actor, now=now
    )
    canaries.keep("API key", whole[-64:])
    _, successor = rotate_key(key_id=key.pk, expires_at=now + EXPIRES, overlap=EXPIRES, actor=actor, now=now)
    canaries.keep("rotated API key", successor[-64:])
    for text in (whole, successor):
        client = Client(headers={"Authorization": f"Bearer {text}"}, raise_request_exception=False)
        canaries.ask(client, "get", "/api/v1/connectors")
        canaries.ask(client, "post", "/api/v1/trades/proposals", f'{{"{text}": 1}}', content_type="application/json")
        canaries.ask(client, "get", "/api/v1/trades/proposals", headers={"Authorization": f"Basic {text}"})
        canaries.ask(client, "get", "/api/v1/trades/proposals", headers={"Authorization": f"Bearer {text[:-1]}x"})
        call_command("find_key", text, stdout=canaries.log)
    _, client = operator_of_again(canaries)
    form = {"owner": paper.trader.pk, "name": "page", "scopes": ["read"], "days": 3}
    text = canaries.ask(client, "post", reverse("admin:accounts_apikey_add"), form, shown_once="page key")
    made = ApiKey.objects.get(name="page")
    start = text.index(f"aika_{made.prefix}_") + len(made.prefix) + 6
    canaries.pages[-1] = text.replace(canaries.keep("page key", text[start : start + 64]), "")
    canaries.ask(client, "get", reverse("admin:accounts_apikey_changelist"), {"q": f"aika_{made.prefix}"})
    canaries.ask(client, "get", reverse("admin:accounts_apikey_change", args=[made.pk]))


def operator_of_again(canaries: Canaries) -> tuple[User, Client]:
    person, client = User.objects.get(username="op"), Client(raise_request_exception=False)
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return person, client


def passwords_and_factors(canaries: Canaries) -> None:
    """A wrong password, a new one, and the secret of an authenticator app."""
    person = UserFactory(username="canary")
    client = Client(raise_request_exception=False)
    wrong = canaries.keep("wrong password", "wrong canary horse")
    new = canaries.keep("password", "right canary staple 9")
    canaries.ask(client, "post", reverse("account_login"), {"login": "canary", "password": wrong})
    person.set_password(new)
    person.save()
    canaries.ask(client, "post", reverse("account_login"), {"login": "canary", "password": new}, follow=True)
    secret = canaries.keep("TOTP secret", "JBSWY3DPEHPK3PXPCANARY234567ABCD")
    data = {"secret": SecondFactorAdapter().encrypt(secret)}
    Authenticator.objects.create(user=person, type=Authenticator.Type.TOTP, data=data)
    canaries.ask(client, "get", reverse("mfa_index"))


def hooks_and_alarms(canaries: Canaries) -> None:
    """A hook's secret in calls that come to nothing, and the secret that signs alarms."""
    now = timezone.now()
    sender = make_sender(canaries.paper, "body_secret")
    secret = canaries.keep("hook secret", sender.secret)
    for body in (sender.payload, {**sender.payload, "secret": secret + "0"}, {"alert": secret}):
        client = Client(raise_request_exception=False)
        canaries.ask(client, "post", sender.hook.path, json.dumps(body), content_type="application/json")
    signing = canaries.keep("alarm webhook secret", "canary that signs alarms, 32 chars long")
    with override_settings(ALARM_WEBHOOK_URL="http://127.0.0.1:9/alarm", ALARM_WEBHOOK_SECRET=signing):
        alarms.raise_alarm(code="FILLS_DIFFER", subject=f"order:{uuid4()}", message="They differ.", now=now)
        notices.tell_due(channels=[Channel.WEBHOOK], now=now)
        notices.send_owed(senders=[Webhook()], clock=timezone.now)


PATHS: list[Callable[[Canaries], None]] = [connection_keys, keys_of_programs, passwords_and_factors, hooks_and_alarms]


def test_no_secret_can_be_read_anywhere_and_a_planted_one_is_found(
    canaries: Canaries, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        for path in PATHS:
            path(canaries)
        canaries.paper.approve(canaries.paper.propose(quantity=Decimal("0.02")))
    assert "trades.execute_trade" in waiting_at_the_broker()
    assert len(canaries.secrets) == 11, sorted(canaries.secrets)
    assert canaries.found() == set()

    # The search finds what is there: the same secrets, planted.
    name, secret = "TOTP secret", canaries.secrets["TOTP secret"]
    logging.getLogger("planted").warning("a code of %s", secret)
    Alarm.objects.filter(code="FILLS_DIFFER").update(message=secret)
    cache.set("planted", secret)
    _, client = operator_of_again(canaries)
    canaries.ask(client, "get", reverse("admin:audit_alarm_changelist"))
    current_app.send_task("trades.execute_trade", kwargs={"order_id": secret}, queue="execution")
    wanted = {"database", "dumpdata", "log", "pages", "cache", "broker"}
    assert canaries.found() == {(name, place) for place in wanted}
