"""The same path on PostgreSQL and Redis, in the processes of a server installation, and what breaks in them."""

import json
import re
import signal
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.scenarios.callers import Person, Program, eventually
from tests.scenarios.server_profile import Server, Service

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

REPEATS = 5
_sizes = count(1001)


def quantity() -> str:
    """A size nobody asked for before, so that nothing is a duplicate."""
    return f"0.00{next(_sizes):04d}"


@pytest.fixture
def program(server: Server) -> Iterator[Program]:
    """The trader's script."""
    caller = server.program()
    yield caller
    caller.close()


@pytest.fixture
def approver(server: Server) -> Iterator[Person]:
    """The first approver, signed in through the page."""
    person = server.person("approver")
    yield person
    person.close()


@pytest.fixture
def venue_behaves(server: Server) -> Iterator[None]:
    """No fault outlives the test that made it."""
    yield
    server.simulator.clear_faults()


def test_a_proposal_becomes_a_filled_order_through_the_processes_of_a_server(
    server: Server, program: Program, approver: Person
) -> None:
    before = {row["instrument"]: row for row in program.client.get("/positions").json()["items"]}
    asked = program.propose(quantity())
    assert asked["id"] in {item["id"] for item in approver.waiting()}
    assert server.venue_orders(asked["client_order_id"]) == 0

    vote = approver.approve(asked["id"])
    story = program.followed_to(asked["id"], "FILLED")

    assert (vote["state"], vote["approvals"], vote["needed"]) == ("APPROVED", 1, 1)
    assert [(one["verb"], one["approver"]) for one in story["votes"]] == [("APPROVE", "Marta Lind")]
    bought = sum(Decimal(fill["quantity"]) for fill in story["fills"])
    assert bought == Decimal(asked["terms"]["quantity"])
    assert server.venue_orders(asked["client_order_id"]) == 1
    after = {row["instrument"]: row for row in program.client.get("/positions").json()["items"]}
    earlier = Decimal(before["BTC-USD"]["quantity"]) if "BTC-USD" in before else Decimal(0)
    assert Decimal(after["BTC-USD"]["quantity"]) == earlier + bought
    kinds = [
        kind
        for (kind,) in server.rows("SELECT kind FROM audit_event WHERE stream LIKE %s ORDER BY id", f"%{asked['id']}%")
    ]
    assert kinds[0] == "proposal.proposed"
    assert {"order.submitted", "order.accepted", "order.fill", "order.filled"} <= set(kinds)
    who = "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert [name for (name,) in server.rows(who)] == [urlsplit(server.database_url).username]
    assert eventually(lambda: bool(server.rows("SELECT 1 FROM audit_checkpoint LIMIT 1")))
    page = approver.browser.get(f"/admin/decide/{asked['id']}/")
    assert page.status_code == 200
    assert server.manage("audit_verify") == 0, server.managed
    assert server.manage("replay_decisions") == 0, server.managed


def lines(service: Service, logger: str, order_id: str) -> list[dict[str, Any]]:
    """What a process said in one of its loggers about an order; its log is one JSON object a line."""
    told = [json.loads(line) for line in service.said.splitlines() if line.startswith("{")]
    return [line for line in told if line["logger"] == logger and line.get("order_id") == order_id]


def test_the_id_of_a_request_is_on_the_lines_of_web_worker_and_venue_call(
    server: Server, program: Program, approver: Person
) -> None:
    asked = program.propose(quantity())
    approver.browser.headers["X-Request-ID"] = approved_by = f"approving-{asked['id'][:8]}"
    order_id = approver.approve(asked["id"])["order_id"]
    program.followed_to(asked["id"], "FILLED")
    worker, web = server.services["worker-execution"], server.services["web"].said
    leaves = lines(worker, "aika.venue", order_id)
    assert eventually(lambda: bool(lines(worker, "aika.tasks", order_id)))
    for line in [*leaves, *lines(worker, "aika.tasks", order_id)]:
        assert (line["request_id"], line["proposal_id"]) == (approved_by, asked["id"])
    assert [(line["method"], line["status"]) for line in leaves] == [("POST", 200)]
    assert f'"request_id": "{approved_by}"' in web and f'"proposal_id": "{asked["id"]}"' in web
    assert all(line.startswith("{") for line in web.splitlines()), "gunicorn's own lines too"


def received(workers: Iterable[Service]) -> int:
    """How many execution messages came to these workers so far."""
    return sum(len(re.findall(r"trades\.execute_trade\[\S+\] received", worker.said)) for worker in workers)


def test_two_workers_and_one_message_six_times_make_one_order(
    server: Server, program: Program, approver: Person
) -> None:
    second = server.start_service("worker-execution", named="execution2")
    server.wait_for_worker("execution2")
    workers = (server.services["worker-execution"], second)
    before = received(workers)
    asked = program.propose(quantity())
    # Both stand still while the messages come, so that they go for them at the same moment.
    for worker in workers:
        worker.send(signal.SIGSTOP)
    order_id = approver.approve(asked["id"])["order_id"]
    server.publish(order_id, times=REPEATS)
    for worker in workers:
        worker.send(signal.SIGCONT)

    program.followed_to(asked["id"], "FILLED")
    assert eventually(lambda: server.waiting_messages() == 0)
    assert eventually(lambda: received(workers) > before + REPEATS)
    assert server.venue_orders(asked["client_order_id"]) == 1
    assert program.order_state(asked["id"]) == "FILLED"
    assert second.stop() == 0
    del server.services["execution2"]


def test_the_order_of_a_worker_killed_after_its_claim_is_unknown_then_found_and_never_a_second_one(
    server: Server, program: Program, approver: Person, venue_behaves: None
) -> None:
    held = server.taken_messages()
    server.simulator.add_fault("create", "timeout-after", seconds="300", count=1)
    asked = program.propose(quantity())
    order_id = approver.approve(asked["id"])["order_id"]
    assert eventually(lambda: server.venue_orders(asked["client_order_id"]) == 1)

    server.services["worker-execution"].kill()
    assert program.order_state(asked["id"]) == "SUBMITTED"
    server.start_service("worker-execution")
    server.wait_for_worker("worker-execution")
    server.publish(order_id, times=REPEATS)
    program.followed_to(asked["id"], "FILLED")
    server.publish(order_id, times=REPEATS)
    assert eventually(lambda: server.waiting_messages() == 0)
    # The message in the killed worker's hands is never acknowledged; all later ones are.
    assert eventually(lambda: server.taken_messages() <= held + 1)

    assert program.order_state(asked["id"]) == "FILLED"
    assert server.venue_orders(asked["client_order_id"]) == 1
    kinds = server.rows("SELECT kind FROM audit_event WHERE subject = %s ORDER BY id", order_id)
    assert ("order.unknown",) in kinds, kinds
    alarms = server.rows("SELECT code, cleared_at IS NULL FROM audit_alarm WHERE subject = %s", f"order:{order_id}")
    assert alarms == [("ORDER_UNKNOWN", False)]
    operator = server.person("admin")
    assert f"order:{order_id}" in operator.browser.get("/admin/audit/alarm/").text
    operator.close()
    assert server.manage("audit_verify") == 0, server.managed


def test_a_system_killed_with_an_order_in_flight_compares_before_it_executes(
    server: Server, program: Program, approver: Person, venue_behaves: None
) -> None:
    """Decision 0006. The venue has the first order and nobody has its answer; the second waits in the queue."""
    server.simulator.add_fault("create", "timeout-after", seconds="300", count=1)
    flying = program.propose(quantity())
    flying_id = approver.approve(flying["id"])["order_id"]
    assert eventually(lambda: server.venue_orders(flying["client_order_id"]) == 1)
    server.kill("worker-execution", "worker", "beat", "order-stream")
    assert program.order_state(flying["id"]) == "SUBMITTED"
    waiting = program.propose(quantity())
    waiting_id = approver.approve(waiting["id"])["order_id"]
    server.kill("web", "feed", "poller")
    ((last_event, stopped_at),) = server.rows("SELECT max(id), now() FROM audit_event")

    for name in ("web", "feed", "poller", "worker-execution"):
        server.start_service(name)
    server.wait_until_ready()
    # Nobody is there yet who compares, and the message of the second order is taken: it is put off.
    put_off = "SELECT reason_code FROM trades_order WHERE id = %s AND state = 'INITIALIZED'"
    assert eventually(lambda: server.rows(put_off, waiting_id) == [("RECONCILING",)])
    assert server.venue_orders(waiting["client_order_id"]) == 0
    for name in ("worker", "beat", "order-stream"):
        server.start_service(name)
    for asked in (flying, waiting):
        story = program.followed_to(asked["id"], "FILLED")
        assert sum(Decimal(fill["quantity"]) for fill in story["fills"]) == Decimal(asked["terms"]["quantity"])
        assert server.venue_orders(asked["client_order_id"]) == 1

    ((where, claimed_at, fence),) = server.rows(
        "SELECT connection_id, submitted_at, fence FROM trades_order WHERE id = %s", waiting_id
    )
    ((started_at, finished_at),) = server.rows(
        "SELECT started_at, finished_at FROM trades_reconciliationrun WHERE connection_id = %s AND trigger = 'START'"
        " AND started_at > %s AND outcome IN ('CLEAN', 'DIFFERENCES') ORDER BY started_at LIMIT 1",
        where,
        stopped_at,
    )
    assert (stopped_at < started_at < finished_at < claimed_at, fence) == (True, 1)
    told = server.rows("SELECT kind, subject FROM audit_event WHERE id > %s ORDER BY id", last_event)
    compared = ("reconciliation.ended", f"connection:{where}")
    assert told.index(compared) < told.index(("order.submitted", waiting_id))
    assert told.count(("order.submitted", waiting_id)) == 1
    assert ("order.submitted", flying_id) not in told
    assert server.manage("audit_verify") == 0, server.managed


def test_a_worker_that_is_told_to_stop_waits_for_the_answer_to_its_order(
    server: Server, program: Program, approver: Person, venue_behaves: None
) -> None:
    server.simulator.add_fault("create", "latency", milliseconds=2000, count=1)
    asked = program.propose(quantity())
    order_id = approver.approve(asked["id"])["order_id"]
    assert eventually(lambda: program.order_state(asked["id"]) == "SUBMITTED")

    assert server.services.pop("worker-execution").stop() == 0

    kinds = {kind for (kind,) in server.rows("SELECT kind FROM audit_event WHERE subject = %s", order_id)}
    assert "order.accepted" in kinds and "order.unknown" not in kinds
    assert server.venue_orders(asked["client_order_id"]) == 1
    server.start_service("worker-execution")
    server.wait_for_worker("worker-execution")


def test_what_a_backup_holds_ready_to_send_does_not_leave_after_it_was_put_back(
    server: Server, program: Program, approver: Person
) -> None:
    """docs/deployment.md: restore, halt, and only then start anything."""
    worker = server.services["worker-execution"]
    worker.send(signal.SIGSTOP)
    asked = program.propose(quantity())
    order_id = approver.approve(asked["id"])["order_id"]
    halts_then_sends = f"""
from django.core.management import call_command
from django.utils import timezone
from apps.policies.selectors import trading_state
from apps.trades.services import orders
call_command("halt", reason="Put back from a backup.")
came_to = orders.execute(order_id="{order_id}", clock=timezone.now)
print("put back:", trading_state(None), came_to)
"""
    with server.put_back() as restored:
        assert server.manage("shell", "-c", halts_then_sends, at=restored) == 0, server.managed
    assert server.managed.rstrip().endswith("put back: HALTED CANCELED"), server.managed
    assert server.venue_orders(asked["client_order_id"]) == 0
    worker.send(signal.SIGCONT)


def test_a_message_that_was_lost_is_found_by_the_sweep(server: Server, program: Program, approver: Person) -> None:
    server.services["worker-execution"].stop()
    asked = program.propose(quantity())
    order_id = approver.approve(asked["id"])["order_id"]
    assert eventually(lambda: server.messages_of(order_id) == 1)
    assert server.lose_messages() == 1
    assert server.messages_of(order_id) == 0
    assert program.order_state(asked["id"]) == "INITIALIZED"

    server.start_service("worker-execution")
    program.followed_to(asked["id"], "FILLED")

    assert server.venue_orders(asked["client_order_id"]) == 1


def test_a_redis_that_forgets_everything_loses_no_order(server: Server, program: Program, approver: Person) -> None:
    """Not only the queue: bindings, cache and unacknowledged messages too."""
    asked = program.propose(quantity())
    for key in server.redis.scan_iter(match=f"{server.prefix}*", count=1000):
        server.redis.delete(key)
    approver.approve(asked["id"])

    program.followed_to(asked["id"], "FILLED")

    assert server.venue_orders(asked["client_order_id"]) == 1


def test_prices_and_news_come_over_the_sockets_of_a_process_of_their_own(server: Server, program: Program) -> None:
    """The proxy sends /ws/ there."""
    key = {"Authorization": program.client.headers["Authorization"]}
    items = [{"connection": program.connection, "instrument": "BTC-USD"}]
    with (
        connect(f"ws://{server.live}/ws/quotes", additional_headers=key, proxy=None) as prices,
        connect(f"ws://{server.live}/ws/desk", additional_headers=key, proxy=None) as news,
    ):
        prices.send(json.dumps({"action": "subscribe", "items": items}))
        bids: set[str] = set()
        while len(bids) < 3:
            told = json.loads(prices.recv(60))
            bids |= {quote["bid"] for quote in told["quotes"]} if told["type"] == "quotes" else set()
        assert json.loads(news.recv(60))["type"] == "hello"
        asked = program.propose(quantity())
        seen: list[dict[str, Any]] = []
        while not any(event["subject_id"] == asked["id"] for event in seen):
            told = json.loads(news.recv(60))
            seen += told["events"] if told["type"] == "events" else []
        assert httpx.get(f"http://{server.live}/readyz", timeout=30).status_code == 200
        live = server.services.pop("live")
        assert live.stop() == -signal.SIGTERM
        for client in (prices, news):
            with pytest.raises(ConnectionClosed):
                while True:
                    client.recv(10)
            assert client.close_code == 1012
    assert "Traceback" not in live.said
    server.start_service("live")


@pytest.mark.parametrize(
    ("name", "words"), [("feed", "Following the markets of"), ("poller", "Prices are asked for every")]
)
def test_feed_and_poller_say_one_line_and_stop_when_told(server: Server, name: str, words: str) -> None:
    service = server.services.pop(name)

    assert service.said.splitlines()[0].startswith(words)
    assert service.stop() == 0
    server.start_service(name)


def test_other_processes_know_how_the_feed_does(server: Server) -> None:
    """Through Redis: the web process says so, though another one follows the market."""

    def feeds() -> dict[str, int]:
        return dict(httpx.get(f"{server.url}/readyz", timeout=5).json()["feeds"])

    assert eventually(lambda: feeds() == {"LIVE": 1})
    server.kill("feed")
    assert eventually(lambda: feeds() == {"DOWN": 1})
    server.start_service("feed")
    assert eventually(lambda: feeds() == {"LIVE": 1})
