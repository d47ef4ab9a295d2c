"""One soak, from an empty cluster to what was seen: start it all, put load on it, break it if asked, let it drain."""

import json
import platform
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import Any

from tests.load import logs
from tests.load.approvers import Approver, Turns
from tests.load.callers import Agent
from tests.load.diary import Diary
from tests.load.faults import Installation, Manager, break_apart
from tests.load.judge import DRAINED_LOOKS
from tests.load.sampling import Sampler
from tests.load.seen import Ledger, Plan, Seen
from tests.load.stores import Postgres, Qdrant, Redis
from tests.load.watchers import Watchers, seats
from tests.scenarios.callers import Person, eventually
from tests.scenarios.server_profile import Server

SIGNED_IN = ("trader", "approver", "approver2", "operator", "admin")
DRAIN_S_MAX = 240
JOIN_S_MAX = 120
CLEARED = """
    SELECT code, count(*) FROM audit_alarm
    WHERE cleared_at IS NOT NULL AND acknowledged_at IS NULL AND since >= %s GROUP BY code ORDER BY code"""
ALARMS = "SELECT code, subject FROM audit_alarm WHERE cleared_at IS NULL"
ORDERS = """
    SELECT p.client_order_id, p.state, coalesce(o.state, ''), coalesce(o.filled_quantity, 0)
    FROM trades_proposal p LEFT JOIN trades_order o ON o.proposal_id = p.id WHERE p.created_at >= %s"""
OPEN = """
    SELECT (SELECT count(*) FROM trades_proposal WHERE state = 'AWAITING_APPROVAL')
    + (SELECT count(*) FROM trades_order WHERE state NOT IN ('FILLED', 'CANCELED', 'REJECTED', 'EXPIRED', 'DENIED'))
    + (SELECT count(*) FROM lessons_indexentry WHERE state = 'PENDING')
    + (SELECT count(*) FROM audit_alarm WHERE cleared_at IS NULL)
    + (SELECT (SELECT count(*) FROM audit_event) - coalesce(max(last_seq), 0) FROM audit_checkpoint)"""
# From the last vote to the venue's answer, and from when the venue says that something filled to its row here.
SENT = """
    SELECT extract(epoch FROM created_at), extract(epoch FROM accepted_at) FROM trades_order
    WHERE created_at >= to_timestamp(%s) AND accepted_at IS NOT NULL ORDER BY 1"""
BOOKED = """
    SELECT extract(epoch FROM occurred_at), extract(epoch FROM recorded_at) FROM trades_fill
    WHERE recorded_at >= to_timestamp(%s) ORDER BY 1"""
# From the last vote to what was booked: a desk's own clock on both ends.
TOOK = """
    SELECT extract(epoch FROM max(f.recorded_at) - o.created_at) FROM trades_fill f
    JOIN trades_order o ON o.id = f.order_id WHERE f.recorded_at >= to_timestamp(%s) GROUP BY o.id, o.created_at"""


Say = Callable[[str], None]


@contextmanager
def installation() -> Iterator[Installation]:
    """Stores, simulator and processes, all of this run's own."""
    with ExitStack() as over:
        postgres, redis, qdrant = Postgres(), Redis(), Qdrant()
        for store in (postgres, redis, qdrant):
            over.callback(store.stop)
            store.start()
        qdrant.wait_until_ready()
        server = Server(postgres.url, redis.url, qdrant_url=qdrant.url).start()
        over.callback(server.stop)
        # Compose has it too; the scenarios ask nothing of it.
        server.start_service("alarms")
        yield Installation(server, postgres, redis, qdrant)


def run(plan: Plan, say: Say) -> Seen:
    """The whole of it. Raises RuntimeError or AssertionError where the installation does not come up."""
    say("starting PostgreSQL, Redis and the processes")
    with installation() as all_of:
        return Run(plan, all_of, say).play()


class Run:
    """The actors of one soak on one installation."""

    def __init__(self, plan: Plan, all_of: Installation, say: Say) -> None:
        self.plan, self.all_of, self.server, self.say = plan, all_of, all_of.server, say
        self.diary = Diary()
        self.seen = Seen(plan, self.diary)
        self.enough, self.over = threading.Event(), threading.Event()

    def play(self) -> Seen:
        """From the first proposal to the last proof."""
        people = [self.server.person(part) for part in SIGNED_IN]
        seated = self._inside(f"seat({self.plan.agents}, {self.plan.approvers})")
        keys = [row["key"] for row in seated["agents"]]
        # Before there is load: nobody is missing in it because their sign-in took too long.
        approvers = [Person(self.server.url, **account) for account in seated["approvers"]]
        self.settle_the_seeded(people[1])
        cookies = [str(person.browser.cookies["sessionid"]) for person in people]
        wanted = seats(self.plan.sockets, keys, cookies, f"http://{self.server.live}")
        watchers = Watchers(self.server.live, wanted, self.diary)
        stores = {"postgres": self.all_of.postgres.pid, "redis": self.all_of.redis.pid}
        stores["qdrant"] = self.all_of.qdrant.pid
        stores["simulator"] = self.server.simulator.pid
        sampler = Sampler(self.server, watchers, stores, self.diary, self.plan.sample_s)
        manager = Manager(self.server, self.diary)
        threads = self._callers(keys, approvers)
        self.seen.began = self.diary.now()
        self.say(f"{self.plan.minutes:g} minutes of load")
        running: list[Any] = [manager, watchers, sampler]
        for part in [*running, *threads]:
            part.start()
        try:
            self._load()
            self._drain()
        finally:
            self.enough.set()
            self.over.set()
            for thread in threads:
                thread.join(JOIN_S_MAX)
            for part in running:
                part.stop()
        self.seen.samples = sampler.samples
        self._close_the_books()
        for person in (*people, *approvers):
            person.close()
        return self.seen

    def _inside(self, call: str) -> Any:
        """What a function of tests.load.stage says, run inside the installation."""
        file = self.server.home / "stage.json"
        words = (
            "import json, pathlib; from tests.load import stage; "
            f"pathlib.Path({str(file)!r}).write_text(json.dumps(stage.{call}))"
        )
        assert self.server.manage("shell", "-c", words) == 0, self.server.managed[-3000:]
        return json.loads(file.read_text(encoding="utf-8"))

    def settle_the_seeded(self, approver: Person) -> None:
        """What the demo desk left waiting is declined: all that waits from now on is the soak's."""
        for row in approver.waiting():
            answer = approver.browser.post(
                f"/api/v1/approvals/{row['id']}/decline",
                json={"digest": row["digest"], "comment": "Before the soak."},
                headers={"X-CSRFToken": approver.browser.cookies["csrftoken"], "Referer": f"{self.server.url}/"},
            )
            assert answer.status_code == 200, answer.text

    def _callers(self, keys: list[str], people: list[Person]) -> list[threading.Thread]:
        agents = [
            Agent(
                self.server.url, f"agent {number}", key, self.plan.every_s, self.diary, self.enough, self.over, number
            )
            for number, key in enumerate(keys)
        ]
        turns = Turns(self.plan.approve_every_s, len(people), self.diary.now)
        approvers = [Approver(self.server.url, person.browser, turns, self.diary, self.over) for person in people]
        return [threading.Thread(target=one.run, name=type(one).__name__) for one in (*agents, *approvers)]

    def _load(self) -> None:
        seconds = self.plan.minutes * 60
        if self.plan.faults:
            apart = seconds / (len(self.plan.faults) + 1)
            break_apart(self.plan.faults, self.all_of, self.diary, apart_s=apart, say=self.say)
        else:
            time.sleep(seconds)
        self.seen.loaded_until = self.diary.now()

    def _drain(self) -> None:
        """Nobody asks any more; the sockets and the approvers stay."""
        self.say("draining")
        began = self.diary.now()
        self.enough.set()
        eventually(lambda: self.server.rows(OPEN) == [(0,)], seconds=DRAIN_S_MAX)
        self.seen.drained_s = self.diary.now() - began
        # So many looks that the least of them says what is left.
        time.sleep((DRAINED_LOOKS + 1) * self.plan.sample_s)

    def _close_the_books(self) -> None:
        """What the venue, the database and the logs say, while everything still runs."""
        diary, seen = self.diary, self.seen
        wall = diary.wall + seen.began
        since = time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(wall))
        rows = self.server.rows(ORDERS, since)
        orders = {str(name): (state, order, f"{filled.normalize():f}") for name, state, order, filled in rows}
        at_venue = [
            (str(order["client_order_id"]), f"{Decimal(str(order['filled_size'])).normalize():f}")
            for order in self.server.simulator.orders()
        ]
        proved = self._inside("prove()")
        seen.ledger = Ledger(
            approved=dict(diary.approved),
            orders=orders,
            # The seeded desk's own orders went before.
            at_venue=[row for row in at_venue if row[0] in orders or row[0] not in self._earlier(since)],
            proofs=proved["proofs"],
            alarms=[f"{code} {subject}" for code, subject in self.server.rows(ALARMS)],
            cleared=dict(self.server.rows(CLEARED, since)),
            trading_state=proved["trading_state"],
        )  # fmt: skip
        for stream, rows in (("sent", SENT), ("booked", BOOKED)):
            diary.spans[stream] = [
                (float(due) - diary.wall, float(done) - diary.wall) for due, done in self.server.rows(rows, wall)
            ]
        seen.took_s = sorted(float(took) for (took,) in self.server.rows(TOOK, wall))
        seen.versions = self._versions()
        for name, service in self.server.services.items():
            if self.plan.logs is not None:
                self.plan.logs.mkdir(parents=True, exist_ok=True)
                shutil.copy(service.log, self.plan.logs)
            found = logs.found_in(name, service.said, began=diary.wall)
            seen.said += [line for line in found if line.at is None or line.at >= seen.began]

    def _earlier(self, since: str) -> set[str]:
        found = self.server.rows("SELECT client_order_id FROM trades_proposal WHERE created_at < %s", since)
        return {str(name) for (name,) in found}

    def _versions(self) -> dict[str, str]:
        ((postgres,),) = self.server.rows("SHOW server_version")
        redis = dict(self.server.redis.info("server"))["redis_version"]  # type: ignore[arg-type]
        return {"Python": platform.python_version(), "PostgreSQL": postgres.split()[0], "Redis": redis}


def say(words: str) -> None:
    """To whoever waits for it."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {words}\n")
    sys.stderr.flush()
