"""Who stands before the doors, what lies behind them, and what a caller is told."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import uuid4

from django.contrib.messages import constants, get_messages
from django.test import Client

from apps.accounts.models import User
from apps.accounts.types import Role
from apps.lessons.models import RecallItem
from apps.trades.models import Proposal
from tests.factories.desk import PaperDesk
from tests.factories.tampering import undone

# What the letters of the matrix stand for: capitals sit at the desk, small letters at another one.
ROLES = {"T": Role.TRADER, "A": Role.APPROVER, "R": Role.RISK, "O": Role.OPERATOR, "U": Role.AUDITOR}
LETTERS = "TAROU" + "tarou" + "SXVYNK"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


class Said(NamedTuple):
    """An answer, as far as it says whether somebody got in and whether it was done. `warned` is what a page says of it
    that is no good news."""

    status: int
    location: str
    warned: tuple[str, ...]
    text: str

    @classmethod
    def of(cls, answer: Any) -> "Said":
        told = get_messages(answer.wsgi_request)
        warned = tuple(str(item) for item in told if item.level >= constants.WARNING)
        return cls(answer.status_code, answer.get("Location", ""), warned, answer.content.decode("utf-8", "replace"))


class Setting(NamedTuple):
    """Who stands before the doors, and what lies behind them."""

    persons: dict[str, User]
    headers: dict[str, dict[str, str]]
    cookies: dict[str, Any]
    objects: dict[str, dict[str, object]]
    paper: PaperDesk
    waiting: Proposal
    approved: Proposal
    item: RecallItem

    def ask(self, letter: str, method: str, path: str, body: Callable[[], dict[str, Any]] = dict) -> "Said":
        """What this caller is told; whatever it changed is taken back, and whatever making the body changed."""
        with undone():
            return Said.of(self.send(letter, method, path, body()))

    def send(self, letter: str, method: str, path: str, body: dict[str, Any] | bytes | None = None) -> Any:
        """The answer to this caller, whose changes stay. A body is a form, or JSON below /api/, where bytes stay so."""
        headers = {"Idempotency-Key": str(uuid4()), **self.headers.get(letter, {})}
        client = Client(raise_request_exception=False, headers=headers)
        client.cookies.update(self.cookies.get(letter, {}))
        if path.startswith("/api/"):
            raw = body if isinstance(body, bytes) else json.dumps(body or {})
            return client.generic(method, path, raw, content_type="application/json")
        if method in ("GET", "POST"):
            return client.post(path, body or {}) if method == "POST" else client.get(path)
        return client.generic(method, path)

    def values(self, route: str) -> dict[str, object]:
        """What to put into the varying parts of this route: the row made for it, else that of its kind."""
        special = next((values for part, values in self.objects.items() if part and part in route), {})
        return self.objects[""] | self.objects.get(route, special)
