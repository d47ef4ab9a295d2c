"""kill -9 of the real Celery worker, as docker-compose.yml starts it, between sending an order and booking its answer:
of the child that sent it alone, and of the first process alone. The order comes out once."""

import os
import signal
from contextlib import suppress
from decimal import Decimal
from urllib.parse import urlsplit

import pytest

from tests.scenarios.callers import eventually
from tests.scenarios.server_profile import Server, Service

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

WORKER = "worker-execution"
HELD_S = 300


def gone(pid: int) -> bool:
    """Whether no such process runs any more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def kill_child(service: Service, child: int) -> None:
    """The process that has the order in hand. The worker goes on, and forks another."""
    others = set(service.children)
    os.kill(child, signal.SIGKILL)
    assert eventually(lambda: gone(child) and bool(set(service.children) - others))
    assert service.process.poll() is None


def kill_main(service: Service, child: int) -> None:
    """The process that takes messages. What it forked is left behind with the order in hand, and ends by itself."""
    os.kill(service.process.pid, signal.SIGKILL)
    assert service.process.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize(("kill", "quantity"), [(kill_child, "0.0021"), (kill_main, "0.0022")])
def test_an_order_in_the_hands_of_a_killed_worker_comes_out_once(server: Server, kill, quantity: str) -> None:  # type: ignore[no-untyped-def]
    program, approver = server.program(), server.person("approver")
    server.simulator.add_fault("create", "timeout-after", seconds=str(HELD_S), count=1)
    asked = program.propose(quantity)
    order_id = approver.approve(asked["id"])["order_id"]
    assert eventually(lambda: server.venue_orders(asked["client_order_id"]) == 1)
    worker, port = server.services[WORKER], urlsplit(server.simulator.url).port or 0
    children = worker.children
    child = worker.child_talking_to(port)
    assert child in children and program.order_state(asked["id"]) == "SUBMITTED"

    kill(worker, child)
    if worker.process.poll() is not None:
        server.start_service(WORKER)
        server.wait_for_worker(WORKER)
    # It is there again and works: the message of the killed one, and others of the same order, move nothing twice.
    server.publish(order_id, times=3)
    story = program.followed_to(asked["id"], "FILLED")
    server.publish(order_id, times=3)
    assert eventually(lambda: server.waiting_messages() == 0)

    assert sum(Decimal(fill["quantity"]) for fill in story["fills"]) == Decimal(quantity)
    assert server.venue_orders(asked["client_order_id"]) == 1
    assert [
        row["bodies"] for row in server.simulator.creates() if row["client_order_id"] == asked["client_order_id"]
    ] == [1]
    kinds = [kind for (kind,) in server.rows("SELECT kind FROM audit_event WHERE subject = %s ORDER BY id", order_id)]
    assert kinds.count("order.submitted") == 1 and "order.unknown" in kinds, kinds
    assert server.manage("audit_verify") == 0, server.managed
    assert server.manage("audit_rows") == 0, server.managed
    for left in children:
        if worker is not server.services[WORKER] and not eventually(lambda left=left: gone(left)):
            with suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)
            pytest.fail("A child of the killed worker did not end by itself.")
    program.close()
    approver.close()
