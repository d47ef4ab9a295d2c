"""The routes under /api/v3/brokerage, and which of them need a token."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from apps.connectors.simulator import keys, oauth_rest
from apps.connectors.simulator.account_rest import AccountRest
from apps.connectors.simulator.exchange import Exchange
from apps.connectors.simulator.keys import ApiKey
from apps.connectors.simulator.market_rest import MarketRest
from apps.connectors.simulator.oauth import OAuthServer
from apps.connectors.simulator.order_rest import OrderRest
from apps.connectors.simulator.traffic import LoggedRequest, credential_of

PREFIX = "/api/v3/brokerage"
Handler = Callable[[Request], Awaitable[Response]]


def routes(exchange: Exchange, key: ApiKey, oauth: OAuthServer) -> list[Route]:
    """All REST routes of the venue."""

    def private(handler: Handler) -> Handler:
        async def checked(request: Request) -> Response:
            authorization = request.headers.get("authorization", "")
            host = request.headers.get("host", "")
            bearer = authorization.partition(" ")[2]
            entry: LoggedRequest = request.scope["venue.request"]
            entry.credential = credential_of(bearer, is_oauth=oauth.is_ours(bearer))
            if oauth.is_ours(bearer):
                oauth_rest.check_bearer(oauth, bearer, request.method, request.url.path.removeprefix(PREFIX))
            else:
                keys.verify(key, authorization, request.method, host, request.url.path)
            return await handler(request)

        return checked

    account, market, order = AccountRest(exchange), MarketRest(exchange), OrderRest(exchange)
    # Starlette adds HEAD to GET; the order matters where a path parameter could swallow a name.
    private_routes: list[tuple[str, str, Handler]] = [
        ("GET", "/accounts", account.accounts),
        ("GET", "/accounts/{uuid}", account.account),
        ("GET", "/portfolios", account.portfolios),
        ("GET", "/key_permissions", account.key_permissions),
        ("GET", "/transaction_summary", account.transaction_summary),
        ("GET", "/best_bid_ask", market.best_bid_ask),
        ("POST", "/orders", order.create),
        ("POST", "/orders/preview", order.preview),
        ("POST", "/orders/batch_cancel", order.cancel),
        ("GET", "/orders/historical/batch", order.list),
        ("GET", "/orders/historical/fills", order.fills),
        ("GET", "/orders/historical/{order_id}", order.get),
    ]
    twins: list[tuple[str, Handler]] = [
        ("/products", market.products),
        ("/products/{product_id}", market.product),
        ("/products/{product_id}/candles", market.candles),
        ("/products/{product_id}/ticker", market.ticker),
        ("/product_book", market.product_book),
    ]
    return [
        Route(f"{PREFIX}/time", account.time, methods=["GET"]),
        *(Route(PREFIX + path, private(handler), methods=[method]) for method, path, handler in private_routes),
        *(Route(PREFIX + path, private(handler), methods=["GET"]) for path, handler in twins),
        *(Route(f"{PREFIX}/market{path}", handler, methods=["GET"]) for path, handler in twins),
    ]
