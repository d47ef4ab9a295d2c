"""What the demo desk traded before anybody looked: a week of closed trades, as a program's record tells them. Pure.

Four of the losses are one mistake, a dip bought with a target and without a stop; people found it in their review. The
texts say so, and the facts do not: the record kept no plan of them. So they are held against an order that names a
target and no stop, and against no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from apps.common.decimals import decimal_text, instant_text
from apps.common.money import floor_to
from apps.connectors.types import Environment
from apps.lessons.types import CaseVerdict, MistakeTag

BPS: Final = 10_000
# Of what was traded, both ways together: the venue's fees for makers.
FEE_BPS: Final = 40
CENT: Final = Decimal("0.01")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a reviewer makes of a loss."""

    mistake: MistakeTag
    verdict: CaseVerdict
    cause: str
    next_time: str


@dataclass(frozen=True, kw_only=True)
class PastTrade:
    """A long trade that is over. Its entry lies `entry_bps` from the price of the day the demo began, its exit
    `result_bps` from the entry; stop and target are basis points below and above the entry, 0 where none was kept."""

    name: str
    instrument: str
    quantity: str
    hours_ago: int
    minutes_held: int
    entry_bps: int
    result_bps: int
    thesis: str
    setup: str
    notes: str = ""
    stop_bps: int = 0
    target_bps: int = 0
    exit_reason: str = ""
    found: Found | None = None


NO_STOP: Final = Found(
    mistake=MistakeTag.NO_STOP,
    verdict=CaseVerdict.PROCESS_ERROR,
    cause="A dip was bought with a target and no stop, and held while it went on falling.",
    next_time="Name the price at which the idea is wrong, and place the stop with the entry.",
)

TRADES: Final = (
    PastTrade(
        name="demo-1", instrument="BTC-USD", quantity="0.02", hours_ago=150, minutes_held=310, entry_bps=-260,
        result_bps=310, stop_bps=150, target_bps=300, setup="pullback", exit_reason="target",
        thesis="Pullback to the hourly mean with falling volume; the trend is whole.",
    ),
    PastTrade(
        name="demo-2", instrument="DOGE-USD", quantity="4000", hours_ago=141, minutes_held=540, entry_bps=180,
        result_bps=-420, setup="dip", exit_reason="by hand", found=NO_STOP,
        thesis="It has fallen far enough and must bounce back to last week's high.",
        notes="No stop was placed. Closed at the low of the day, when nothing was left to hope for.",
    ),
    PastTrade(
        name="demo-3", instrument="ETH-USD", quantity="0.4", hours_ago=126, minutes_held=200, entry_bps=-150,
        result_bps=260, stop_bps=140, target_bps=250, setup="breakout", exit_reason="target",
        thesis="The hour closed above the range of two days, with volume behind it.",
    ),
    PastTrade(
        name="demo-4", instrument="SOL-USD", quantity="8", hours_ago=117, minutes_held=95, entry_bps=90,
        result_bps=-155, stop_bps=150, target_bps=320, setup="breakout", exit_reason="stop",
        thesis="Breakout of the range with the market behind it; out below the middle of the range.",
        notes="The breakout failed and the stop took it, as planned.",
    ),
    PastTrade(
        name="demo-5", instrument="ADA-USD", quantity="900", hours_ago=104, minutes_held=420, entry_bps=-210,
        result_bps=340, stop_bps=160, target_bps=330, setup="pullback", exit_reason="target",
        thesis="Third touch of the rising line; small size, the stop below it.",
    ),
    PastTrade(
        name="demo-6", instrument="SOL-USD", quantity="10", hours_ago=93, minutes_held=660, entry_bps=140,
        result_bps=-510, setup="dip", exit_reason="by hand", found=NO_STOP,
        thesis="Oversold, it must bounce. The size is small, a stop would only be hunted.",
        notes="Held without a stop through the night.",
    ),
    PastTrade(
        name="demo-7", instrument="BTC-USD", quantity="0.015", hours_ago=80, minutes_held=260, entry_bps=-120,
        result_bps=240, stop_bps=120, target_bps=230, setup="breakout", exit_reason="target",
        thesis="Two closes above yesterday's high, and the spread is narrow.",
    ),
    PastTrade(
        name="demo-8", instrument="DOGE-USD", quantity="5000", hours_ago=69, minutes_held=380, entry_bps=120,
        result_bps=-380, setup="dip", exit_reason="by hand", found=NO_STOP,
        thesis="Fallen far enough on no news; the target is yesterday's high.",
        notes="There was a target and no stop. It fell on.",
    ),
    PastTrade(
        name="demo-9", instrument="ETH-USD", quantity="0.3", hours_ago=57, minutes_held=330, entry_bps=-90,
        result_bps=280, stop_bps=130, target_bps=270, setup="pullback", exit_reason="target",
        thesis="Back at the mean of the day after a calm fall; buyers came at the same price twice.",
    ),
    PastTrade(
        name="demo-10", instrument="DOGE-USD", quantity="3500", hours_ago=46, minutes_held=240, entry_bps=-160,
        result_bps=300, stop_bps=170, target_bps=290, setup="breakout", exit_reason="target",
        thesis="The hour closed above the range; the stop lies under it.",
    ),
    PastTrade(
        name="demo-11", instrument="ETH-USD", quantity="0.5", hours_ago=35, minutes_held=510, entry_bps=110,
        result_bps=-350, setup="dip", exit_reason="by hand", found=NO_STOP,
        thesis="It must bounce from here; no stop, the size is small.",
        notes="No plan for being wrong. Sold when it had lost three times what the last one made.",
    ),
    # Ten minutes after that loss.
    PastTrade(
        name="demo-12", instrument="ETH-USD", quantity="0.9", hours_ago=34, minutes_held=50, entry_bps=70,
        result_bps=-130, stop_bps=120, target_bps=250, setup="pullback", exit_reason="stop",
        thesis="Back in at once with more, to win the loss back.",
        notes="Entered in anger.",
    ),
    PastTrade(
        name="demo-13", instrument="SOL-USD", quantity="7", hours_ago=22, minutes_held=300, entry_bps=-130,
        result_bps=270, stop_bps=150, target_bps=260, setup="pullback", exit_reason="target",
        thesis="Calm return to the hourly mean; the stop below the last low.",
    ),
    PastTrade(
        name="demo-14", instrument="BTC-USD", quantity="0.02", hours_ago=9, minutes_held=190, entry_bps=-80,
        result_bps=210, stop_bps=110, target_bps=200, setup="breakout", exit_reason="target",
        thesis="Closed above the range of the night, and the broad market agrees.",
    ),
)  # fmt: skip

COLUMNS: Final = (
    *("id", "instrument", "side", "quantity", "entry_price", "exit_price", "opened_at", "closed_at", "environment"),
    *("asset_class", "fees", "planned_stop", "planned_target", "thesis", "setup", "exit_reason", "notes", "tags"),
)


def lines(mids: Mapping[str, Decimal], increments: Mapping[str, Decimal], *, now: datetime) -> list[Sequence[str]]:
    """The record as lines of a file of past trades, the names of the columns first. `mids` are the prices of today in
    quote currency per base unit, on grids of `increments`; both by instrument."""
    return [COLUMNS, *(_line(trade, mids[trade.instrument], increments[trade.instrument], now) for trade in TRADES)]


def _line(trade: PastTrade, mid: Decimal, increment: Decimal, now: datetime) -> Sequence[str]:
    def away(price: Decimal, bps: int) -> Decimal:
        return floor_to(price * (BPS + bps) / BPS, increment)

    entry = away(mid, trade.entry_bps)
    closed = now - timedelta(hours=trade.hours_ago)
    quantity = Decimal(trade.quantity)
    return (
        trade.name,
        trade.instrument,
        "BUY",
        trade.quantity,
        decimal_text(entry),
        decimal_text(away(entry, trade.result_bps)),
        instant_text(closed - timedelta(minutes=trade.minutes_held)),
        instant_text(closed),
        Environment.PAPER.value,
        "crypto",
        decimal_text(floor_to(quantity * entry * FEE_BPS / BPS, CENT)),
        decimal_text(away(entry, -trade.stop_bps)) if trade.stop_bps else "",
        decimal_text(away(entry, trade.target_bps)) if trade.target_bps else "",
        trade.thesis,
        trade.setup,
        trade.exit_reason,
        trade.notes,
        trade.found.mistake.value if trade.found else "",
    )
