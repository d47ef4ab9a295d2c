"""The market as it stands: the seeded path or a recording, pins, flags, and liquidity taken this step."""

from collections.abc import Iterator
from decimal import Decimal

from apps.connectors.simulator import book, history, prices
from apps.connectors.simulator.amounts import ZERO, floor_to
from apps.connectors.simulator.book import Level
from apps.connectors.simulator.clock import Clock
from apps.connectors.simulator.history import Candle, Day, Print
from apps.connectors.simulator.playback import Playback
from apps.connectors.simulator.products import FLAGS, PRODUCTS, Product

TAKES = {"BUY": "asks", "SELL": "bids"}


class Market:
    """Prices and books for every product at the clock's step."""

    def __init__(self, seed: int, clock: Clock, playback: Playback | None = None) -> None:
        self.seed = seed
        self.clock = clock
        self.playback = playback
        self._pinned: dict[str, Decimal] = {}
        self._flags: dict[str, set[str]] = {}
        self._taken: dict[tuple[str, str], tuple[int, Decimal]] = {}
        self._best: dict[str, tuple[Decimal, tuple[Decimal, Decimal]]] = {}
        self.reset()

    def reset(self) -> None:
        """Unpin every price and put every flag back."""
        self._pinned.clear()
        self._taken.clear()
        self._flags = {name: set(product.flags) for name, product in PRODUCTS.items()}

    def pin(self, product: Product, mid: Decimal | None) -> None:
        """Hold the mid of a book at one value, or let it return to its path."""
        if mid is None:
            self._pinned.pop(product.book_id, None)
        else:
            self._pinned[product.book_id] = mid
        self._taken = {key: value for key, value in self._taken.items() if key[0] != product.book_id}

    def is_pinned(self, product: Product) -> bool:
        """Whether the book's mid is held."""
        return product.book_id in self._pinned

    def has_flag(self, product: Product, flag: str) -> bool:
        """Whether `flag` is switched on now."""
        return flag in self._flags[product.product_id]

    def switch(self, product: Product, flag: str, on: bool) -> None:
        """Switch one of `FLAGS`."""
        if flag not in FLAGS:
            raise ValueError(flag)
        flags = self._flags[product.product_id]
        if on:
            flags.add(flag)
        else:
            flags.discard(flag)

    def mid(self, product: Product, step: int | None = None) -> Decimal:
        """The mid now, or on the seeded path at `step` (a pin holds only the present, and a recording has no other)."""
        if step is None:
            pinned = self._pinned.get(product.book_id)
            if pinned is not None:
                return pinned
        if playback := self.played(product):
            return playback.last
        if step is None:
            step = self.clock.step
        return prices.mid_price(self.seed, product.book_id, product.level, product.price_increment, step)

    def played(self, product: Product) -> Playback | None:
        """The recording that makes this product's prices, if one does."""
        found = self.playback
        return found if found is not None and found.book_id == product.book_id else None

    def step(self, product: Product) -> int:
        """The product's own time in epoch seconds: the clock's, or the recording's."""
        playback = self.played(product)
        return self.clock.step if playback is None else playback.step

    def candles(self, product: Product, length: int, start: int, end: int) -> list[Candle]:
        """Candles whose start lies in [start, end], newest first, none from the future; the newest may be open."""
        if playback := self.played(product):
            return playback.candles(length, start, end)
        return history.candles(self.seed, product, length, start, end, self.clock.step)

    def tape(self, product: Product, start: int, end: int, limit: int) -> list[Print]:
        """Public trades of the seconds [start, end], newest first."""
        if playback := self.played(product):
            return playback.tape(start, end, limit)
        return history.tape(self.seed, product, start, end, limit)

    def day(self, product: Product) -> Day:
        """What tickers say of the last 24 hours."""
        if playback := self.played(product):
            return playback.day()
        return history.day(self.seed, product, self.clock.step)

    def mid_for_matching(self, product: Product, step: int) -> Decimal:
        """The mid that orders meet at `step`: the pin if there is one."""
        return self._pinned.get(product.book_id) or self.mid(product, step)

    def crosses(self, product: Product, side: str, limit: Decimal, step: int) -> bool:
        """Whether the other side's best price at `step` is within `limit`: asked of every resting order every step."""
        mid = self.mid_for_matching(product, step)
        known = self._best.get(product.book_id)
        if known is None or known[0] != mid:
            known = (mid, book.best(product, mid))
            self._best[product.book_id] = known
        bid, ask = known[1]
        return ask <= limit if side == "BUY" else bid >= limit

    def last(self, product: Product) -> Decimal:
        """The last trade price: the mid on the price grid."""
        return floor_to(self.mid(product), product.price_increment)

    def best(self, product: Product) -> tuple[Decimal, Decimal]:
        """Best bid and ask now."""
        return book.best(product, self.mid(product))

    def levels(self, product: Product, side: str, step: int | None = None) -> Iterator[Level]:
        """What is left of one side of the book ("bids" or "asks") at `step`."""
        at = self.clock.step if step is None else step
        full = book.ladder(self.seed, product, self.mid_for_matching(product, at), at, side)
        return book.without(full, self.taken(product, side, at))

    def taken(self, product: Product, side: str, step: int) -> Decimal:
        """Base size that orders took from one side during `step`."""
        when, size = self._taken.get((product.book_id, side), (step, ZERO))
        return size if when == step else ZERO

    def take(self, product: Product, side: str, step: int, size: Decimal) -> None:
        """Remember that `size` is gone until the next step."""
        self._taken[(product.book_id, side)] = (step, self.taken(product, side, step) + size)
