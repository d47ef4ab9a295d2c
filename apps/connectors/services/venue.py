"""The way to a venue: one pooled connector per process and connection, never used inside a database transaction."""

import os
from threading import Lock
from urllib.parse import urlsplit

from django.db import connections
from django.utils import timezone

from apps.common.errors import Misconfigured
from apps.connectors.errors import ReadOnly
from apps.connectors.models import Authorisation, Connection
from apps.connectors.services.bearer_source import BearerSource
from apps.connectors.services.bearers import application
from apps.connectors.types import Capabilities, Connector, Environment, InstrumentSpec, OrderRequest, Venue
from apps.connectors.venues.addresses import is_loopback
from apps.connectors.venues.addresses import origin_of as plain_origin_of
from apps.connectors.venues.coinbase.auth import Signer
from apps.connectors.venues.coinbase.bodies import check_increments as coinbase_check_increments
from apps.connectors.venues.coinbase.bodies import order_body as coinbase_order_body
from apps.connectors.venues.coinbase.client import CoinbaseClient, origin_of
from apps.connectors.venues.coinbase.connector import CoinbaseConnector
from apps.connectors.venues.coinbase.oauth import OAuthClient
from apps.connectors.venues.coinbase.oauth_connector import OAuthConnector, in_words_of_oauth
from apps.connectors.venues.robinhood.auth import Signer as RobinhoodSigner
from apps.connectors.venues.robinhood.client import RobinhoodClient
from apps.connectors.venues.robinhood.connector import RobinhoodConnector

# Where Coinbase moves money. Its sandbox, which moves none, is api-sandbox.coinbase.com.
COINBASE_LIVE_HOST = "api.coinbase.com"
COINBASE_SANDBOX_HOST = "api-sandbox.coinbase.com"
# The only host of Robinhood's that is ever called. It has no sandbox.
ROBINHOOD_HOST = "trading.robinhood.com"

_Key = tuple[int, str, str, str, str, str, bool]
_Pooled = CoinbaseConnector | RobinhoodConnector
_pool: dict[_Key, _Pooled] = {}
_lock = Lock()


def connect(connection: Connection) -> Connector:
    """The connector of this connection, shared by the threads of this process; a new secret gives a new one.

    An inactive connection reads and cancels, and places nothing. Raises Misconfigured: VENUE_KEY_UNUSABLE,
    VENUE_ADDRESS_UNUSABLE, VENUE_UNKNOWN, ENVIRONMENT_AND_ADDRESS_DISAGREE, or what reading the secret raises.
    """
    check_address(venue=connection.venue, environment=connection.environment, api_base=connection.api_base)
    key = (
        os.getpid(),
        str(connection.pk),
        connection.secret_fingerprint,
        connection.key_name,
        connection.api_base,
        connection.environment,
        connection.is_active,
    )
    with _lock:
        pooled = _pool.get(key)
        if pooled is None:
            pooled = _build(connection)
            # Superseded ones are only let go: another thread may be reading an answer over one of them.
            for old in [item for item in _pool if item[:2] == key[:2]]:
                del _pool[old]
            _pool[key] = pooled
    return pooled


def close_all() -> None:
    """Close every pooled connector of this process, when it ends."""
    with _lock:
        pooled = list(_pool.values())
        _pool.clear()
    for connector in pooled:
        connector.close()


def capabilities_of(venue: str) -> Capabilities:
    """What the venue's connector claims. Raises Misconfigured VENUE_UNKNOWN."""
    return RobinhoodConnector.capabilities if _known(venue) is Venue.ROBINHOOD else CoinbaseConnector.capabilities


def order_body(venue: str, request: OrderRequest, *, spec: InstrumentSpec | None = None) -> bytes:
    """The bytes that would be sent for this request. Pure: the same request gives the same bytes.

    Raises Invalid ORDER_TERMS_UNSUPPORTED; with `spec` also OFF_INCREMENT. ReadOnly where nothing is ever sent.
    Misconfigured VENUE_UNKNOWN.
    """
    _refuse_read_only(venue)
    return coinbase_order_body(request, spec=spec)


def check_increments(venue: str, request: OrderRequest, spec: InstrumentSpec) -> None:
    """Raises Invalid OFF_INCREMENT for the first number that is not a multiple of its step."""
    _refuse_read_only(venue)
    coinbase_check_increments(request, spec)


def check_address(*, venue: str, environment: str, api_base: str) -> None:
    """Raises Misconfigured where the word paper or live and the host called do not belong together, at this venue."""
    if _known(venue) is Venue.ROBINHOOD:
        _check_robinhood(environment, api_base)
    else:
        _check_coinbase(environment, api_base)


def _check_robinhood(environment: str, api_base: str) -> None:
    host = (urlsplit(plain_origin_of(api_base)).hostname or "").lower()
    if environment == Environment.LIVE and host == ROBINHOOD_HOST:
        return
    if environment == Environment.PAPER and is_loopback(host):
        return
    raise Misconfigured(
        "ENVIRONMENT_AND_ADDRESS_DISAGREE",
        f"A connection to Robinhood that says {environment!r} must not call {host}.",
        fix=f"live calls https://{ROBINHOOD_HOST}; paper only this machine, where a double of it may listen.",
    )


def _check_coinbase(environment: str, api_base: str) -> None:
    host = (urlsplit(origin_of(api_base)).hostname or "").lower()
    real = host == COINBASE_LIVE_HOST
    if environment == Environment.LIVE and real:
        return
    if environment == Environment.PAPER and (is_loopback(host) or host == COINBASE_SANDBOX_HOST):
        return
    if environment == Environment.PAPER and not real and not host.endswith(".coinbase.com") and host != "coinbase.com":
        return  # a venue simulator on another machine
    raise Misconfigured(
        "ENVIRONMENT_AND_ADDRESS_DISAGREE",
        f"A connection that says {environment!r} must not call {host}.",
        fix=f"live calls https://{COINBASE_LIVE_HOST}; paper calls the simulator or {COINBASE_SANDBOX_HOST}.",
    )


def environment_of(api_base: str) -> str:
    """Whether a Coinbase address moves money: live at the real host, else paper. Raises VENUE_ADDRESS_UNUSABLE."""
    host = (urlsplit(origin_of(api_base)).hostname or "").lower()
    return (Environment.LIVE if host == COINBASE_LIVE_HOST else Environment.PAPER).value


def is_on_this_machine(api_base: str) -> bool:
    """Whether the address is a loopback one: nothing but a simulator answers there."""
    return is_loopback((urlsplit(api_base).hostname or "").lower())


def check_key(*, venue: str, key_name: str, secret: str) -> None:
    """Raises Misconfigured VENUE_KEY_UNUSABLE where this is no key of that venue's; never quotes it."""
    if _known(venue) is Venue.ROBINHOOD:
        RobinhoodSigner.of(api_key=key_name, secret=secret)
    else:
        Signer.of(key_name=key_name, secret=secret)


def refuse_in_transaction() -> None:
    """Raises Misconfigured where this thread has a transaction open: a venue's bad day must not hold our locks.

    The blocks that Django's TestCase puts around a test do not count.
    """
    for database in connections.all(initialized_only=True):
        if database.in_atomic_block and not all(
            getattr(block, "_from_testcase", False) for block in database.atomic_blocks
        ):
            raise Misconfigured(
                "VENUE_CALL_IN_TRANSACTION",
                "A venue was called inside a database transaction. Nothing was sent.",
                fix="Commit first, then call the venue, then write what came back.",
            )


def _known(venue: str) -> Venue:
    if venue not in set(Venue):
        raise Misconfigured("VENUE_UNKNOWN", f"There is no connector for {venue!r}.")
    return Venue(venue)


def _refuse_read_only(venue: str) -> None:
    if not _known(venue).places_orders:
        raise ReadOnly(Venue(venue))


def _build(connection: Connection) -> _Pooled:
    venue = _known(connection.venue)
    if connection.authorisation_id is not None:
        return _build_with_bearer(connection)
    if not connection.key_name or not connection.secret:
        raise Misconfigured(
            "VENUE_KEY_MISSING", f"The connection {connection.slug} has no key.", fix="Enter the key in the admin."
        )
    if venue is Venue.ROBINHOOD:
        signer = RobinhoodSigner.of(api_key=connection.key_name, secret=connection.secret.reveal())
        reader = RobinhoodClient(api_base=connection.api_base, signer=signer, before_call=refuse_in_transaction)
        return RobinhoodConnector(client=reader, now=timezone.now)
    client = CoinbaseClient(
        api_base=connection.api_base,
        signer=Signer.of(key_name=connection.key_name, secret=connection.secret.reveal()),
        before_call=refuse_in_transaction,
    )
    return CoinbaseConnector(client=client, now=timezone.now, may_place=connection.is_active)


def check_authorisation(authorisation: Authorisation, *, venue: str, api_base: str) -> None:
    """Raises Misconfigured AUTHORISATION_OF_ANOTHER_ADDRESS: tokens go to no host but the one that gave them."""
    if (authorisation.venue, authorisation.api_base) != (venue, origin_of(api_base)):
        raise Misconfigured(
            "AUTHORISATION_OF_ANOTHER_ADDRESS",
            f"{authorisation} was authorised for {authorisation.api_base}, and its tokens go nowhere else.",
            fix=f"Use the address {authorisation.api_base}, or connect an account there.",
        )


def _build_with_bearer(connection: Connection) -> OAuthConnector:
    authorisation = connection.authorisation
    if authorisation is None:
        raise Misconfigured("VENUE_KEY_MISSING", f"The connection {connection.slug} has no authorisation.")
    check_authorisation(authorisation, venue=connection.venue, api_base=connection.api_base)
    account = str(authorisation)
    source = BearerSource(authorisation, clock=timezone.now, before_call=refuse_in_transaction)
    client = CoinbaseClient(
        api_base=connection.api_base,
        signer=source,
        before_call=refuse_in_transaction,
        reword=lambda refused: in_words_of_oauth(refused, account),
    )

    def ask_granted(token: str) -> tuple[str, ...]:
        refuse_in_transaction()
        return OAuthClient(application(), api_base=authorisation.api_base).granted(token)

    return OAuthConnector(
        client=client,
        now=timezone.now,
        may_place=connection.is_active,
        grant=source,
        ask_granted=ask_granted,
        account=account,
    )
