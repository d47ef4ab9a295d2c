"""`approve to venue`: from the approving POST to the order at the simulator, on the embedded run."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.benchmarks.intake import ROOT
from tests.benchmarks.report import Found, Row

# The demo policy lets a proposer ask 30 times a minute, and the seeding has asked five times.
ROUNDS = 2
APPROVALS_A_ROUND = 24
START_S_MAX = 120


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A running embedded desk: a signed-in approver, a program's key, and the simulator's address."""

    person: httpx.Client
    program: httpx.Client
    simulator: str


@contextmanager
def embedded() -> Iterator[Desk]:
    """`python -m config.serve` with its data in a folder of its own, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="aika-bench-") as folder:
        command = [sys.executable, "-m", "config.serve", "--port", "8765", "--without-agent"]
        variables = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        variables |= {
            "AIKA_DATA_DIR": folder,
            "DJANGO_SETTINGS_MODULE": "config.settings.local",
            "API_WRITES_PER_MINUTE": "100000",
            "API_READS_PER_MINUTE": "100000",
        }
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE)
        try:
            yield _desk(process, Path(folder))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)


def _desk(process: "subprocess.Popen[bytes]", folder: Path) -> Desk:
    deadline = time.monotonic() + START_S_MAX
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(b"Aika runs at"):
            break
        if time.monotonic() > deadline:
            raise RuntimeError("The desk did not start.")
    demo = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    user = demo["users"]["approver"]
    person = httpx.Client(base_url=demo["url"], timeout=30, follow_redirects=True)
    page = person.get("/accounts/login/").text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None
    answer = person.post(
        "/accounts/login/",
        data={"login": user["username"], "password": user["password"], "csrfmiddlewaretoken": token[1]},
        headers={"Referer": f"{demo['url']}/accounts/login/"},
    )
    assert answer.status_code == 200, answer.status_code
    program = httpx.Client(base_url=demo["url"], timeout=30, headers={"Authorization": f"Bearer {demo['api_key']}"})
    port = json.loads((folder / "simulator.json").read_text(encoding="utf-8"))["port"]
    return Desk(person=person, program=program, simulator=f"http://localhost:{port}")


def propose(desk: Desk, number: int) -> str:
    """One small ask that would trade at once; its id."""
    asked = {"connection": "coinbase-paper", "instrument": "BTC-USD"}
    (row,) = desk.program.get("/api/v1/quotes", params=asked).json()["items"]
    ask = Decimal(row["quote"]["ask"])
    body = {
        "connection": "coinbase-paper",
        "instrument": "BTC-USD",
        "side": "BUY",
        "order_type": "LIMIT",
        "time_in_force": "GTC",
        "quantity": f"0.0002{number:04d}",
        "limit_price": str((ask * Decimal("1.002")).quantize(Decimal("0.01"))),
    }
    answer = desk.program.post("/api/v1/trades/proposals", json=body, headers={"Idempotency-Key": str(uuid4())})
    found = answer.json()
    if found.get("state") != "AWAITING_APPROVAL":
        raise RuntimeError(f"The proposal does not wait: {answer.status_code} {answer.text[:400]}")
    return str(found["id"])


def approve(desk: Desk, proposal: str) -> tuple[float, float]:
    """Milliseconds from the approving POST to the venue's receipt of the order, and to the POST's own answer."""
    page = desk.person.get(f"/api/v1/approvals/{proposal}").json()
    body = {name: page["vote"][name] for name in ("digest", "signed_quote", "policy_version", "tier")}
    token = desk.person.cookies.get("csrftoken") or desk.person.cookies.get("__Host-csrftoken") or ""
    start = time.time()
    answer = desk.person.post(
        f"/api/v1/approvals/{proposal}/approve",
        json=body | {"comment": ""},
        headers={"X-CSRFToken": token, "Referer": str(desk.person.base_url)},
    )
    answered = (time.time() - start) * 1000
    if answer.status_code != 200:
        raise RuntimeError(f"The approval was refused: {answer.status_code} {answer.text[:400]}")
    return (received_at(desk, proposal) - start) * 1000, answered


def received_at(desk: Desk, proposal: str) -> float:
    """When the create reached the simulator, by the same machine's clock."""
    story = desk.program.get(f"/api/v1/trades/proposals/{proposal}").json()
    order_id = story["client_order_id"]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for request in httpx.get(f"{desk.simulator}/simulator/requests").json()["requests"]:
            if request["endpoint"] == "create" and order_id in _text(request["body"]):
                return _seconds(request["time"])
        time.sleep(0.02)
    raise RuntimeError("The order did not reach the venue.")


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else datetime.fromisoformat(str(value)).timestamp()


def measure() -> Found:
    """Approvals one after the other, each of a fresh proposal."""
    with embedded() as desk:
        times = []
        for turn in range(ROUNDS):
            if turn:
                time.sleep(60)
            times += [approve(desk, propose(desk, 100 * turn + number)) for number in range(APPROVALS_A_ROUND)]
    arrived = sorted(one for one, _ in times)
    answered = sorted(one for _, one in times)
    p95 = arrived[int(len(arrived) * 0.95)]
    return Found(
        name="approve to venue",
        work=f"{ROUNDS * APPROVALS_A_ROUND} approvals on the embedded run (one process, SQLite, filesystem broker): "
        "from the approving POST until the simulator has the order. In between: judged again under a lock, vote, "
        "authority, order, commit, publish, claim with a third judgement, commit, HTTP.",
        rows=(
            Row(what="POST to order at the venue", unit="ms", aika=arrived, aim="p95 under 150"),
            Row(what="POST to its own answer", unit="ms", aika=answered),
        ),
        notes=(f"p95 of the first row: {p95:,.0f} ms.",),
    )
