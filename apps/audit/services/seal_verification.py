"""Holding the log against its checkpoints, and the checkpoints against their signatures and anchors."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db import connection

from apps.audit import rules
from apps.audit.services import keys, raw
from apps.audit.services.anchors import Anchored, AnchorStore, Damage
from apps.audit.services.reports import Report
from apps.audit.services.sealing import EVENTS_MAX
from apps.common import canonical
from apps.common.errors import Misconfigured

CHECKPOINTS_AT_ONCE = 50
ANCHORS_AT_ONCE = 1000

_TEXTS = ("prev_root", "root", "key_id", "signature")
_NAMES = ("number", "first_seq", "last_seq", *_TEXTS, "sealed_at", "body")


@dataclass
class _End:
    """Where the checkpoints stand: what the next one must continue."""

    number: int = 0
    last_seq: int = 0
    root: str = rules.NO_ROOT


def check(report: Report, stores: Sequence[AnchorStore], *, after: int = 0) -> None:
    """Adds to the report what seals, checkpoints and the anchors of `stores` say against the log.

    With `after`, only from the first checkpoint on that seals an event with a higher id.
    """
    believed = _believed(report)
    first = _first_over(after) if after else 1
    # Asked before the checkpoints are read: seals and their checkpoint are committed together.
    sealed_to = _number("SELECT MAX(seal_seq) FROM audit_seal")
    end = _check_checkpoints(report, believed, first)
    if sealed_to > end.last_seq:
        report.add("SEAL_WITHOUT_CHECKPOINT", f"seal {sealed_to}", f"The checkpoints end at seal {end.last_seq}.")
    unsealed = (
        "SELECT COUNT(*) FROM audit_event e WHERE NOT EXISTS (SELECT 1 FROM audit_seal s WHERE s.event_id = e.id)"
    )
    report.unsealed = _number(f"{unsealed} AND e.id > %s", after)
    for store in stores:
        _check_anchors(report, store, end.number, first)


def check_one(number: int) -> Report:
    """What one checkpoint says against the one before it, its signature, and the events in its seals' places now."""
    report, end = Report(), _End()
    believed = _believed(report)
    for row in _checkpoints("number BETWEEN %s AND %s ORDER BY number", [number - 1, number]):
        if row["number"] == number:
            report.checkpoints = 1
            _check_checkpoint(report, row, end, believed)
            _check_root(report, row)
        end = _End(_int(row["number"]), _int(row["last_seq"]), row["root"])
    return report


def _believed(report: Report) -> dict[str, bytes] | None:
    """The public keys; None where there are none to believe, and then no signature says anything."""
    try:
        believed = keys.believed()
    except Misconfigured as error:
        report.incomplete.append(error.message)
        return None
    if not believed and _number("SELECT COUNT(*) FROM audit_checkpoint"):
        report.incomplete.append("no public key is known (AUDIT_SEAL_PUBLIC_KEYS), so no signature was checked")
    return believed or None


def _first_over(after: int) -> int:
    """The number of the first checkpoint over an event with a higher id; the next one where there is none."""
    sealed = _number("SELECT MIN(seal_seq) FROM audit_seal WHERE event_id > %s", after)
    found = _number("SELECT MIN(number) FROM audit_checkpoint WHERE last_seq >= %s", sealed) if sealed else 0
    return found or _number("SELECT MAX(number) FROM audit_checkpoint") + 1


def _check_checkpoints(report: Report, believed: dict[str, bytes] | None, first: int) -> _End:
    """From the checkpoint `first` on, which must continue the one before it."""
    end, highest = _End(), -1
    for row in _checkpoints("number = %s", [first - 1]):
        highest = first - 1
        end = _End(highest, _int(row["last_seq"]), row["root"])
    while rows := _checkpoints("number > %s ORDER BY number LIMIT %s", [highest, CHECKPOINTS_AT_ONCE]):
        for row in rows:
            report.checkpoints += 1
            _check_checkpoint(report, row, end, believed)
            _check_root(report, row)
            end = _End(_int(row["number"]), _int(row["last_seq"]), row["root"])
        highest = end.number
    return end


def _check_checkpoint(report: Report, row: dict[str, Any], end: _End, believed: dict[str, bytes] | None) -> None:
    where = f"checkpoint {row['number']}"
    if row["number"] != end.number + 1:
        report.add("CHECKPOINT_GAP", where, f"Checkpoint {end.number + 1} should stand here.")
    if row["first_seq"] != end.last_seq + 1 or row["prev_root"] != end.root:
        report.add("CHECKPOINT_LINK_BROKEN", where, "The checkpoint does not continue the one before it.")
    for name in _columns_that_lie(row):
        report.add("CHECKPOINT_DIFFERS", where, f"The column {name} is not what the signed bytes say.")
    if believed is None:
        return
    public_key = believed.get(row["key_id"])
    if public_key is None:
        report.add("KEY_UNKNOWN", where, f"It is signed with the key {row['key_id']}, which is none of ours.")
    elif not keys.holds(public_key=public_key, body=row["body"], signature=row["signature"]):
        report.add("SIGNATURE_WRONG", where, "The signature is not that key's for these bytes.")


def _columns_that_lie(row: dict[str, Any]) -> list[str]:
    try:
        facts = canonical.decode(row["body"])
        wrong = [
            name
            for name in ("number", "first_seq", "last_seq", "prev_root", "root", "key_id")
            if row[name] != facts[name]
        ]
        if not raw.same_instant(row["sealed_at"], facts["sealed_at"]):
            wrong.append("sealed_at")
        if facts["schema"] != rules.CHECKPOINT_SCHEMA or facts["size"] != row["last_seq"] - row["first_seq"] + 1:
            wrong.append("size")
        return wrong
    except (ValueError, KeyError, TypeError):
        return ["body"]


def _check_root(report: Report, row: dict[str, Any]) -> None:
    """Recomputes the root from the events that stand in the seals' places now."""
    where = f"checkpoint {row['number']}"
    entries: list[tuple[int, str]] = []
    expected = _int(row["first_seq"])
    for seal_seq, event_id, hash_ in _sealed_events(_int(row["first_seq"]), _int(row["last_seq"])):
        if seal_seq != expected:
            report.add("SEAL_GAP", where, f"Seal {expected} should stand where {raw.plain(seal_seq)} does.")
        if hash_ is None:
            report.add("EVENT_MISSING", where, f"The event {raw.plain(event_id)}, sealed as {seal_seq}, is gone.")
        entries.append((_int(event_id), raw.plain(hash_)))
        expected += 1
    if expected != _int(row["last_seq"]) + 1:
        report.add("SEAL_GAP", where, f"The seals end before {row['last_seq']}.")
    try:
        root = rules.batch_root(prev_root=row["prev_root"], entries=entries)
    except (ValueError, OverflowError):
        root = ""
    if root != row["root"]:
        report.add("ROOT_WRONG", where, "The events that were sealed are not the events that are there.")


def _check_anchors(report: Report, store: AnchorStore, highest: int, first: int) -> None:
    """Every anchored checkpoint from `first` on must be in the database as it was; numbers run without gaps."""
    last = 0
    found = (one for one in store.read() if not isinstance(one, Anchored) or one.number >= first)
    while batch := list(islice(found, ANCHORS_AT_ONCE)):
        numbers = [anchored.number for anchored in batch if isinstance(anchored, Anchored)]
        rows = _checkpoints("number BETWEEN %s AND %s", [min(numbers), max(numbers)]) if numbers else []
        held = {row["number"]: row for row in rows}
        for anchored in batch:
            if isinstance(anchored, Damage):
                _report_damage(report, anchored)
                continue
            report.anchored += 1
            _check_anchored(report, anchored, held.get(anchored.number))
            if last and anchored.number != last + 1:
                report.add("ANCHOR_GAP", f"anchor {anchored.number}", f"The anchor before it is {last}.")
            elif not last and anchored.number != first:
                report.incomplete.append(f"the anchors begin at checkpoint {anchored.number}")
            last = anchored.number
    if last < highest >= first:
        report.incomplete.append(f"the anchors end at checkpoint {last}, the log at {highest}")


def _report_damage(report: Report, damage: Damage) -> None:
    if damage.torn:
        report.incomplete.append(f"{damage.where} of the anchors is half a line, as a crash leaves it")
    else:
        report.add("ANCHOR_MALFORMED", damage.where, "No anchor was written like this.")


def _check_anchored(report: Report, anchored: Anchored, row: dict[str, Any] | None) -> None:
    where = f"checkpoint {anchored.number}"
    if row is None:
        report.add("CHECKPOINT_MISSING", where, "It was anchored and is gone: the log was rolled back.")
    elif (row["body"], row["signature"]) != (anchored.body, anchored.signature):
        report.add("ANCHOR_DIFFERS", where, "It is not the checkpoint that was anchored.")


def _checkpoints(condition: str, parameters: list[int]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {raw.columns(_NAMES)} FROM audit_checkpoint WHERE {condition}", parameters)  # noqa: S608  constants
        rows = [dict(zip(_NAMES, values, strict=True)) for values in cursor.fetchall()]
    for row in rows:
        row.update({name: raw.plain(row[name]) for name in _TEXTS}, body=raw.octets(row["body"]))
    return rows


def _sealed_events(first_seq: int, last_seq: int) -> list[tuple[Any, Any, Any]]:
    # A checkpoint whose numbers were changed must not make this read the whole log at once.
    last_seq = min(last_seq, first_seq + 10 * EVENTS_MAX)
    sql = (
        f"SELECT {raw.columns(('seal_seq', 'event_id'), table='s')}, {raw.columns(('hash',), table='e')} "  # noqa: S608  constants
        "FROM audit_seal s LEFT JOIN audit_event e ON e.id = s.event_id "
        "WHERE s.seal_seq BETWEEN %s AND %s ORDER BY s.seal_seq"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [first_seq, last_seq])
        return list(cursor.fetchall())


def _number(sql: str, *parameters: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return _int(cursor.fetchone()[0])


def _int(value: object) -> int:
    """The number, or one that no row has where the column holds something else."""
    return value if type(value) is int and 0 <= value < 2**63 else 0
