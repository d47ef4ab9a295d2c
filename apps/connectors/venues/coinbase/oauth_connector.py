"""Coinbase by OAuth: the same connector, except that what it may do is read from granted scopes and not from a key."""

from collections.abc import Callable
from datetime import datetime

from apps.connectors.types import Permissions
from apps.connectors.venues.coinbase.client import CoinbaseClient
from apps.connectors.venues.coinbase.connector import CoinbaseConnector
from apps.connectors.venues.coinbase.oauth import permissions_of


class OAuthConnector(CoinbaseConnector):
    """`granted` asks the venue which scopes the bearer has now."""

    def __init__(
        self,
        *,
        client: CoinbaseClient,
        now: Callable[[], datetime],
        may_place: bool,
        granted: Callable[[], tuple[str, ...]],
    ) -> None:
        super().__init__(client=client, now=now, may_place=may_place)
        self._granted = granted

    def permissions(self) -> Permissions:
        return permissions_of(self._granted())
