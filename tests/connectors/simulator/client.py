"""A client of the test's own hand: it shares nothing with the simulator but the key file and the wire."""

import json
import secrets
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt

PREFIX = "/api/v3/brokerage"
Configuration = dict[str, dict[str, Any]]


class Client:
    """Signs each request with the key in the file."""

    def __init__(self, http: httpx.Client, key_file: Path) -> None:
        self.http = http
        self.key = json.loads(key_file.read_text())
        self.host = http.base_url.netloc.decode()

    def token(self, method: str, path: str, **changes: Any) -> str:
        now = int(time.time())
        claims = {
            "sub": self.key["name"],
            "iss": "cdp",
            "nbf": now,
            "exp": now + 120,
            "uri": f"{method} {self.host}{path}",
        }
        header = {"kid": changes.pop("kid", self.key["name"]), "nonce": secrets.token_hex()}
        signing_key = changes.pop("signing_key", self.key["privateKey"])
        algorithm = changes.pop("algorithm", "ES256")
        merged = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(merged, signing_key, algorithm=algorithm, headers=header)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        token = self.token(method, PREFIX + path)
        return self.http.request(method, PREFIX + path, headers={"Authorization": f"Bearer {token}"}, **options)

    def get(self, path: str, **params: Any) -> Any:
        response = self.call("GET", path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    def body(self, configuration: Configuration, side: str, product_id: str, client_order_id: str | None) -> Any:
        return {
            "client_order_id": client_order_id or str(uuid.uuid4()),
            "product_id": product_id,
            "side": side,
            "order_configuration": configuration,
        }

    def create(
        self,
        configuration: Configuration,
        side: str = "BUY",
        product_id: str = "BTC-USD",
        client_order_id: str | None = None,
    ) -> Any:
        response = self.call("POST", "/orders", json=self.body(configuration, side, product_id, client_order_id))
        assert response.status_code == 200, response.text
        return response.json()

    def place(self, configuration: Configuration, side: str = "BUY", product_id: str = "BTC-USD") -> str:
        """Create, insist on acceptance, return the venue's id."""
        reply = self.create(configuration, side, product_id)
        assert reply["success"], reply
        return str(reply["success_response"]["order_id"])

    def order(self, order_id: str) -> Any:
        return self.get(f"/orders/historical/{order_id}")["order"]

    def fills(self, order_id: str) -> Any:
        return self.get("/orders/historical/fills", order_ids=order_id)["fills"]

    def cancel(self, *order_ids: str) -> Any:
        return self.call("POST", "/orders/batch_cancel", json={"order_ids": list(order_ids)}).json()["results"]

    def balances(self) -> dict[str, tuple[str, str]]:
        """Available and hold by currency."""
        rows = self.get("/accounts")["accounts"]
        return {row["currency"]: (row["available_balance"]["value"], row["hold"]["value"]) for row in rows}

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        response = self.http.request(method, f"/simulator{path}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def pin(self, mid: str | None, product_id: str = "BTC-USD") -> Any:
        return self.admin("POST", "/price", {"product_id": product_id, "mid": mid})

    def step(self, step: int) -> None:
        self.admin("POST", "/clock", {"frozen": True, "step": step})


MakeClient = Callable[..., Client]
