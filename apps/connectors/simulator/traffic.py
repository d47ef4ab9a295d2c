"""What reached the venue: every request with its bytes, and how often each create was asked for."""

import base64
import hashlib
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from apps.connectors.simulator.clock import rfc3339
from apps.connectors.simulator.faults import Fault, Kind

LOG_LENGTH = 10_000


def credential_of(bearer: str, *, is_oauth: bool) -> str:
    """What a request came with, as the log shows it: no token is in it, and which of OAuth's it was can be told."""
    if not bearer:
        return ""
    return f"oauth:{hashlib.sha256(bearer.encode()).hexdigest()[:16]}" if is_oauth else "key"


@dataclass
class LoggedRequest:
    """What reached the venue, byte for byte, and what came of it. Handlers fill in the last fields."""

    micros: int
    method: str
    path: str
    query: str
    endpoint: str
    body: bytes
    created_order: bool = False
    order_id: str = ""
    status: int | None = None
    note: str = ""
    credential: str = ""
    struck: list[Fault] = field(default_factory=list)

    def fault(self, kind: Kind) -> Fault | None:
        """The fault of that kind that struck this request."""
        return next((fault for fault in self.struck if fault.kind is kind), None)

    def as_json(self) -> dict[str, Any]:
        """As GET /simulator/requests shows it; `status` is null where no answer was sent."""
        return {
            "time": rfc3339(self.micros),
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "endpoint": self.endpoint,
            "body": base64.b64encode(self.body).decode(),
            "created_order": self.created_order,
            "order_id": self.order_id,
            "status": self.status,
            "fault": ",".join(fault.kind for fault in self.struck),
            "note": self.note,
            "credential": self.credential,
        }


@dataclass
class _Asked:
    """How often one client_order_id was asked for, and with how many different bodies."""

    requests: int = 0
    bodies: set[bytes] = field(default_factory=set)


class Traffic:
    """The log, and a count per client_order_id that the log's length does not bound."""

    def __init__(self) -> None:
        self.log: deque[LoggedRequest] = deque(maxlen=LOG_LENGTH)
        self._asked: dict[str, _Asked] = {}

    def clear(self) -> None:
        """As if nothing had come yet."""
        self.log.clear()
        self._asked.clear()

    def note(self, request: LoggedRequest) -> None:
        """Remember a request as it arrives, whatever becomes of it."""
        self.log.append(request)
        if request.endpoint == "create":
            asked = self._asked.setdefault(_client_order_id(request.body), _Asked())
            asked.requests += 1
            asked.bodies.add(hashlib.sha256(request.body).digest())

    def asked(self) -> dict[str, dict[str, int]]:
        """Per client_order_id ("" for bodies without one): create requests that arrived, and different bodies."""
        return {name: {"requests": asked.requests, "bodies": len(asked.bodies)} for name, asked in self._asked.items()}


def _client_order_id(body: bytes) -> str:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    name = content.get("client_order_id") if isinstance(content, dict) else None
    return name if isinstance(name, str) else ""
