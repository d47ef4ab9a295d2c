"""The one list of what runs by the clock, and what breaks if it stops.

`manage.py sync_beat` creates what is missing in the database and never changes what a person edited there; Celery's
own `beat_schedule` stays empty, because it would overwrite those edits at every start. Every task here is a sweep:
it looks for work in the database, so that a lost or doubled message changes nothing.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Periodic:
    """A task by name, every `every_s` seconds. A message that waited longer than `expires_s` is dropped."""

    name: str
    task: str
    every_s: int
    why: str

    @property
    def expires_s(self) -> int:
        """After three turns a waiting message says nothing that the next one does not say better."""
        return 3 * self.every_s


SCHEDULE: tuple[Periodic, ...] = (
    Periodic(
        name="Poll open orders",
        task="trades.poll_open_orders",
        every_s=2,
        why="Stops: fills are not booked, positions and limits stand still.",
    ),
    Periodic(
        name="Publish what waits",
        task="trades.publish_pending",
        every_s=5,
        why="Stops: an approved order whose message was lost in a crash is never sent, and nobody is told.",
    ),
    Periodic(
        name="Look for unknown orders",
        task="trades.resolve_unknown",
        every_s=2,
        why="Stops: an order of unknown outcome is not looked for again, and its money stays bound.",
    ),
    Periodic(
        name="Compare with the venues",
        task="trades.reconcile_due",
        every_s=5,
        why="Stops: what the ordinary ways missed is not found; after a start, the first order has to ask for it.",
    ),
    Periodic(
        name="Ask for cancels again",
        task="trades.publish_cancels",
        every_s=2,
        why="Stops: a cancel whose message or answer was lost is not asked for again, and the order goes on working.",
    ),
    Periodic(
        name="Check ourselves",
        task="trades.self_check",
        every_s=5,
        why="Stops: limits on losses trip only when somebody asks for an order, and dead prices or a log that takes no "
        "entry halt nothing.",
    ),
    Periodic(
        name="Clear what is halted",
        task="trades.cancel_halted",
        every_s=2,
        why="Stops: after a halt, orders stay open at the venue, and nobody knows whether any do.",
    ),
    Periodic(
        name="Look for alarms",
        task="trades.watch_alarms",
        every_s=10,
        why="Stops: what stays unresolved is no alarm, and no alarm is told or repeated; manage.py alarms does it too.",
    ),
    Periodic(
        name="Expire what is due",
        task="trades.expire_due",
        every_s=10,
        why="Stops: expired proposals stay in the queue. They cannot be approved: the clock decides that, not this.",
    ),
    Periodic(
        name="Seal the audit log",
        task="audit.seal_log",
        every_s=10,
        why="Stops: new events are in no checkpoint, and whoever owns the database can cut them off unseen.",
    ),
    Periodic(
        name="Verify the audit log",
        task="audit.verify_log",
        every_s=86_400,
        why="Stops: tampering is found only when somebody runs audit_verify, and trading is not resumed.",
    ),
    Periodic(
        name="Hold the rows against the log",
        task="approvals.audit_rows",
        every_s=86_400,
        why="Stops: a proposal, vote, order or fill changed past the application is found only when somebody runs "
        "audit_rows, or when its order should leave.",
    ),
    Periodic(
        name="Judge the day's decisions again",
        task="policies.replay_decisions",
        every_s=86_400,
        why="Stops: decisions that do not follow from their stored inputs any more are found only when somebody runs "
        "replay_decisions.",
    ),
    Periodic(
        name="Check what is reserved",
        task="trades.check_reservations",
        every_s=60,
        why="Stops: nobody finds reservations that do not add up, and limits may hold more or less than they say.",
    ),
    Periodic(
        name="Remember closed trades",
        task="trades.remember_outcomes",
        every_s=60,
        why="Stops: a closed trade that the memory could not take at once is never remembered, and is missing from "
        "what is counted.",
    ),
    Periodic(
        name="Forget old answers",
        task="accounts.prune_idempotency",
        every_s=86_400,
        why="Stops: stored answers of Idempotency-Keys pile up. Nothing else: they are only ever read while young.",
    ),
    Periodic(
        name="Forget ended sessions",
        task="accounts.forget_sessions",
        every_s=3600,
        why="Stops: rows of sessions that have ended pile up. Nothing else: they open nothing.",
    ),
    Periodic(
        name="Refresh market facts",
        task="trades.refresh_market_facts",
        every_s=15,
        why="Stops: balances, instruments and fees grow too old to decide on, and every proposal is denied; a "
        "venue's clock that is off is no alarm.",
    ),
    Periodic(
        name="Keep candles current",
        task="quotes.keep_candles",
        every_s=60,
        why="Stops: the feed's own minutes are never corrected by the venue's, and what the feed missed stays a gap.",
    ),
    Periodic(
        name="Embed what waits",
        task="lessons.embed_pending",
        every_s=10,
        why="Stops: lessons whose message was lost are not found by what they say, and a new model is never asked. "
        "What policy counts does not change.",
    ),
    Periodic(
        name="Compare the vector index",
        task="lessons.check_index",
        every_s=300,
        why="Stops: what the index lost stays lost, texts that were given up are not tried again, and the index of the "
        "model before is never removed.",
    ),
    Periodic(
        name="Sweep the vector index",
        task="lessons.sweep_index",
        every_s=3600,
        why="Stops: points of texts that are gone stay in the index, which no answer shows; a text whose change the "
        "index lost, as a machine without power may, is found by what it said before.",
    ),
    Periodic(
        name="Take in watched knowledge",
        task="lessons.watch_knowledge",
        every_s=60,
        why="Stops: documents changed in watched folders are not taken in, and answers cite what they said before.",
    ),
    Periodic(
        name="Measure whether lessons help",
        task="lessons.evaluate",
        every_s=86_400,
        why="Stops: the page that says whether lessons help goes on saying what was so when it was last measured. "
        "manage.py lessons_help does it too.",
    ),
    Periodic(
        name="Rest lessons that never help",
        task="lessons.rest",
        every_s=86_400,
        why="Stops: lessons that people call not similar again and again go on being shown, and readers learn to look "
        "past all of them. What policy counts does not change.",
    ),
    Periodic(
        name="Forget old questions",
        task="lessons.forget_questions",
        every_s=86_400,
        why="Stops: questions to the documents, and what they were answered, are kept for longer than a year.",
    ),
)
