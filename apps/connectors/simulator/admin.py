"""The operator's side door under /simulator/: for tests and demos, never for the product's connector."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from apps.connectors.simulator import faults, socket_faults, wire
from apps.connectors.simulator.amounts import parse_plain, text_of
from apps.connectors.simulator.clock import Clock, rfc3339
from apps.connectors.simulator.errors import ApiError, invalid_argument
from apps.connectors.simulator.exchange import DUPLICATE_MODES
from apps.connectors.simulator.order_rest import read_object
from apps.connectors.simulator.products import FLAGS, OPENING_BALANCES, PRODUCTS, Product
from apps.connectors.simulator.records import OrderFilter

if TYPE_CHECKING:
    from apps.connectors.simulator.app import VenueApp

Handler = Callable[[Request], Awaitable[Response]]
MAX_SKEW_S = 86_400
MAX_STEP = 2**33
"""A second in the year 2242: enough for tests, and dates still exist there."""

NUMBERS = (
    *("pending_ms", "visible_ms", "cancel_ms", "subscribe_ms", "heartbeat_ms", "idle_ms"),
    *("connects_per_s", "book_age_ms"),
)

LOOPBACK = frozenset({"localhost", "127.0.0.1"})


def routes(app: "VenueApp") -> list[Route]:
    """All admin routes."""
    door = Admin(app)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/health", door.health),
        ("POST", "/faults", door.add_fault),
        ("GET", "/faults", door.list_faults),
        ("DELETE", "/faults", door.clear_faults),
        ("POST", "/price", door.price),
        ("POST", "/clock", door.clock),
        ("POST", "/reset", door.reset),
        ("GET", "/replay", door.replay),
        ("POST", "/replay", door.begin_replay),
        ("POST", "/product", door.product),
        ("POST", "/fills/correction", door.correct_fill),
        ("GET", "/requests", door.requests),
        ("GET", "/orders", door.orders),
        ("GET", "/creates", door.creates),
        ("POST", "/options", door.options),
        ("POST", "/release", door.release),
        ("GET", "/sockets", door.sockets),
        ("POST", "/sockets", door.add_socket_fault),
        ("DELETE", "/sockets", door.clear_socket_faults),
    ]
    return [Route(f"/simulator{path}", local(handler), methods=[method]) for method, path, handler in table]


def local(handler: Handler) -> Handler:
    """Refuse whatever a browser page could send: an Origin header, or a host name that is not this machine's."""

    async def checked(request: Request) -> Response:
        host = request.headers.get("host", "").partition(":")[0].lower()
        if "origin" in request.headers or host not in LOOPBACK:
            raise ApiError(403, "PERMISSION_DENIED", "the simulator's admin endpoints are not for browsers")
        return await handler(request)

    return checked


def _product_of(body: dict[str, Any]) -> Product:
    product = PRODUCTS.get(str(body.get("product_id")))
    if product is None:
        raise invalid_argument("unknown product_id")
    return product


def _amount_of(value: object, name: str) -> Decimal:
    amount = parse_plain(value)
    if amount is None:
        raise invalid_argument(f"{name} must be a decimal in a string")
    return amount


class Admin:
    """Handlers of the side door."""

    def __init__(self, app: "VenueApp") -> None:
        self._app = app
        self._exchange = app.exchange
        self._market = app.exchange.market

    async def health(self, request: Request) -> Response:
        """GET health."""
        clock = self._market.clock
        return JSONResponse(
            {
                "status": "ok",
                "seed": self._market.seed,
                "step": clock.step,
                "frozen": clock.frozen,
                "key_name": self._app.key.name,
                "orders": len(self._exchange.store.orders(OrderFilter())),
                "requests": len(self._app.traffic.log),
            }
        )

    async def list_faults(self, request: Request) -> Response:
        """GET faults: those still in force."""
        return JSONResponse({"faults": [fault.as_json() for fault in self._app.faults.active]})

    async def add_fault(self, request: Request) -> Response:
        """POST faults: one more."""
        try:
            self._app.faults.add(faults.parse(await read_object(request)))
        except faults.FaultError as error:
            raise invalid_argument(str(error)) from error
        return await self.list_faults(request)

    async def clear_faults(self, request: Request) -> Response:
        """DELETE faults."""
        self._app.faults.clear()
        return await self.list_faults(request)

    async def price(self, request: Request) -> Response:
        """POST price: pin a mid, or let it go with null. Resting orders meet the new price at once."""
        body = await read_object(request)
        product, value = _product_of(body), body.get("mid")
        mid = None if value is None else _amount_of(value, "mid")
        if mid is not None and mid < product.price_increment:
            raise invalid_argument("mid is below one price increment")
        self._market.pin(product, mid)
        self._exchange.advance(again=True)
        bid, ask = self._market.best(product)
        return JSONResponse({"product_id": product.product_id, "bid": text_of(bid), "ask": text_of(ask)})

    async def clock(self, request: Request) -> Response:
        """POST clock: freeze, move, release the path; let the venue's clock be wrong."""
        body = await read_object(request)
        frozen, step, skew = body.get("frozen"), body.get("step"), body.get("skew_s", Clock.skew_s)
        clock = self._market.clock
        if type(skew) is not int or abs(skew) > MAX_SKEW_S:
            raise invalid_argument(f"skew_s is a whole number of seconds, {MAX_SKEW_S} at most")
        Clock.skew_s = skew
        if frozen not in (None, True, False) or isinstance(step, bool) or not isinstance(step, int | None):
            raise invalid_argument("frozen is true or false, step a whole number")
        if step is not None and (frozen is False or not 0 <= step <= MAX_STEP):
            raise invalid_argument("a step is given only to a frozen clock, and is a second of this age")
        if frozen is False:
            clock.release()
        elif frozen or step is not None:
            clock.freeze(step)
        self._exchange.advance()
        return JSONResponse({"frozen": clock.frozen, "step": clock.step} | ({"skew_s": skew} if skew else {}))

    async def replay(self, request: Request) -> Response:
        """GET replay: how far the recording has been played; 404 without one."""
        playback = self._market.playback
        if playback is None:
            raise ApiError(404, "NOT_FOUND", "nothing is replayed")
        return JSONResponse(
            {
                "product_id": playback.book_id,
                "at": rfc3339(playback.micros),
                "played": playback.played,
                "trades": playback.length,
                "done": playback.is_done,
            }
        )

    async def begin_replay(self, request: Request) -> Response:
        """POST replay: begin one that waits."""
        if self._market.playback is not None:
            self._market.playback.begin()
        return await self.replay(request)

    async def reset(self, request: Request) -> Response:
        """POST reset: a fresh account, no orders, no faults, no pins, an empty log."""
        body = await read_object(request) if await request.body() else {}
        balances = body.get("balances", {})
        if not isinstance(balances, dict) or not balances.keys() <= OPENING_BALANCES.keys():
            raise invalid_argument("balances maps known currencies to decimals in strings")
        wanted = {currency: _amount_of(value, currency) for currency, value in balances.items()}
        if "cash" in body:
            wanted["USD"] = _amount_of(body["cash"], "cash")
        self._exchange.reset(wanted)
        self._app.reset()
        return await self.health(request)

    async def product(self, request: Request) -> Response:
        """POST product: switch its flags."""
        body = await read_object(request)
        product = _product_of(body)
        switches = {name: value for name, value in body.items() if name != "product_id"}
        if not switches.keys() <= set(FLAGS) or not all(isinstance(value, bool) for value in switches.values()):
            raise invalid_argument(f"flags are true or false: {', '.join(FLAGS)}")
        for flag, on in switches.items():
            self._market.switch(product, flag, on)
        return JSONResponse(wire.product(product, self._market))

    async def correct_fill(self, request: Request) -> Response:
        """POST fills/correction: reverse one fill."""
        entry_id = str((await read_object(request)).get("entry_id"))
        reversal = self._exchange.reverse(entry_id)
        if reversal is None:
            raise ApiError(404, "NOT_FOUND", "no such fill, or it has been reversed already")
        return JSONResponse({"fill": wire.fill(reversal, self._exchange.user_id, self._exchange.portfolio_id)})

    async def requests(self, request: Request) -> Response:
        """GET requests: what reached the venue, oldest first."""
        return JSONResponse({"requests": [entry.as_json() for entry in self._app.traffic.log]})

    async def orders(self, request: Request) -> Response:
        """GET orders: every order there ever was since the last reset, oldest first, visible or not."""
        exchange = self._exchange
        rows = reversed(exchange.store.orders(OrderFilter()))
        return JSONResponse({"orders": [wire.order(row, exchange.user_id, exchange.portfolio_id) for row in rows]})

    async def creates(self, request: Request) -> Response:
        """GET creates: per client_order_id how often it was asked for, with how many bodies, and what there is of it.

        A request that a fault stopped before it was served counts as asked.
        """
        placed = {order.client_order_id: order for order in self._exchange.store.orders(OrderFilter())}
        asked = self._app.traffic.asked()
        rows = [
            {
                "client_order_id": name,
                **asked.get(name, {"requests": 0, "bodies": 0}),
                "order_id": placed[name].order_id if name in placed else "",
                "status": placed[name].status if name in placed else "",
            }
            for name in sorted(asked.keys() | placed.keys())
        ]
        return JSONResponse({"creates": rows})

    async def options(self, request: Request) -> Response:
        """POST options: how the venue behaves until the next reset."""
        body = await read_object(request)
        numbers = {name: value for name, value in body.items() if name != "duplicate_mode"}
        if not numbers.keys() <= set(NUMBERS) or not all(
            type(value) is int and value >= 0 for value in numbers.values()
        ):
            raise invalid_argument(f"{', '.join(NUMBERS)} are whole numbers")
        if body.get("duplicate_mode", "replay") not in DUPLICATE_MODES:
            raise invalid_argument(f"duplicate_mode is one of {', '.join(DUPLICATE_MODES)}")
        self._exchange.options = options = replace(self._exchange.options, **body)
        return JSONResponse({name: getattr(options, name) for name in ("duplicate_mode", *NUMBERS)})

    async def release(self, request: Request) -> Response:
        """POST release: late requests arrive now, and lists know every order."""
        return JSONResponse({"released": await self._app.release()})

    async def sockets(self, request: Request) -> Response:
        """GET sockets: who is connected, what they asked for, how it went, and the faults in force."""
        return JSONResponse(self._app.sockets.as_json())

    async def add_socket_fault(self, request: Request) -> Response:
        """POST sockets: one more fault; drop and close act at once."""
        try:
            self._app.sockets.add_fault(socket_faults.parse(await read_object(request)))
        except faults.FaultError as error:
            raise invalid_argument(str(error)) from error
        return await self.sockets(request)

    async def clear_socket_faults(self, request: Request) -> Response:
        """DELETE sockets: sockets behave again; who is connected stays."""
        self._app.sockets.faults.active.clear()
        return await self.sockets(request)
