"""The venues by name, and whether Aika trades there. No Django."""

from collections.abc import Mapping
from enum import StrEnum


class Venue(StrEnum):
    """The venues there is a connector for."""

    COINBASE = "coinbase"
    ROBINHOOD = "robinhood"

    @property
    def shown(self) -> str:
        """As people call it."""
        return _TITLES[self]

    @property
    def places_orders(self) -> bool:
        """Whether Aika ever sends an order there; where not, it reads and nothing else."""
        return self not in READ_ONLY

    @property
    def trading_words(self) -> str:
        """What Aika does there, for pages and answers."""
        if self.places_orders:
            return "Aika places the orders that people approve."
        return (
            f"Read only: Aika reads accounts, balances, prices and orders at {self.shown}. Trading there is not "
            "supported: no order is placed, changed or canceled."
        )


_TITLES: Mapping[Venue, str] = {Venue.COINBASE: "Coinbase", Venue.ROBINHOOD: "Robinhood"}
# Their connectors refuse every order, and policy denies every proposal on them.
READ_ONLY: frozenset[Venue] = frozenset({Venue.ROBINHOOD})


def venue_title(venue: str) -> str:
    """The venue as people call it; one nobody knows by the name it was given."""
    return Venue(venue).shown if venue in set(Venue) else venue
