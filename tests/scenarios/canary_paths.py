"""Every path that a secret takes through Aika, also those on which it goes wrong; what was secret on it is kept."""

import io
import json
import logging
import re
from base64 import b32decode, b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import psycopg
from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from django.conf import settings
from django.contrib import admin
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import transaction
from django.test import Client, override_settings
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from apps.accounts.models import ApiKey, User
from apps.accounts.services import api_keys, new_devices, people
from apps.accounts.tasks import send_reset_link
from apps.audit.models import Event
from apps.audit.services import alarms, events, notices
from apps.audit.services.webhook import Webhook
from apps.audit.types import Channel
from apps.common.encryption import require_keys
from apps.common.errors import AikaError
from apps.common.redaction import redacted_report
from apps.connectors.models import Authorisation, AuthorisationRequest, Connection
from apps.connectors.services import bearers
from apps.connectors.services.key_rotation import rotate_key
from apps.connectors.services.venue import connect
from apps.lessons import index
from apps.trades.services import hooks
from config.settings.identity import oidc_providers
from tests.factories import oidc_server
from tests.factories.accounts import PASSWORD, UserFactory
from tests.factories.desk import PaperDesk
from tests.factories.oauth import CLIENT_SECRET, OAuthSimulator, decide, oauth_connection
from tests.factories.soft_key import code_of
from tests.hooks.conftest import make_sender
from tests.scenarios.canary_forms import Canary

# A planted one has to fit into the name of a connection.
NAME_CHARS = 80

EXPIRES = timedelta(days=1)
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
COOKIE = "sessionid"


class Canaries:
    """The secrets, where they went through, and what came out on the way."""

    def __init__(self, paper: PaperDesk, venue: OAuthSimulator, log: io.StringIO) -> None:
        self.paper, self.venue, self.log = paper, venue, log
        self.secrets: dict[str, Canary] = {}
        self.pages: list[str] = []
        self.reports: list[dict[str, Any]] = []
        self.operator: User = UserFactory(username="op", role="operator", desk=paper.desk)

    def keep(self, name: str, secret: str, *raw: bytes) -> str:
        """One more secret."""
        self.secrets[name] = Canary(name, secret, *raw)
        return secret

    def browser(self, person: User, name: str = "") -> Client:
        """A browser in which this person is signed in; its cookie is a secret, where it is given a name."""
        client = Client(raise_request_exception=False)
        client.force_login(person, backend=BACKEND)
        if name:
            self.keep(name, client.cookies[COOKIE].value)
        return client

    def ask(self, client: Client, method: str, path: str, *args: Any, shown: tuple[str, ...] = (), **more: Any) -> Any:
        """The answer; its text is kept, without the secrets that this very page is there to show, once."""
        answer = getattr(client, method)(path, *args, **more)
        text = answer.content.decode() + json.dumps(dict(answer.headers))
        self.pages.append(without(text, shown))
        return answer


def without(text: str, shown: tuple[str, ...]) -> str:
    for secret in shown:
        text = text.replace(secret, "")
    return text


def connection_keys(canaries: Canaries) -> None:
    """A private key that is taken, one that is malformed, one that replaces another, one that a venue refuses."""
    paper, client = canaries.paper, canaries.browser(canaries.operator, "session of an operator")
    key = ec.generate_private_key(ec.SECP256R1())
    pem, der = (
        key.private_bytes(encoding, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        for encoding in (Encoding.PEM, Encoding.DER)
    )
    number = key.private_numbers().private_value.to_bytes(32, "big")
    secret = canaries.keep("ES256 key", pem.decode(), der, number)
    form = {
        **{"slug": "canary", "name": "Canary", "desk": str(paper.desk.pk), "venue": "coinbase", "environment": "paper"},
        **{"api_base": paper.simulator.url, "key_name": "organizations/o/apiKeys/k", "new_secret": secret},
    }
    add = reverse("admin:connectors_connection_add")
    canaries.ask(client, "post", add, form)
    page = reverse("admin:connectors_connection_change", args=[Connection.objects.get(slug="canary").pk])
    canaries.ask(client, "post", page.replace("change", "verify"), follow=True)
    raw = b"a canary that sings of ed25519!!"
    seed = canaries.keep("Ed25519 key", b64encode(raw).decode(), raw)
    canaries.ask(client, "post", page, {"key_name": "organizations/o/apiKeys/l", "new_secret": seed}, follow=True)
    bad = canaries.keep("malformed key", "canary-of-a-malformed-private-key")
    canaries.ask(client, "post", add, {**form, "slug": "x", "new_secret": bad})
    raw = b"a canary that sings to robinhood"
    hood = canaries.keep("Robinhood key", b64encode(raw).decode(), raw)
    there = {"slug": "hood", "venue": "robinhood", "api_base": "http://127.0.0.1:9", "key_name": f"rh-api-{uuid4()}"}
    canaries.ask(client, "post", add, {**form, **there, "new_secret": hood})
    page = reverse("admin:connectors_connection_change", args=[Connection.objects.get(slug="hood").pk])
    canaries.ask(client, "post", page.replace("change", "verify"), follow=True)


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
    client = canaries.browser(canaries.operator)
    form = {"owner": paper.trader.pk, "name": "page", "scopes": ["read"], "days": 3}
    text = client.post(reverse("admin:accounts_apikey_add"), form).content.decode()
    made = ApiKey.objects.get(name="page")
    start = text.index(f"aika_{made.prefix}_") + len(made.prefix) + 6
    canaries.pages.append(without(text, (canaries.keep("key of the page", text[start : start + 64]),)))
    canaries.ask(client, "get", reverse("admin:accounts_apikey_changelist"), {"q": f"aika_{made.prefix}"})


def passwords_and_factors(canaries: Canaries) -> None:
    """A wrong password, a new one; an app set up through the pages, its recovery codes, and a session signed in so."""
    person, client = UserFactory(username="canary"), Client(raise_request_exception=False)
    wrong = canaries.keep("wrong password", "wrong canary horse")
    new = canaries.keep("password", 'right "canary" \\ staple & 9')
    login = reverse("account_login")
    canaries.ask(client, "post", login, {"login": "canary", "password": wrong})
    canaries.ask(client, "post", login, {"login": "canary", "password": PASSWORD}, follow=True)
    change = {"oldpassword": wrong, "password1": new, "password2": new}
    canaries.ask(client, "post", reverse("account_change_password"), change)
    canaries.ask(client, "post", reverse("account_change_password"), {**change, "oldpassword": PASSWORD}, follow=True)
    canaries.ask(client, "post", login, {"login": "canary", "password": new}, follow=True)
    canaries.ask(client, "post", reverse("account_reauthenticate"), {"password": new}, follow=True)
    canaries.keep("session of a person", client.cookies[COOKIE].value)
    app = reverse("mfa_activate_totp")
    page = client.get(app)
    seed = canaries.keep("TOTP seed", page.context["form"].secret, b32decode(page.context["form"].secret))
    canaries.pages.append(without(page.content.decode(), (seed,)))
    canaries.ask(client, "post", app, {"code": "000000"}, shown=(seed,))
    canaries.ask(client, "post", app, {"code": code_of(seed)})
    codes = Authenticator.objects.get(user=person, type=Authenticator.Type.RECOVERY_CODES).wrap().generate_codes()
    told = [canaries.keep(f"recovery code {at}", code) for at, code in enumerate(codes[:3])]
    canaries.ask(client, "get", reverse("mfa_view_recovery_codes"), shown=tuple(codes))
    canaries.ask(client, "get", reverse("mfa_index"))
    canaries.ask(client, "get", reverse("account_sessions"))
    again = Client(raise_request_exception=False)
    canaries.ask(again, "post", login, {"login": "canary", "password": new}, follow=True)
    canaries.ask(again, "post", reverse("mfa_authenticate"), {"code": "0" + told[0]})
    canaries.ask(again, "post", reverse("mfa_authenticate"), {"code": told[0]}, follow=True)
    assert again.session["_auth_user_id"] == str(person.pk)
    canaries.keep("session with a second factor", again.cookies[COOKIE].value)
    for event in Event.objects.filter(kind=new_devices.KIND):
        assert new_devices.tell(person_id=person.pk, event_id=event.pk)


def forgotten_passwords(canaries: Canaries) -> None:
    """A link that is asked for and opened; nobody has set a password with it yet. It is in its mail, as it must be."""
    person, client = UserFactory(username="forgetful", email="forgetful@example.com"), Client()
    canaries.ask(client, "post", reverse("account_reset_password"), {"email": person.email}, follow=True)
    assert send_reset_link(person_id=str(person.pk), origin="http://testserver")
    found = re.search(r"/password/reset/key/\w+?-([\w-]+)/", str(mail.outbox[-1].body))
    assert found is not None and mail.outbox.pop().to == [person.email]
    canaries.keep("key of a reset link", found[1])
    page = "/accounts" + found[0]
    canaries.ask(client, "get", page, follow=True)
    canaries.ask(client, "post", page.replace(found[1], "set-password"), {"password1": "x", "password2": "y"})
    assert client.session["_password_reset_key"].startswith("sealed:")


def hooks_and_alarms(canaries: Canaries) -> None:
    """A hook's secret in calls that come to nothing, one that signs, and the secret that signs alarms."""
    now, client = timezone.now(), Client(raise_request_exception=False)
    sender, signing = make_sender(canaries.paper, "body_secret"), make_sender(canaries.paper)
    secret = canaries.keep("hook's secret in the body", sender.secret)
    canaries.keep("hook's secret that signs", signing.secret)
    for body in (sender.payload, {**sender.payload, "secret": secret + "0"}, {"alert": secret}):
        canaries.ask(client, "post", sender.hook.path, json.dumps(body), content_type="application/json")
    signing.send()
    signing.send(signature=signing.secret)
    actor, ends = people.actor_of(canaries.operator), now + EXPIRES
    _, another = hooks.rotate(hook_id=sender.hook.pk, expires_at=ends, actor=actor, now=now)
    canaries.keep("hook's secret after another", another)
    for told in (secret, another, another[:-1]):
        body = json.dumps({**sender.payload, "secret": told})
        canaries.ask(client, "post", sender.hook.path, body, content_type="application/json")
    signs = canaries.keep("alarm webhook's secret", "canary that signs alarms, 32 chars long")
    with override_settings(ALARM_WEBHOOK_URL="http://127.0.0.1:9/alarm", ALARM_WEBHOOK_SECRET=signs):
        alarms.raise_alarm(code="FILLS_DIFFER", subject=f"order:{uuid4()}", message="They differ.", now=now)
        notices.tell_due(channels=[Channel.WEBHOOK], now=now)
        notices.send_owed(senders=[Webhook()], clock=timezone.now)


def oauth(canaries: Canaries) -> None:
    """Out, back, back again, refreshed, a refresh whose answer is lost, and disconnected."""
    client, venue = canaries.browser(canaries.operator), canaries.venue
    canaries.keep("OAuth client secret", CLIENT_SECRET)
    out = client.post("/oauth/coinbase/connect")
    canaries.keep("PKCE verifier", AuthorisationRequest.objects.get().verifier.reveal())
    canaries.keep("OAuth state", parse_qs(urlsplit(out["Location"]).query)["state"][0])
    back = decide(out["Location"])
    canaries.keep("OAuth code", back["code"])
    for _ in range(2):
        canaries.ask(client, "get", "/oauth/coinbase/callback", back, follow=True)
    row = Authorisation.objects.get()
    keep_tokens(canaries, row)
    used = oauth_connection(row, desk=canaries.paper.desk)
    bearers.bearer(row.pk, clock=lambda: row.access_until, before_call=lambda: None)
    row.refresh_from_db()
    keep_tokens(canaries, row)
    connect(used).balances()
    venue.add_fault("oauth-token", "reset-after")
    try:
        bearers.bearer(row.pk, clock=lambda: row.access_until, before_call=lambda: None)
    except AikaError as error:
        canaries.pages.append(f"{error!r} {error} {error.details}")
    canaries.ask(client, "post", reverse("admin:connectors_authorisation_disconnect", args=[row.pk]), follow=True)


def keep_tokens(canaries: Canaries, row: Authorisation) -> None:
    """Both of this generation."""
    canaries.keep(f"OAuth access token {row.generation}", row.access_token.reveal())
    canaries.keep(f"OAuth refresh token {row.generation}", row.refresh_token.reveal())


def settings_of_the_installation(canaries: Canaries) -> None:
    """The keys of the settings, where something goes wrong with them, and the word that opens /metrics."""
    (key,) = settings.TOKEN_ENCRYPTION_KEYS
    canaries.keep("TOKEN_ENCRYPTION_KEY", key, b64decode(key))
    canaries.keep("SECRET_KEY", settings.SECRET_KEY)
    client, logger = canaries.browser(canaries.operator), logging.getLogger("apps.canaries")
    page = reverse("admin:connectors_connection_change", args=[Connection.objects.get(slug="canary").pk])
    other = canaries.keep("second TOKEN_ENCRYPTION_KEY", "Y2FuYXJpZXMgdGhhdCBvcGVuIG5vdGhpbmcgYXQgYWw=")
    for keys in ((other,), (key, other[:-4])):
        with override_settings(TOKEN_ENCRYPTION_KEYS=keys):
            canaries.ask(client, "get", page)
            canaries.ask(client, "post", page, {"key_name": "organizations/o/apiKeys/m", "new_secret": "x"})
            try:
                require_keys()
                call_command("rotate_keys", stdout=canaries.log, stderr=canaries.log)
            except (ImproperlyConfigured, SystemExit):
                logger.exception("It went wrong with %s.", settings.TOKEN_ENCRYPTION_KEYS)
    word = canaries.keep("METRICS_TOKEN", "canary-that-counts-what-happens-here")
    with override_settings(METRICS_TOKEN=word):
        canaries.ask(client, "get", reverse("metrics"), headers={"Authorization": f"Bearer {word}"})
        canaries.ask(client, "get", reverse("metrics"), {"token": word})
    with suppress(SystemExit):
        call_command("doctor", stdout=canaries.log)


def identity_of_the_organisation(canaries: Canaries) -> None:
    """Signed in by OpenID Connect, back once more with the same code, and a server that refuses us."""
    login = "/accounts/oidc/staff/login/"
    secret = canaries.keep("OIDC client secret", oidc_server.CLIENT_SECRET)
    person = UserFactory(username="sworn", email="sworn@example.com")
    with oidc_server.OidcServer() as server:
        server.claims |= {"email": person.email}
        canaries.keep("OIDC access token", server.access_token)
        for word in (secret, secret[:-1]):
            providers = oidc_providers(
                server_url=server.url, client_id=oidc_server.CLIENT_ID, client_secret=word, name="Example Ltd"
            )
            with override_settings(
                SOCIALACCOUNT_PROVIDERS=providers, OIDC_SERVER_URL=server.url, OIDC_CLIENT_SECRET=secret
            ):
                client = Client(raise_request_exception=False)
                out = client.post(login)
                with httpx.Client(trust_env=False) as browser:
                    back = str(browser.get(out["Location"]).headers["location"])
                code = parse_qs(urlsplit(back).query)["code"][0]
                for _ in range(2):
                    canaries.ask(client, "get", back, follow=True)
                logging.getLogger("apps.canaries").warning("It went wrong with %s.", settings.OIDC_CLIENT_SECRET)
            if word == secret:
                assert client.session["_auth_user_id"] == str(person.pk)
                canaries.keep("OIDC code", code)
                # The beginning of its signature, without which the rest is worth nothing: as much as any name holds.
                canaries.keep("OIDC identity token", server.id_tokens[0].rpartition(".")[2][:NAME_CHARS])


def other_services(canaries: Canaries) -> None:
    """The words that open the vector index, the mail server and the database, where nobody is there to open."""
    logger, client = logging.getLogger("apps.canaries"), canaries.browser(canaries.paper.approver)
    word = canaries.keep("QDRANT_API_KEY", "canary-that-opens-the-vector-index")
    index.close()
    with override_settings(QDRANT_URL="http://127.0.0.1:9", QDRANT_API_KEY=word):
        asked = json.dumps({"text": "a breakout that failed"})
        canaries.ask(client, "post", "/api/v1/trades/lessons/query", asked, content_type="application/json")
        canaries.ask(client, "get", "/readyz")
        with suppress(SystemExit):
            call_command("doctor", stdout=canaries.log)
        logger.warning("It went wrong with %s.", settings.QDRANT_API_KEY)
    index.close()
    word = canaries.keep("EMAIL_HOST_PASSWORD", "canary-that-opens-the-mail-server")
    smtp = "django.core.mail.backends.smtp.EmailBackend"
    with override_settings(EMAIL_BACKEND=smtp, EMAIL_PORT=9, EMAIL_HOST_USER="aika", EMAIL_HOST_PASSWORD=word):
        try:
            mail.send_mail("Nobody", "is there.", None, ["somebody@example.com"])
        except OSError:
            logger.exception("It went wrong with %s.", settings.EMAIL_HOST_PASSWORD)
    word = canaries.keep("password of the database", "canary-that-opens-the-database")
    with override_settings(DATABASE_URL=f"postgres://aika:{word}@127.0.0.1:9/aika"):
        try:
            psycopg.connect(settings.DATABASE_URL)
        except psycopg.OperationalError:
            logger.exception("It went wrong with %s, whose word is %s.", settings.DATABASE_URL, word)


def careless_words(canaries: Canaries) -> None:
    """What a shape gives away, or the settings, said where it would stay for ever: in the reason of an event."""
    known = ("ES256 key", "TOKEN_ENCRYPTION_KEY", "second TOKEN_ENCRYPTION_KEY", "SECRET_KEY")
    said = [canaries.secrets[name].text for name in known]
    said += [
        f"aika_{'0' * 12}_{canaries.secrets['API key'].text}",
        f"https://a:{canaries.secrets['password of the database'].text}@db",
    ]
    with transaction.atomic():
        events.record(
            stream="careless", kind="trading.halted", actor=people.actor_of(canaries.paper.risk), subject="careless",
            payload={"reason": " and ".join(said)}, now=timezone.now(),
        )  # fmt: skip
    assert "********" in bytes(Event.objects.get(stream="careless").body).decode()


def reports_of_errors(canaries: Canaries) -> None:
    """Each of them where a reporter of errors finds it: a frame's local, a header, a cookie, a form, a step before."""
    for text in [one.text for one in canaries.secrets.values()]:
        frame = {
            "function": "call",
            "vars": {"password": repr(text), "said": [{"refresh_token": text}, ("secret", text)]},
        }
        event = {
            "exception": {"values": [{"type": "ValueError", "stacktrace": {"frames": [frame]}}]},
            "breadcrumbs": {"values": [{"category": "http", "data": {"authorization": text}}]},
            "request": {"headers": [["Cookie", text]], "cookies": {COOKIE: text}, "data": {"anything": text}},
        }
        canaries.reports.append(redacted_report(event))


def every_page_of_the_admin(canaries: Canaries) -> None:
    """Each list, and the first row of each with its history, as somebody sees them who may see everything."""
    client = canaries.browser(UserFactory(username="root", is_superuser=True, desk=canaries.paper.desk))
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        rows = list(model._default_manager.order_by("-pk")[:3])
        for page, args in [("changelist", []), *((verb, [row.pk]) for row in rows for verb in ("change", "history"))]:
            try:
                canaries.ask(client, "get", reverse(f"{name}_{page}", args=args))
            except NoReverseMatch:
                continue
    for path in ("/", "/admin/", "/healthz", "/readyz", "/api/v1/connectors", "/api/v1/trades/proposals"):
        canaries.ask(client, "get", path)


def mails() -> bytes:
    """Every mail that was sent, as it travels and as it is read."""
    return b"\n".join(one.message().as_bytes() + one.body.encode() for one in mail.outbox)


PATHS: list[Callable[[Canaries], None]] = [
    *(connection_keys, keys_of_programs, passwords_and_factors, forgotten_passwords, hooks_and_alarms, oauth),
    *(settings_of_the_installation, identity_of_the_organisation, other_services, careless_words),
    *(reports_of_errors, every_page_of_the_admin),
]
