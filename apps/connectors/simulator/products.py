"""The products listed here, with increments and bounds like the ones the real venue publishes."""

from dataclasses import dataclass, replace
from decimal import Decimal

FLAGS = (
    "is_disabled",
    "trading_disabled",
    "cancel_only",
    "limit_only",
    "post_only",
    "auction_mode",
    "view_only",
)
"""What an operator can switch on a product (POST /simulator/product)."""


@dataclass(frozen=True)
class Product:
    """One product. `book_id` names the product whose order book it shares: an alias differs in settlement only."""

    product_id: str
    base_currency: str
    quote_currency: str
    base_name: str
    quote_name: str
    level: Decimal
    """The price around which the seeded path moves."""
    base_increment: Decimal
    price_increment: Decimal
    base_min_size: Decimal
    base_max_size: Decimal
    top_depth: Decimal
    """Quote amount resting at the best level."""
    hourly_volume: Decimal
    """Typical base volume of an hour."""
    book_id: str
    alias_to: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()
    quote_increment: Decimal = Decimal("0.01")
    quote_min_size: Decimal = Decimal("1")
    quote_max_size: Decimal = Decimal("150000000")
    is_filler: bool = False
    """One of the many that only make the list long."""

    @property
    def alias(self) -> str:
        """The canonical product of an alias, else the empty string."""
        return "" if self.book_id == self.product_id else self.book_id


def _usd(base: str, name: str, level: str, *numbers: str, **more: tuple[str, ...] | frozenset[str]) -> Product:
    base_increment, price_increment, base_min, base_max, depth, volume = (Decimal(number) for number in numbers)
    aliases = more.get("alias_to", ())
    return Product(
        product_id=f"{base}-USD",
        base_currency=base,
        quote_currency="USD",
        base_name=name,
        quote_name="US Dollar",
        level=Decimal(level),
        base_increment=base_increment,
        price_increment=price_increment,
        base_min_size=base_min,
        base_max_size=base_max,
        top_depth=depth,
        hourly_volume=volume,
        book_id=f"{base}-USD",
        alias_to=tuple(aliases),
        flags=frozenset(more.get("flags", ())),
    )


def _alias(canonical: Product, quote_currency: str) -> Product:
    values = vars(canonical) | {
        "product_id": f"{canonical.base_currency}-{quote_currency}",
        "quote_currency": quote_currency,
        "quote_name": quote_currency,
        "alias_to": (),
    }
    return Product(**values)


_BTC = _usd(
    "BTC",
    "Bitcoin",
    "64000",
    "0.00000001",
    "0.01",
    "0.00000001",
    "3400",
    "9000",
    "450",
    alias_to=("BTC-USDC",),
)

PRODUCTS: dict[str, Product] = {
    product.product_id: product
    for product in (
        _BTC,
        _alias(_BTC, "USDC"),
        _usd("ETH", "Ethereum", "3100", "0.00000001", "0.01", "0.00000001", "49000", "6000", "6200"),
        _usd("SOL", "Solana", "150", "0.00000001", "0.01", "0.00000001", "230000", "4000", "42000"),
        _usd("ADA", "Cardano", "0.6", "0.00000001", "0.0001", "0.00000001", "30000000", "2500", "3100000"),
        _usd("DOGE", "Dogecoin", "0.15", "0.1", "0.00001", "0.1", "69000000", "2500", "9500000"),
        _usd(
            "LTC", "Litecoin", "82", "0.00000001", "0.01", "0.00000001", "25000", "2000", "5200",
            flags=frozenset({"trading_disabled", "is_disabled"}),
        ),
    )
}  # fmt: skip

FILLERS_MAX = 5_000


def fillers(count: int) -> dict[str, Product]:
    """Further products, X0001-USD and so on, for those who want to see what many do."""
    made = (
        _usd(f"X{at:04}", f"Filler {at}", str(5 + at % 97), "0.0001", "0.001", "0.0001", "1000000", "1000", "3000")
        for at in range(1, count + 1)
    )
    return {product.product_id: replace(product, is_filler=True) for product in made}


OPENING_BALANCES: dict[str, Decimal] = {
    "USD": Decimal("100000"),
    "USDC": Decimal("5000"),
    "BTC": Decimal("0.5"),
    "ETH": Decimal("4"),
    "SOL": Decimal("25"),
    "ADA": Decimal("1500"),
    "DOGE": Decimal("4000"),
    "LTC": Decimal("0"),
}
"""What a fresh account holds."""

FIAT = frozenset({"USD"})
