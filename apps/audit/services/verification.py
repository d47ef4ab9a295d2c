"""Holding the log against itself: chains, gaps, columns, heads and guards; then against its checkpoints and anchors.

Whoever can rewrite events and heads together, and recompute every hash after them, is found by the checkpoints; whoever
drops the last checkpoints too, by the anchors.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from apps.audit import rules
from apps.audit.models import GENESIS
from apps.audit.services import anchors, raw, seal_verification
from apps.audit.services.anchors import AnchorStore
from apps.audit.services.reports import Report
from apps.common import canonical
from apps.common.guards import missing_guards, unapplied_migrations

ROWS_AT_ONCE = 2000

_TEXTS = ("stream", "kind", "actor_kind", "actor_id", "subject", "prev_hash", "hash")


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
    stores: Sequence[AnchorStore] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Recomputes the log, or one stream of it, from the stored bytes. Reads only, and may run while others write.

    One stream is held against itself alone. The whole log is held against its checkpoints too, and these against
    `stores` (those of the settings where none are given). `progress` is told the events read so far, now and then.
    """
    report = Report()
    report.incomplete += [f"unapplied migration {name}" for name in unapplied_migrations(connection)]
    report.readable = not any(" audit." in name for name in report.incomplete)
    if not report.readable:
        return report
    report.incomplete += [str(problem) for problem in missing_guards(connection)]
    heads = _heads(report, stream)
    ends: dict[str, _End] = {}
    for row in _rows(stream):
        report.events += 1
        if progress is not None and report.events % ROWS_AT_ONCE == 0:
            progress(report.events)
        _check_event(report, row, ends, heads)
    report.streams = len(ends.keys() | heads.keys())
    _check_heads(report, ends, heads, stream)
    if stream is None:
        seal_verification.check(report, anchors.configured() if stores is None else stores)
    return report


def _check_event(report: Report, row: dict[str, Any], ends: dict[str, _End], heads: dict[str, _Head]) -> None:
    stream = row["stream"]
    where = f"{stream} #{row['seq']} (id {row['id']})"
    end = ends.setdefault(stream, _End())
    if type(row["seq"]) is not int or row["seq"] != end.seq + 1:
        report.add("SEQ_GAP", where, f"Event {end.seq + 1} of the stream should stand here.")
    if row["prev_hash"] != end.hash:
        report.add("LINK_BROKEN", where, "The event does not continue the one before it.")
    body = row["body"] if isinstance(row["body"], bytes) else b""
    computed = rules.chain_hash(stream=stream, seq=row["seq"], prev_hash=row["prev_hash"], body=body)
    if row["hash"] != computed:
        report.add("HASH_WRONG", where, "The stored bytes do not give the stored hash.")
    for name in _columns_that_lie(row, body, end.id):
        report.add("COLUMN_DIFFERS", where, f"The column {name} is not what the event's bytes say.")
    end.seq = row["seq"] if type(row["seq"]) is int else end.seq + 1
    end.hash, end.id = row["hash"], row["id"]
    head = heads.get(stream)
    if head is not None and head.seq == end.seq:
        end.passed_head = (head.hash, head.last_id) == (end.hash, end.id)


def _columns_that_lie(row: dict[str, Any], body: bytes, previous_id: object) -> list[str]:
    try:
        facts = canonical.decode(body)
        actor = facts["actor"]
        said = {
            "kind": facts["kind"],
            "actor_kind": actor["kind"] if isinstance(actor, dict) else None,
            "actor_id": actor["id"] if isinstance(actor, dict) else None,
            "subject": facts["subject"],
        }
        wrong = [name for name, text in said.items() if row[name] != text]
        if not raw.same_instant(row["recorded_at"], facts["recorded_at"]):
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


def _rows(stream: str | None) -> Iterator[dict[str, Any]]:
    """Raw rows in chain order, past Django's converters: a broken value is a finding, never a crash."""
    names = ("id", "seq", "body", "recorded_at", *_TEXTS)
    where, parameters = ("WHERE stream = %s", [stream]) if stream is not None else ("", [])
    sql = f"SELECT {raw.columns(names)} FROM audit_event {where} ORDER BY stream, seq, id"  # noqa: S608  constants
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, parameters)
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            for values in rows:
                row = dict(zip(names, values, strict=True))
                row.update({name: raw.plain(row[name]) for name in _TEXTS})
                if isinstance(row["body"], memoryview):
                    row["body"] = bytes(row["body"])
                yield row
