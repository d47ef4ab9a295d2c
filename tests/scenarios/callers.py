"""People and programs that use a running Aika over HTTP, as a browser and a script do."""

import re
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid4

import httpx

ANSWER_S_MAX = 30
# Plenty on a busy machine; nothing is asserted about it but that it comes.
EVENTUALLY_S_MAX = 150.0
T = TypeVar("T")
CSRF = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


def eventually(what: Callable[[], T], *, seconds: float = EVENTUALLY_S_MAX) -> T:
    """The first true answer, or the last answer once the time is over."""
    deadline = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


class Person:
    """Somebody signed in through the sign-in page."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url
        self.browser = httpx.Client(base_url=url, timeout=ANSWER_S_MAX, follow_redirects=True)
        page = self.browser.get("/accounts/login/")
        token = CSRF.search(page.text)
        assert token, f"{page.status_code}: {page.text[:300]}"
        self.entered = self.browser.post(
            "/accounts/login/",
            data={"login": username, "password": password, "csrfmiddlewaretoken": token[1]},
            headers={"Referer": f"{url}/accounts/login/"},
        )
        assert self.entered.status_code == 200, self.entered.text[:300]

    def waiting(self) -> list[dict[str, Any]]:
        """What this person may decide now."""
        return list(self.browser.get("/api/v1/approvals").json()["items"])

    def approve(self, proposal: str) -> dict[str, Any]:
        """Look until there is something to approve (a fresh price, that is), then approve what was seen."""
        vote = eventually(lambda: self.browser.get(f"/api/v1/approvals/{proposal}").json()["vote"])
        assert vote, self.browser.get(f"/api/v1/approvals/{proposal}").text
        answer = self.browser.post(
            f"/api/v1/approvals/{proposal}/approve",
            json={**vote, "comment": "Seen, and fine."},
            headers={"X-CSRFToken": self.browser.cookies["csrftoken"], "Referer": f"{self.url}/"},
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def close(self) -> None:
        """Leave, without signing out."""
        self.browser.close()


class Program:
    """A script with an API key."""

    def __init__(self, url: str, api_key: str, connection: str = "coinbase-paper") -> None:
        self.connection = connection
        self.client = httpx.Client(
            base_url=f"{url}/api/v1", timeout=ANSWER_S_MAX, headers={"Authorization": f"Bearer {api_key}"}
        )

    def propose(self, quantity: str, instrument: str = "BTC-USD") -> dict[str, Any]:
        """Buy a little through the market; the answer."""
        (row,) = self.client.get("/quotes", params={"connection": self.connection, "instrument": instrument}).json()[
            "items"
        ]
        price = (Decimal(row["quote"]["ask"]) * Decimal("1.002")).quantize(Decimal("0.01"))
        answer = self.client.post(
            "/trades/proposals",
            json={
                "connection": self.connection,
                "instrument": instrument,
                "side": "BUY",
                "order_type": "LIMIT",
                "time_in_force": "GTC",
                "quantity": quantity,
                "limit_price": str(price),
                "rationale": "Because the scenario says so.",
            },
            headers={"Idempotency-Key": str(uuid4())},
        )
        assert answer.status_code == 201, answer.text
        found = dict(answer.json())
        assert found["state"] == "AWAITING_APPROVAL", (found["end_code"], found["decision"]["remedy"])
        return found

    def story(self, proposal: str) -> dict[str, Any]:
        """A proposal with all that followed from it."""
        answer = self.client.get(f"/trades/proposals/{proposal}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def order_state(self, proposal: str) -> str:
        """The state of its order; empty while there is none."""
        return str((self.story(proposal)["order"] or {}).get("state", ""))

    def followed_to(self, proposal: str, state: str) -> dict[str, Any]:
        """The story once its order is in that state."""
        eventually(lambda: self.order_state(proposal) == state)
        story = self.story(proposal)
        assert (story["order"] or {}).get("state") == state, story
        return story

    def close(self) -> None:
        """Done."""
        self.client.close()
