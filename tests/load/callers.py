"""The programs that ask, each as over a network: only the public API."""

import random
import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx

from tests.load.diary import Diary
from tests.scenarios.callers import ANSWER_S_MAX

CONNECTION = "coinbase-paper"
# About fifty dollars each, so that a day's orders are within what the paper account holds.
SIZES = {"BTC-USD": "0.0005", "ETH-USD": "0.02", "SOL-USD": "0.4", "ADA-USD": "100", "DOGE-USD": "300"}
RESTRICTED = "LTC-USD"
TOO_MANY = {"BTC-USD": "0.6", "ETH-USD": "6", "SOL-USD": "20", "ADA-USD": "20000", "DOGE-USD": "60000"}
DENIED_SHARE, MARKET_SHARE, SELL_SHARE = 0.15, 0.2, 0.6
# So many of one agent's proposals wait at most; it takes the oldest back before it asks again.
WAITING_MAX = 3
AGAIN_S = 1.0
Row = dict[str, Any]


@dataclass
class Asked:
    """A proposal as its agent knows it."""

    id: str
    instrument: str
    side: str
    quantity: str
    is_approved: bool = False


@dataclass
class Agent:
    """A program with a key: asks at its pace until told to stop, follows what it asked, takes back what waits long."""

    url: str
    name: str
    key: str
    every_s: float
    diary: Diary
    enough: threading.Event
    over: threading.Event
    seed: int
    waiting: list[Asked] = field(default_factory=list)
    holds: list[Asked] = field(default_factory=list)

    def run(self) -> None:
        """Until `enough`; then it only follows, until `over`, and takes back what still waits."""
        self.chance = random.Random(self.seed)
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=f"{self.url}/api/v1", timeout=ANSWER_S_MAX, headers=headers) as self.client:
            self.over.wait(self.chance.random() * self.every_s)
            while not self.enough.is_set():
                began = self.diary.now()
                self.turn()
                self.over.wait(max(0.0, began + self.every_s - self.diary.now()))
            while not self.over.is_set():
                self.follow()
                self.take_back()
                self.over.wait(AGAIN_S)

    def turn(self) -> None:
        """Look at what waits, and ask for one more."""
        self.follow()
        if sum(not asked.is_approved for asked in self.waiting) >= WAITING_MAX:
            self.take_back()
        wish = self.wish()
        if wish is not None:
            self.ask(wish)

    def follow(self) -> None:
        """Read every proposal that has not ended; what was bought can be sold."""
        for asked in self.waiting[:]:
            answer = self.diary.send(self.client, "agent", "follow", "GET", f"/trades/proposals/{asked.id}")
            if answer is None or answer.status_code != 200:
                continue
            story = answer.json()
            order = story["order"] or {}
            asked.is_approved = story["state"] == "APPROVED"
            if asked.is_approved and order.get("state") not in ("FILLED", "CANCELED", "REJECTED"):
                continue
            if story["state"] != "AWAITING_APPROVAL":
                self.waiting.remove(asked)
                if order.get("state") == "FILLED" and asked.side == "BUY":
                    self.holds.append(asked)

    def take_back(self) -> None:
        """The one that has waited longest. A person may have been faster: then it asks for a cancel, or is a 409."""
        asked = next((asked for asked in self.waiting if not asked.is_approved), None)
        if asked is None:
            return
        body = {"reason": "Something newer."}
        self.diary.send(
            self.client, "agent", "withdraw", "POST", f"/trades/proposals/{asked.id}/withdraw", json=body,
            headers={"Idempotency-Key": str(uuid4())},
        )  # fmt: skip

    def wish(self) -> Row | None:
        """The body of a proposal at the price of now; None where there is no price."""
        chance = self.chance
        instrument, side = chance.choice(sorted(SIZES)), "BUY"
        quantity = Decimal(SIZES[instrument]) * chance.randint(800, 1200) / 1000
        denied = chance.random() < DENIED_SHARE
        if denied:
            instrument = chance.choice([RESTRICTED, instrument])
            quantity = Decimal(TOO_MANY.get(instrument, "5"))
        elif self.holds and chance.random() < SELL_SHARE:
            held = self.holds.pop(0)
            instrument, side, quantity = held.instrument, "SELL", Decimal(held.quantity)
        where = {"connection": CONNECTION, "instrument": instrument}
        answer = self.diary.send(self.client, "agent", "quote", "GET", "/quotes", params=where)
        rows = answer.json()["items"] if answer is not None and answer.status_code == 200 else []
        quote = rows[0]["quote"] if rows else None
        if quote is None or quote["stale"]:
            self.diary.count("no fresh price to ask at")
            if side == "SELL":
                self.holds.append(held)
            return None
        step, grid = Decimal(rows[0]["quantity_increment"]), Decimal(rows[0]["price_increment"])
        body: Row = {
            **where, "side": side, "order_type": "LIMIT", "time_in_force": "GTC",
            "quantity": f"{quantity // step * step:f}", "rationale": "Because there is load.",
        }  # fmt: skip
        if chance.random() < MARKET_SHARE:
            return {**body, "order_type": "MARKET", "time_in_force": "IOC"}
        price = Decimal(quote["ask"]) * Decimal("1.004") if side == "BUY" else Decimal(quote["bid"]) * Decimal("0.996")
        return {**body, "limit_price": f"{price // grid * grid:f}"}

    def ask(self, body: Row) -> None:
        """Until there is an answer that is one: every try is the same request."""
        key = {"Idempotency-Key": str(uuid4())}
        while not self.over.is_set():
            answer = self.diary.send(
                self.client, "agent", "propose", "POST", "/trades/proposals", json=body, headers=key
            )
            if answer is not None and answer.status_code not in (409, 429, 500, 502, 503):
                break
            self.over.wait(AGAIN_S)
        else:
            return
        told = answer.json()
        if answer.status_code != 201:
            self.diary.mark("refused", f"{answer.status_code} {told.get('code')}: {told.get('detail')}")
            return
        state = told["state"]
        codes = (
            ",".join(told["decision"]["codes"])
            if state == "DENIED" and "codes" in told["decision"]
            else told["end_code"]
        )
        self.diary.count(f"proposal {state}{f' {codes}' if state == 'DENIED' else ''}")
        if state == "AWAITING_APPROVAL":
            self.diary.success("accepted")
            self.waiting.append(Asked(told["id"], body["instrument"], body["side"], body["quantity"]))
