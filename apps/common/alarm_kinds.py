"""Every alarm there is: what it means, what to do, and the setting that bounds how long it may go unsaid.

`docs/alarms.md` has the same as a table, and a test holds the code, this list and that table to each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

AT_ONCE: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmKind:
    """One kind of alarm. `bound` is the setting (and variable) in seconds, AT_ONCE where nothing is waited for.

    `swept` ones are raised and cleared by the sweep alone; the others by whoever notices.
    """

    code: str
    bound: str = AT_ONCE
    swept: bool = False
    means: str
    do: str


def _swept(code: str, bound: str, means: str, do: str) -> AlarmKind:
    return AlarmKind(code=code, bound=bound, swept=True, means=means, do=do)


def _noticed(code: str, means: str, do: str, bound: str = AT_ONCE) -> AlarmKind:
    return AlarmKind(code=code, bound=bound, means=means, do=do)


_ORDERS: Final = (
    _swept(
        "ORDER_NOT_CLAIMED",
        "ALARM_ORDER_NOT_CLAIMED_S",
        "An approved order has not left: no worker has claimed it.",
        "Look at its page for why it waits. If it says nothing, look at the worker of the queue execution and at the "
        "broker. It leaves by itself while its approval stands; withdraw it if it should not.",
    ),
    _swept(
        "ORDER_IN_FLIGHT",
        "ALARM_ORDER_IN_FLIGHT_S",
        "An order was claimed, and neither its answer nor the end of its claim was written down.",
        "The sweeps stand still: start the worker of the queue default, or beat. The order may be at the venue.",
    ),
    _noticed(
        "ORDER_UNKNOWN",
        "The venue has not said what became of an order. It may exist; what it binds stays bound.",
        "Nothing at first: it is looked for. Do not place it again by other ways.",
    ),
    _noticed(
        "ORDER_NEEDS_PERSON",
        "An order has been of unknown fate for so long that looking for it is not enough.",
        "Look at the venue's own pages. Two people then say on the order's page what became of it.",
        bound="UNKNOWN_HORIZON_S",
    ),
    _swept(
        "ORDER_NOT_READ",
        "ALARM_ORDER_NOT_READ_S",
        "An order works at the venue, and nobody has been able to read how far it is.",
        "Look whether the venue answers (connector_check) and the worker of the queue default runs. Its fills are not "
        "in our books yet; the venue's own pages show them.",
    ),
    _swept(
        "ORDER_OVERDUE",
        "ALARM_ORDER_OVERDUE_S",
        "An order is past the last moment at which it may be sent or rest, and has not ended.",
        "Cancel it on its page. If that does not end it, cancel it on the venue's own pages.",
    ),
    _swept(
        "CANCEL_NOT_CONFIRMED",
        "ALARM_CANCEL_NOT_CONFIRMED_S",
        "An order is to be canceled, and the venue has not said that it ended. It may still fill.",
        "Cancel it on the venue's own pages; what it says there is read by itself.",
    ),
    _noticed(
        "CANCEL_REFUSED",
        "The venue refuses to cancel an order that was read since and works there, or cannot be asked over its key.",
        "Read the reason on the alarm, and cancel the order on the venue's own pages if it still works there.",
    ),
    _noticed(
        "FILLS_DIFFER",
        "An order ended at the venue, and the fills in our books do not add up to what it says was filled.",
        "Compare the order's fills with the venue's. Positions and limits are off by what is missing.",
        bound="ALARM_FILLS_LATE_S",
    ),
)

_MEMORY: Final = (
    _noticed(
        "OUTCOME_NOT_REMEMBERED",
        "A closed trade was booked, and could not be handed to the memory of closed trades.",
        "Nothing at first: it is tried again by itself. If the alarm stays, read the log of the worker of the queue "
        "default; `manage.py backfill_lessons` hands over all that is missing and says what is wrong.",
    ),
)

_PEOPLE: Final = (
    _swept(
        "PROPOSAL_NEAR_EXPIRY",
        "ALARM_PROPOSAL_EXPIRES_WITHIN_S",
        "A proposal waits for people and is about to expire (never said in the first half of its time).",
        "Approve or decline it. Left alone it expires, and nothing is traded.",
    ),
    _swept(
        "PROPOSAL_NOT_EXPIRED",
        "ALARM_PROPOSAL_NOT_EXPIRED_S",
        "A proposal is past its time and still stands as waiting. It cannot be approved.",
        "The sweeps stand still: start the worker of the queue default, or beat.",
    ),
    _swept(
        "SECOND_PERSON_NEAR_EXPIRY",
        "ALARM_SECOND_PERSON_EXPIRES_WITHIN_S",
        "Somebody asked for a second person, and the request is about to expire (never said in the first half of its "
        "time).",
        "Second it or leave it: expired, it changes nothing and must be asked for again.",
    ),
    _noticed(
        "SECURITY_KEY_COPIED",
        "The counter of somebody's security key did not go up since its last answer: there may be a copy of the key.",
        "Ask its owner. They or an administrator take the key away, which ends the alarm, and add another one.",
    ),
    _noticed(
        "SECOND_FACTOR_UNREADABLE",
        "What is kept of somebody's authenticator app or recovery codes does not open in their row: it was changed or "
        "copied, or its key is gone. No code signs them in.",
        "manage.py doctor names every such row. SECRET_UNREADABLE of many: put the key back into TOKEN_ENCRYPTION_KEY. "
        "Else find out who writes in the table, and take their second factors away under Sign-in on the person's page "
        "once you have spoken with them. It is over then, or when the row opens again at a sign-in.",
    ),
    _swept(
        "KEY_USED_ELSEWHERE",
        AT_ONCE,
        "A whole API key came from an address outside its networks, and was refused: somebody may have copied it.",
        "Ask its owner. If it was none of theirs, revoke the key; else make one that names that network. It is over "
        "once the key has ended, or a day after the last such call.",
    ),
    _swept(
        "HOOK_USED_ELSEWHERE",
        AT_ONCE,
        "A call that proved the secret of a hook came from an address outside its networks, and was refused: somebody "
        "may have copied the secret.",
        "Ask whoever runs the sender. If it was none of theirs, give the hook another secret; else make a hook that "
        "names that network. It is over once there is another secret, the hook is switched off or its key has ended, "
        "or a day after the last such call.",
    ),
    _swept(
        "HOOK_CALLS_REFUSED",
        AT_ONCE,
        "Calls of a hook keep being refused, five or more within 15 minutes: what its sender asks for does not arrive, "
        "or a stranger tries the door.",
        "Read the reasons under Calls of hooks. HOOK_NOT_AUTHENTIC from the sender's own address: it has another "
        "secret. It is over once fewer than five were refused within 15 minutes, or the hook is switched off.",
    ),
)

_VENUES: Final = (
    _swept(
        "HALT_NOT_CLEARED",
        "ALARM_HALT_NOT_CLEARED_S",
        "Trading is halted, and the venue's list of our open orders has not been empty twice.",
        "Open what is left of the halt, and cancel it on the venue's own pages if it stays.",
    ),
    _noticed(
        "FOREIGN_ORDERS_OPEN",
        "A connection is halted and has open orders at the venue that are not ours.",
        "Ask who placed them. They are left alone.",
    ),
    _noticed(
        "HALT_NOT_WAITED",
        "A process stood still while it sent a request, so one may have left after the halt.",
        "Find and end that process, and look at the venue's open orders.",
    ),
    _swept(
        "RECONCILIATION_LATE",
        "RECONCILE_LATE_S",
        "A connection has not been compared with its venue completely.",
        "Run manage.py reconcile and read why it is incomplete.",
    ),
    _swept(
        "DIFFERENCE_OPEN",
        "ALARM_DIFFERENCE_OPEN_S",
        "A difference between the venue and our rows still waits for a person to say what it was.",
        "Look at the venue, and write on the difference's page what it was.",
    ),
    _swept(
        "MARKET_FACTS_OLD",
        "ALARM_MARKET_FACTS_OLD_S",
        "Balances, instruments or fees of a connection are not read any more: every proposal on it is denied.",
        "Look whether the venue answers (connector_check) and whether its key is still valid.",
    ),
    _noticed(
        "VENUE_CLOCK_OFF",
        "A venue's clock and ours differ by the bound or more, whatever the way there took.",
        "manage.py doctor says by how much, and the database's clock too. Let a time service (chrony, "
        "systemd-timesyncd) set this machine's. Prices from a clock ahead of ours are refused meanwhile.",
        bound="ALARM_VENUE_CLOCK_OFF_S",
    ),
    _swept(
        "PRICES_SILENT",
        "ALARM_PRICES_SILENT_S",
        "Nobody asks for prices of a connection: the poller has stopped, or the venue does not answer it.",
        "Start the poller (poll_quotes). Nothing is decided on old prices meanwhile.",
    ),
    _swept(
        "FEED_DOWN",
        "ALARM_FEED_DOWN_S",
        "A market's live prices do not come: they are only asked for, where something waits for them.",
        "Start stream_quotes; its log and manage.py doctor say why. Nothing is decided on old prices meanwhile.",
    ),
    _swept(
        "USER_CHANNEL_SILENT",
        "ALARM_USER_CHANNEL_SILENT_S",
        "The venue's own news of our orders does not come: orders are only polled.",
        "Start stream_orders, and look at its log. Fills are booked some seconds later meanwhile.",
    ),
    _noticed(
        "AUTHORISATION_RECONNECT_NEEDED",
        "Aika's access to an account at a venue, given by OAuth, has ended: its connections reach nothing.",
        "Whoever gave it connects again, on the authorisation's page. Watch the account's open orders at the venue.",
    ),
    _noticed(
        "AUTHORISATION_NARROWED",
        "An account at a venue, connected by OAuth, no longer lets Aika see its balances, or place and cancel orders.",
        "Whoever gave it connects again, on the authorisation's page, and allows everything. Cancel what must not fill "
        "on the venue's own pages.",
    ),
    _noticed(
        "SELF_CHECK_BROKE",
        "The self-checks of a connection broke down: limits on losses do not trip by themselves.",
        "Read the log for SELF_CHECK_BROKE. Halt the connection if it takes long.",
    ),
    _noticed(
        "RESERVATIONS_BROKEN",
        "What orders hold of the budgets does not add up.",
        "Run manage.py check_reservations. Limits may hold more or less than they say: halt if in doubt.",
    ),
)

_DIFFERENCES: Final = tuple(
    _noticed(code, means, "Look at the venue, and write on the difference's page what it was.")
    for code, means in (
        ("BALANCE", "A balance moved by something else than the fills in our books."),
        ("ORDER_DIFFERS", "The order under our name is not the one that was sent. The connection is halted."),
        ("ORDER_FOREIGN", "There is an order at the venue that was not asked for here."),
        ("FILL_FOREIGN", "There is a fill at the venue of an order that is not ours."),
        ("ORDER_LATE", "An order that was closed here is at the venue after all. The connection is halted."),
        ("ORDER_MISSING", "The venue does not know an order it had taken."),
        ("ORDER_FEES", "The venue charged other fees for an order than its fills in our books add up to."),
        ("DATABASE_BEHIND", "The venue has an order that our rows have not sent. The connection is halted."),
    )
)

_LATCHES: Final = tuple(
    _noticed(f"LATCH_{kind}", means, "Find out why. Two people reset the latch, and two resume trading.")
    for kind, means in (
        ("DAILY_LOSS", "Losses reached their limit."),
        ("DRAWDOWN", "The worth of what is held fell too far from its highest."),
        ("REPEATED_REJECTS", "The venue rejected one order after the other."),
        ("MISMATCH", "An order at the venue is not the one approved, or our rows are behind."),
        ("QUOTES_DEAD", "Prices stopped while orders rest at the venue."),
        ("AUDIT_FAILURE", "The audit log takes no entry, or was tampered with."),
    )
)

_MACHINERY: Final = (
    _swept(
        "BEAT_SILENT",
        "ALARM_BEAT_SILENT_S",
        "Nothing runs by the clock: beat, the broker or the worker of the queue default has stopped.",
        "Start what stopped. Until then no sweep finds what was lost.",
    ),
    _swept(
        "WORKER_SILENT",
        "ALARM_WORKER_SILENT_S",
        "A queue's messages are not worked on: its worker has stopped, or is that far behind.",
        "Start the worker of the queue the alarm names, or more of them. Of the queue execution: no order leaves.",
    ),
    _noticed(
        "AUDIT_NOT_SEALED",
        "The sealer of the audit log cannot work: its key or an anchor cannot be used.",
        "Read the reason on the alarm: AUDIT_SEAL_KEY_FILE and AUDIT_ANCHOR_DIR of the worker of the queue default.",
    ),
    _swept(
        "AUDIT_CHECKPOINT_LATE",
        "ALARM_AUDIT_CHECKPOINT_LATE_S",
        "Events of the audit log are in no checkpoint: whoever owns the database could cut them off unseen.",
        "Look at the worker of the queue default and at the alarm AUDIT_NOT_SEALED.",
    ),
    _noticed(
        "AUDIT_TAMPERED",
        "The audit log is not what was written.",
        "Halt. Keep the database and the anchors as they are, and run manage.py audit_verify (docs/audit.md).",
    ),
    _noticed(
        "ROWS_DIFFER_FROM_LOG",
        "Proposals, votes, authorities, orders, fills or reservations are not what the audit log says became of them: "
        "rows were changed past the application.",
        "Halt. Run manage.py audit_verify and then manage.py audit_rows, which names every place. Where the log is "
        "intact, it is the rows that were changed.",
    ),
    _noticed(
        "DECISION_NOT_REPRODUCED",
        "A decision of policy, judged again from its own inputs, does not come out as it was stored: inputs or result "
        "were changed, or the code that judges has changed its meaning.",
        "Run manage.py replay_decisions, which names each. Halt if nobody changed the code.",
    ),
    _swept(
        "AUDIT_VERIFICATION_LATE",
        "ALARM_AUDIT_VERIFICATION_LATE_S",
        "Nobody has verified the whole audit log lately.",
        "Run manage.py audit_verify; it says what keeps it from being complete.",
    ),
    _swept(
        "INDEX_BEHIND",
        "ALARM_INDEX_BEHIND_S",
        "Lessons or knowledge wait for the vector index: they are found by facts and words, not by what they mean.",
        "Nothing is lost, and what policy counts does not change. Read the errors of what waits under Index entries: "
        "the Qdrant server, its key, or the worker of the queue default.",
    ),
    _swept(
        "ALARM_NOT_DELIVERED",
        "ALARM_NOT_DELIVERED_S",
        "Alarms do not get out by the webhook or by e-mail; the alarm names which.",
        "Read the answers under Deliveries, and put the address or the receiver right. It is tried again by itself.",
    ),
)

ALARM_KINDS: Final[Mapping[str, AlarmKind]] = {
    kind.code: kind for kind in (*_ORDERS, *_PEOPLE, *_VENUES, *_DIFFERENCES, *_LATCHES, *_MEMORY, *_MACHINERY)
}
SWEPT: Final = frozenset(code for code, kind in ALARM_KINDS.items() if kind.swept)


def table(bounds_s: Mapping[str, int]) -> str:
    """All kinds as a Markdown table; `bounds_s` has the seconds of each setting as they are without any variable."""
    lines = ["| code | bound | what it means | what to do |", "|---|---|---|---|"]
    for kind in ALARM_KINDS.values():
        bound = f"{bounds_s[kind.bound]} s, `{kind.bound}`" if kind.bound else "at once"
        lines.append(f"| `{kind.code}` | {bound} | {kind.means} | {kind.do} |")
    return "\n".join(lines) + "\n"
