"""Accounts, portfolio, key permissions, fees and time."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from apps.connectors.simulator import query, wire
from apps.connectors.simulator.errors import ApiError
from apps.connectors.simulator.exchange import Exchange
from apps.connectors.simulator.records import FillFilter


class AccountRest:
    """Handlers for what belongs to the account as a whole."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def accounts(self, request: Request) -> Response:
        """GET accounts."""
        limit = query.limit(request.query_params, 49, 250)
        start = query.cursor(request.query_params, "accounts") or 0
        balances = self._exchange.store.balances()
        page = balances[start : start + limit]
        has_next = start + limit < len(balances)
        return JSONResponse(
            {
                "accounts": [wire.account(balance, self._exchange.portfolio_id) for balance in page],
                "has_next": has_next,
                "cursor": query.cursor_at("accounts", start + limit) if has_next else "",
                "size": len(page),
            }
        )

    async def account(self, request: Request) -> Response:
        """GET accounts/{uuid}."""
        for balance in self._exchange.store.balances():
            if balance.uuid == request.path_params["uuid"]:
                return JSONResponse({"account": wire.account(balance, self._exchange.portfolio_id)})
        raise ApiError(404, "NOT_FOUND", "account with this uuid was not found")

    async def portfolios(self, request: Request) -> Response:
        """GET portfolios: one, the default."""
        row = {"name": "Default", "uuid": self._exchange.portfolio_id, "type": "DEFAULT", "deleted": False}
        wanted = request.query_params.get("portfolio_type", "")
        return JSONResponse({"portfolios": [row] if wanted in ("", "UNDEFINED", "DEFAULT") else []})

    async def key_permissions(self, request: Request) -> Response:
        """GET key_permissions: view and trade, never transfer."""
        return JSONResponse(
            {
                "can_view": True,
                "can_trade": True,
                "can_transfer": False,
                "portfolio_uuid": self._exchange.portfolio_id,
                "portfolio_type": "DEFAULT",
            }
        )

    async def transaction_summary(self, request: Request) -> Response:
        """GET transaction_summary."""
        fills = [fill for fill in self._exchange.store.fills(FillFilter()) if fill.trade_type == "FILL"]
        return JSONResponse(wire.transaction_summary(self._exchange, fills))

    async def time(self, request: Request) -> Response:
        """GET time (public)."""
        return JSONResponse(wire.server_time())
