"""Holding the log against itself: chains, gaps, columns, heads and guards; then against its checkpoints and anchors.

Whoever can rewrite events and heads together, and recompute every hash after them, is found by the checkpoints; whoever
drops the last checkpoints too, by the anchors.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.audit import rules
from apps.audit.models import GENESIS, Event
from apps.audit.services import anchors, raw, seal_verification
from apps.audit.services.anchors import AnchorStore
from apps.audit.services.reports import Report
from apps.common import canonical
from apps.common.guards import missing_guards, unapplied_migrations

ROWS_AT_ONCE = 2000

_TEXTS = ("stream", "kind", "actor_kind", "actor_id", "subject", "prev_hash", "hash")


# PostgreSQL writes the instant as the body has it, and any instant at all: Python's calendar ends with the year 9999.
_INSTANT = """to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
# A row of the log in the order of `_rows`: numbers and instant as the database has them, bytes, and seven texts.
_Row = tuple[Any, Any, bytes, Any, str, str, str, str, str, str, str]


@dataclass
class _Head:
    seq: object
    hash: object
    last_id: object


@dataclass
class _End:
    """Where a stream's scan stands: what the next event must continue, and the hash passed at the head's seq."""

    seq: int = 0
    hash: object = GENESIS
    id: object = 0
    passed_head: bool = False


def verify(
    *,
    stream: str | None = None,
    after: int = 0,
    stores: Sequence[AnchorStore] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Recomputes the log, or one stream of it, from the stored bytes. Reads only, and may run while others write.

    With `after` only events with a higher id, each of which must continue the event before it, whatever that is.
    One stream is held against itself alone. All streams are held against the checkpoints over these events too, and
    these against `stores` (those of the settings where none are given). `progress` is told the events read so far, now
    and then.
    """
    report = Report(part=_part(stream, after))
    report.incomplete += [f"unapplied migration {name}" for name in unapplied_migrations(connection)]
    report.readable = not any(" audit." in name for name in report.incomplete)
    if not report.readable:
        return report
    report.incomplete += [str(problem) for problem in missing_guards(connection)]
    heads = _heads(report, stream)
    ends: dict[str, _End] = {}
    for rows in _rows(stream, after):
        for row in rows:
            if after and row[4] not in ends:
                ends[row[4]] = _before(row)
            _check_event(report, row, ends, heads)
        report.events += len(rows)
        if progress is not None and len(rows) == ROWS_AT_ONCE:
            progress(report.events)
    if after:
        # A stream without an event in this part ends before it.
        heads = {name: head for name, head in heads.items() if name in ends or _reaches(head, after)}
    report.streams = len(ends.keys() | heads.keys())
    _check_heads(report, ends, heads, stream)
    if stream is None:
        stores = anchors.configured() if stores is None else stores
        seal_verification.check(report, stores, after=after)
    return report


def first_id_since(instant: datetime) -> int:
    """The id below the first event recorded at or after the instant; the highest one where there is none.

    Ids count up within a stream, so what follows an id is the end of each stream.
    """
    found = Event.objects.filter(recorded_at__gte=instant).order_by("id").values_list("id", flat=True).first()
    if found is not None:
        return found - 1
    return Event.objects.order_by("-id").values_list("id", flat=True).first() or 0


def _part(stream: str | None, after: int) -> str:
    said = []
    if stream is not None:
        said.append("other streams and the checkpoints were not looked at")
    if after:
        said.append(f"events up to id {after} were not looked at, and an earlier tampering is not excluded")
    return "; ".join(said)


def _before(row: _Row) -> _End:
    """Where a stream stood before its first event in a part: read from the event before, whose own hash is believed."""
    _, seq, _, _, stream, *_ = row
    if type(seq) is not int or seq <= 1:
        return _End()
    selected = raw.columns(("hash", "id"))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {selected} FROM audit_event WHERE stream = %s AND seq = %s", [stream, seq - 1])  # noqa: S608  constants only
        found = cursor.fetchone()
    return _End() if found is None else _End(seq=seq - 1, hash=raw.plain(found[0]), id=found[1])


def _reaches(head: _Head, after: int) -> bool:
    return type(head.last_id) is not int or head.last_id > after


def _check_event(report: Report, row: _Row, ends: dict[str, _End], heads: dict[str, _Head]) -> None:
    """Every event of the log comes through here, hundreds of thousands of them: the sentences are made where due."""
    id_, seq, body, _, stream, _, _, _, _, prev_hash, hash_ = row
    end = ends.get(stream)
    if end is None:
        end = ends[stream] = _End()
    if type(seq) is not int or seq != end.seq + 1:
        report.add("SEQ_GAP", _place(row), f"Event {end.seq + 1} of the stream should stand here.")
    if prev_hash != end.hash:
        report.add("LINK_BROKEN", _place(row), "The event does not continue the one before it.")
    if hash_ != rules.chain_hash(stream=stream, seq=seq, prev_hash=prev_hash, body=body):
        report.add("HASH_WRONG", _place(row), "The stored bytes do not give the stored hash.")
    for name in _columns_that_lie(row, end.id):
        report.add("COLUMN_DIFFERS", _place(row), f"The column {name} is not what the event's bytes say.")
    end.seq = seq if type(seq) is int else end.seq + 1
    end.hash, end.id = hash_, id_
    head = heads.get(stream)
    if head is not None and head.seq == end.seq:
        end.passed_head = (head.hash, head.last_id) == (end.hash, end.id)


def _place(row: _Row) -> str:
    id_, seq, _, _, stream, *_ = row
    return f"{stream} #{seq} (id {id_})"


def _columns_that_lie(row: _Row, previous_id: object) -> Sequence[str]:
    try:
        facts = canonical.decode(row[2])
        actor = facts["actor"]
        of_actor = (actor["kind"], actor["id"]) if isinstance(actor, dict) else (None, None)
        columns, said = row[5:9], (facts["kind"], *of_actor, facts["subject"])
        wrong = []
        if columns != said:
            wrong += [name for name, column, text in zip(_TEXTS[1:5], columns, said, strict=True) if column != text]
        if not raw.same_instant(row[3], facts["recorded_at"]):
            wrong.append("recorded_at")
        if facts["previous_id"] != previous_id:
            wrong.append("id (of the event before)")
        return wrong
    except (ValueError, KeyError):
        return ["body"]


def _check_heads(report: Report, ends: dict[str, _End], heads: dict[str, _Head], only: str | None) -> None:
    moved = {
        name: end
        for name, end in ends.items()
        if not (end.passed_head and name in heads and heads[name].seq == end.seq)
    }
    for name in sorted(heads.keys() - ends.keys()):
        report.add("EVENTS_MISSING", name, "The stream has a head and no events.")
    if not moved:
        return
    # Others may have written while we read. A stream that only grew has passed its old head and has a new one.
    heads_now = _heads(report, only)
    for name, end in sorted(moved.items()):
        head, before = heads_now.get(name), heads.get(name)
        if head is None:
            report.add("HEAD_MISSING", name, "The stream has events and no head.")
        elif before is not None and not end.passed_head:
            report.add(
                "HEAD_DIFFERS", name, f"The head says {before.seq}; the events end at {end.seq} or differ there."
            )
        elif type(head.seq) is not int or head.seq < end.seq:
            report.add("HEAD_DIFFERS", name, f"The events go on to {end.seq}, the head ends at {head.seq}.")
        elif head.seq == end.seq and (head.hash, head.last_id) != (end.hash, end.id):
            report.add("HEAD_DIFFERS", name, "The head is not the stream's last event.")


def _heads(report: Report, stream: str | None) -> dict[str, _Head]:
    where, parameters = (" WHERE stream = %s", [stream]) if stream is not None else ("", [])
    selected = raw.columns(("stream", "seq", "hash", "last_id"))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {selected} FROM audit_streamhead{where}", parameters)  # noqa: S608  constants only
        return {
            raw.plain(name): _Head(seq=seq, hash=raw.plain(hash_), last_id=last_id)
            for name, seq, hash_, last_id in cursor.fetchall()
        }


def _rows(stream: str | None, after: int) -> Iterator[list[_Row]]:
    """Raw rows in chain order, past Django's converters: a broken value is a finding, never a crash."""
    names = ("id", "seq", "body", "recorded_at", *_TEXTS)
    conditions: dict[str, str | int] = {}
    if stream is not None:
        conditions["stream = %s"] = stream
    if after:
        conditions["id > %s"] = after
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    columns = raw.columns(names)
    if connection.vendor == "postgresql":
        columns = columns.replace('"recorded_at"', _INSTANT)
    sql = f"SELECT {columns} FROM audit_event {where} ORDER BY stream, seq, id"  # noqa: S608  constants
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, list(conditions.values()))
        for rows in _batches(cursor):
            yield [(*row[:2], raw.octets(row[2]), row[3], *map(raw.plain, row[4:])) for row in rows]


def _batches(cursor: CursorWrapper) -> Iterator[list[tuple[Any, ...]]]:
    """What the cursor finds, many rows at a time; PostgreSQL gets the next ones ready while these are looked at."""
    if connection.vendor != "postgresql":  # SQLite works in the thread that asks
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield rows
        return
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(cursor.fetchmany, ROWS_AT_ONCE)
        while rows := coming.result():
            coming = ahead.submit(cursor.fetchmany, ROWS_AT_ONCE)
            yield rows
