"""The people who decide side by side, each signed in and as over a network: only the public API and the console.

One person needs more than a second for a decision (the queue, the look, the vote, and now and then the page, one after
the other), so that a desk that approves every second has several.
"""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.load.diary import Diary

DECLINED_EVERY, PAGE_EVERY = 10, 5
# So many proposals are looked at in one turn for one that is approved.
LOOKS_MAX = 3
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')
Row = dict[str, Any]


class Turns:
    """When somebody of the desk approves, and what each of them has before them. Asked by many threads.

    A turn comes every `every_s` seconds and is taken by who is free. After a stall the desk goes on at its pace: as
    many turns as there are people may be late, and what was missed before those is not caught up.
    """

    def __init__(self, every_s: float, people: int, now: Callable[[], float]) -> None:
        self._every_s, self._late_max, self._now = every_s, every_s * people, now
        self._due = now()
        self._in_hand: set[str] = set()
        self._lock = threading.Lock()

    def take(self) -> float:
        """The moment of the next turn, which nobody else gets."""
        with self._lock:
            due = max(self._due, self._now() - self._late_max)
            self._due = due + self._every_s
            return due

    def pick(self, waiting: list[Row]) -> Row | None:
        """The first that nobody else has before them; until `put_down` it is the asker's."""
        with self._lock:
            found = next((row for row in waiting if row["id"] not in self._in_hand), None)
            if found is not None:
                self._in_hand.add(found["id"])
            return found

    def put_down(self, proposal: Row) -> None:
        """Decided or not: whoever asks next may have it."""
        with self._lock:
            self._in_hand.discard(proposal["id"])


@dataclass
class Approver:
    """A person who is signed in, takes turns with the others, and decides on the price they saw."""

    url: str
    browser: httpx.Client
    turns: Turns
    diary: Diary
    over: threading.Event
    decided: int = 0

    def run(self) -> None:
        """One approval a turn, as long as something waits, until `over`."""
        while not self.over.is_set():
            self.over.wait(max(0.0, self.turns.take() - self.diary.now()))
            self.turn()

    def turn(self) -> None:
        """Until one is approved: what is declined, or was taken back meanwhile, is none."""
        for _ in range(LOOKS_MAX):
            if self.over.is_set():
                return
            queue = self.diary.send(self.browser, "approver", "queue", "GET", "/api/v1/approvals")
            waiting = queue.json()["items"] if queue is not None and queue.status_code == 200 else []
            proposal = self.turns.pick(waiting)
            if proposal is None:
                return
            try:
                approved = self.decide(proposal)
            finally:
                self.turns.put_down(proposal)
            if approved:
                self.diary.times["approved"].append(self.diary.now())
                return

    def decide(self, proposal: Row) -> bool:
        """Whether it was approved, and that counted."""
        ballot = self.diary.send(self.browser, "approver", "look", "GET", f"/api/v1/approvals/{proposal['id']}")
        if ballot is None or ballot.status_code != 200:
            return False
        vote = ballot.json()["vote"]
        if not vote:
            self.diary.count("nothing to sign: no fresh price")
            return False
        self.decided += 1
        if self.decided % DECLINED_EVERY == 0:
            self.cast(proposal, "decline", {"digest": vote["digest"], "comment": "Not this one."})
            return False
        if self.decided % PAGE_EVERY == 1:
            return self.on_the_page(proposal)
        return self.cast(proposal, "approve", {**vote, "comment": "Seen, and fine."})

    def cast(self, proposal: Row, verb: str, body: Row) -> bool:
        """Through the API."""
        headers = {"X-CSRFToken": self.browser.cookies["csrftoken"], "Referer": f"{self.url}/"}
        path = f"/api/v1/approvals/{proposal['id']}/{verb}"
        answer = self.diary.send(self.browser, "approver", verb, "POST", path, json=body, headers=headers)
        return self.came_of(proposal, verb, answer is not None and answer.status_code == 200)

    def on_the_page(self, proposal: Row) -> bool:
        """Through the decision page, with the hidden fields it carries."""
        page = self.diary.send(self.browser, "approver", "page", "GET", f"/admin/decide/{proposal['id']}/")
        if page is None or page.status_code != 200 or 'id="vote"' not in page.text:
            return False
        form = {**dict(HIDDEN.findall(page.text)), "comment": "Seen on the page, and fine."}
        answer = self.diary.send(
            self.browser, "approver", "approve on the page", "POST", f"/admin/decide/{proposal['id']}/approve/",
            data=form, headers={"Referer": f"{self.url}/admin/decide/{proposal['id']}/"},
        )  # fmt: skip
        done = answer is not None and answer.status_code == 200 and bool(answer.history)
        return self.came_of(proposal, "approve", done)

    def came_of(self, proposal: Row, verb: str, done: bool) -> bool:
        """Write down what was decided."""
        self.diary.count(f"{verb} {'counted' if done else 'not counted'}")
        if done and verb == "approve":
            self.diary.approved[proposal["id"]] = proposal["client_order_id"]
        return done
