"""Coinbase by OAuth: the same connector, except that what it may do is read from granted scopes and not from a key."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from apps.common.errors import AikaError
from apps.connectors.errors import CredentialsRefused, ScopeMissing
from apps.connectors.types import CancelResult, OrderRequest, Permissions, Placement, Preview
from apps.connectors.venues.coinbase.client import CoinbaseClient
from apps.connectors.venues.coinbase.connector import CoinbaseConnector
from apps.connectors.venues.coinbase.oauth import TRADE, permissions_of

FORBIDDEN = "403"


class Grant(Protocol):
    """What the person lets Aika do, as it stands."""

    def look_again(self, ask_granted: Callable[[str], Sequence[str]]) -> tuple[str, ...]:
        """Ask the venue, by `ask_granted` with a bearer, what it grants now, and go by that from here on."""
        ...


class OAuthConnector(CoinbaseConnector):
    """`account` is how people know the authorisation; `ask_granted` asks the venue what a bearer may."""

    def __init__(
        self,
        *,
        client: CoinbaseClient,
        now: Callable[[], datetime],
        may_place: bool,
        grant: Grant,
        ask_granted: Callable[[str], Sequence[str]],
        account: str,
    ) -> None:
        super().__init__(client=client, now=now, may_place=may_place)
        self._grant = grant
        self._ask_granted = ask_granted
        self._account = account

    def permissions(self) -> Permissions:
        return permissions_of(self._grant.look_again(self._ask_granted))

    def place_order(self, body: bytes, *, gate: AbstractContextManager[None] | None = None) -> Placement:
        """Raises ScopeMissing too: before anything is sent where that is known, else after the venue's refusal."""
        try:
            return super().place_order(body, gate=gate)
        except CredentialsRefused as refused:
            raise self._explained(refused) from refused

    def cancel_orders(self, venue_order_ids: Sequence[str]) -> tuple[CancelResult, ...]:
        """Tried whatever is known of the scopes: canceling is never refused on our own word."""
        try:
            return super().cancel_orders(venue_order_ids)
        except CredentialsRefused as refused:
            raise self._explained(refused) from refused

    def preview(self, request: OrderRequest) -> Preview:
        try:
            return super().preview(request)
        except CredentialsRefused as refused:
            raise in_words_of_oauth(refused, self._account) from refused

    def _explained(self, refused: CredentialsRefused) -> CredentialsRefused:
        """Why the venue took no order: where it is the scope, it is known from now on."""
        if refused.details.get("status") != FORBIDDEN:
            return in_words_of_oauth(refused, self._account)
        try:
            granted = self._grant.look_again(self._ask_granted)
        except AikaError:
            return in_words_of_oauth(refused, self._account)
        return in_words_of_oauth(refused, self._account) if TRADE in granted else ScopeMissing(self._account, TRADE)


def in_words_of_oauth(refused: CredentialsRefused, account: str) -> CredentialsRefused:
    """A refusal by the venue, for people who have no key to look at. What is ours (connect again) stays as it is."""
    status = refused.details.get("status")
    if status is None:
        return refused
    return CredentialsRefused(
        refused.code,
        f"{account}: the venue does not accept Aika's access for this ({status}).",
        fix="Look at the authorisation's page: it may have to be connected again, with everything allowed.",
        status=status,
    )
