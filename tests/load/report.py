"""A soak as a section of docs/reliability.md, as lines for a terminal, and as JSON."""

import os
import platform
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median
from typing import Any

from tests.load import judge, recovery
from tests.load.diary import Finding
from tests.load.judge import Trend
from tests.load.logs import counted
from tests.load.sampling import Sample
from tests.load.seen import Seen

LINES_MAX = 12
KIB = 1024


def section(seen: Seen, findings: Sequence[Finding]) -> str:
    """The whole of it, from its heading on."""
    plan, faults = seen.plan, seen.diary.faults
    title = "## Under load, with faults" if faults else "## Under load"
    broken = (
        f" Meanwhile {_listed([fault.name for fault in faults])}, each once and apart; what ended is started again "
        "after a second, as a service manager does."
        if faults
        else ""
    )
    parts = [
        title,
        "The server profile on one machine, each process as `docker-compose.yml` starts it, with PostgreSQL and Redis "
        f"of its own. {plan.agents} agents with a key each propose over HTTP, one of them every {plan.every_s:g} s; "
        f"{plan.sockets} sockets watch prices and news; {plan.approvers} people who are signed in take turns, so that "
        f"the desk approves once in {plan.approve_every_s:g} s at most, on the price they saw, each fifth time on the "
        f"decision page; each tenth proposal is declined besides.{broken}",
        _machine(seen),
        "### Verdict",
        _verdict(findings),
        *(["### After each fault", _faults(seen)] if faults else []),
        "### What was done",
        _done(seen),
        "### Answers",
        _answers(seen),
        "### Memory",
        _memory(seen),
        "### Queues",
        _queues(seen),
    ]
    if faults and seen.said:
        parts += [
            "### What the logs said of the faults",
            _bullets(f"{times} x {what}" for what, times in counted(seen.said)[:LINES_MAX]),
        ]
    return "\n\n".join(parts) + "\n"


def lines(seen: Seen, findings: Sequence[Finding]) -> str:
    """For a terminal."""
    return f"{_done(seen)}\n\n{_faults(seen) if seen.diary.faults else ''}\n\n{_verdict(findings)}\n"


def as_json(seen: Seen, findings: Sequence[Finding]) -> dict[str, Any]:
    """For a program: the verdict, and the figures it rests on."""
    half = judge.second_half(seen.samples, seen.loaded_until)
    return {
        "minutes": seen.plan.minutes,
        "findings": [{"kind": item.kind, "what": item.what} for item in findings],
        "counts": dict(sorted(seen.diary.counts.items())),
        "approvals": len(seen.diary.approved),
        "approval_pace": _pace(seen),
        "filled_after_s": {"p50": _at(seen.took_s, 0.5), "p95": _at(seen.took_s, 0.95)},
        "memory": [vars(found) for found in judge.process_trends(half, "rss_kb")],
        "queues": [vars(found) for found in judge.queue_trends(half)],
        "recoveries": recovery.recoveries(seen.diary, until=seen.loaded_until),
        "drained_s": seen.drained_s,
    }


def _machine(seen: Seen) -> str:
    loads = [sample.load for sample in seen.samples if sample.at <= seen.loaded_until]
    versions = ", ".join(f"{name} {version}" for name, version in seen.versions.items())
    cores = os.cpu_count() or 1
    used = cpu_used(seen.samples, seen.loaded_until)
    ours = sum(used.values())
    busy = median(loads) if loads else 0.0
    return _bullets(
        [
            f"Date: {datetime.now(UTC):%Y-%m-%d}, {seen.plan.minutes:g} minutes of load",
            f"Machine: {cores} cores, {platform.machine()}, {versions}",
            f"Load average of the machine: median {busy:.1f}, most {max(loads, default=0):.1f}; the processes of the "
            f"soak used {ours:.2f} cores (the callers not counted). "
            + (
                "Others worked on the machine at the same time: what is said of times is a bound and no measurement."
                if busy > 3 * cores
                else "Nothing else of weight ran on it."
            ),
        ]
    )


def _verdict(findings: Sequence[Finding]) -> str:
    if not findings:
        return (
            "Nothing to report: no answer that is an error, no socket dropped, no process ended, no traceback in a log "
            "(but those a fault explains); memory flat, no queue that grows, all empty after the last proposal; "
            "one order at the venue for each approval and none without, filled as booked; reservations conserved, the "
            "audit log verified, decisions replayed alike, no alarm open, nothing that needs a person."
        )
    return _bullets(f"**{item.kind}**: {item.what}" for item in findings)


def _faults(seen: Seen) -> str:
    found = recovery.recoveries(seen.diary, until=seen.loaded_until)
    usual = recovery.ordinary(seen.diary)
    rows = [
        f"| fault | lasted | {' | '.join(recovery.WORDS.values())} | answers 503 | no answer | sockets dropped "
        "| processes ended |"
    ]
    rows.append("|---|" + "---|" * (len(recovery.WORDS) + 5))
    for fault, end in recovery.in_turn(seen.diary.faults, until=seen.loaded_until):
        inside = [answer for answer in seen.diary.answers if fault.at <= answer.at <= end]
        marks = [mark for mark in seen.diary.marks if fault.at <= mark.at <= end]
        again = [_after(stream, found[fault.name][stream], usual[stream], end - fault.at) for stream in recovery.WORDS]
        lasted = f"{fault.over - fault.at:.0f} s"
        away, silent = (sum(answer.status == status for answer in inside) for status in (503, 0))
        dropped = sum(mark.kind in ("socket dropped", "socket refused") for mark in marks)
        ended = ", ".join(sorted(mark.what for mark in marks if mark.kind == "process ended")) or "none"
        rows.append(f"| {fault.name} | {lasted} | {' | '.join(again)} | {away} | {silent} | {dropped} | {ended} |")
    bounds = ", ".join(f"{recovery.WORDS[name].removesuffix(' again')} {usual[name]:.0f} s" for name in recovery.WORDS)
    note = (
        "Seconds from the beginning of the fault until it was well again. Proposals and prices are asked for all the "
        "time: to the end of the last pause that was longer than any before the first fault. Orders count from their "
        "approval, and fills from the moment the venue says they happened: until the last one was done that took "
        f"longer than any before the first fault. At the least, and here: {bounds}. The fault itself lasted for a part "
        "of it."
    )
    return "\n".join(rows) + f"\n\n{note}"


def _after(stream: str, seconds: float | None, ordinary: float, looked_s: float) -> str:
    slow = "pause" if stream in recovery.PAUSE_S else "delay"
    return f"no {slow} above {ordinary:.0f} s" if seconds == 0 else recovery.after_words(seconds, looked_s)


def _done(seen: Seen) -> str:
    diary = seen.diary
    proposals = _counted(diary.counts, "proposal ")
    sockets = [sample.sockets_open for sample in seen.samples]
    told = {name: times for name, times in diary.counts.items() if name.startswith("/ws/")}
    news = ", ".join(f"{times:,} {name}" for name, times in sorted(told.items()))
    loaded = [sample for sample in seen.samples if seen.began + 60 < sample.at <= seen.loaded_until]
    grey = max((sample.grey for sample in loaded), default=0)
    dropped = sum(mark.kind == "socket dropped" for mark in diary.marks)
    fills = (
        f"From approval to booked fill: p50 {_at(seen.took_s, 0.5):.1f} s, p95 {_at(seen.took_s, 0.95):.1f} s, "
        f"most {seen.took_s[-1]:.1f} s"
        if seen.took_s
        else "Nothing was filled"
    )
    return _bullets(
        [
            f"Proposals: {proposals}",
            f"Decisions: approvals {_counted(diary.counts, 'approve ')}; declines {_counted(diary.counts, 'decline ')}",
            f"Approvals: {len(diary.approved):,}; orders at the venue: {len(seen.ledger.at_venue):,}. {fills}",
            f"Under load {_pace(seen)}",
            f"Sockets: {max(sockets, default=0)} open, {dropped} dropped; told: {news}",
            f"Prices told as stale: {diary.counts['prices told as stale']}; turns without a fresh price: agents "
            f"{diary.counts['no fresh price to ask at']}, approver {diary.counts['nothing to sign: no fresh price']}; "
            f"most sockets grey (2 s without a heartbeat) at one look: {grey}",
            f"Alarms that came and went by themselves: {_alarms(seen.ledger.cleared)}",
            f"After the last proposal everything had ended within {seen.drained_s:.0f} s",
        ]
    )


def _pace(seen: Seen) -> str:
    """How often the desk approved while it was asked: on the whole, and how long it was from one to the next."""
    under_load = sorted(at for at in seen.diary.times["approved"] if seen.began <= at <= seen.loaded_until)
    if len(under_load) < 2:
        return "it approved too seldom for a pace"
    apart = sorted(after - before for before, after in pairwise(under_load))
    mean = (under_load[-1] - under_load[0]) / (len(under_load) - 1)
    return f"one approval in {mean:.2f} s (p50 {_at(apart, 0.5):.2f} s, p95 {_at(apart, 0.95):.2f} s)"


def _alarms(cleared: Mapping[str, int]) -> str:
    return ", ".join(f"{code} {times}" for code, times in cleared.items()) or "none"


def _answers(seen: Seen) -> str:
    groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for answer in seen.diary.answers:
        groups[answer.who, answer.what].append(answer)
    rows = ["| who, what | answers | by status | p50 | p95 |", "|---|---|---|---|---|"]
    for (who, what), answers in sorted(groups.items()):
        by = Counter(
            f"{answer.status} {answer.code}".strip() if answer.status else f"none ({answer.code})" for answer in answers
        )
        took = sorted(answer.took_s for answer in answers if answer.status)
        statuses = ", ".join(f"{status}: {times:,}" for status, times in sorted(by.items()))
        rows.append(f"| {who}, {what} | {len(answers):,} | {statuses} | {_ms(took, 0.5)} | {_ms(took, 0.95)} |")
    return "\n".join(rows)


def _memory(seen: Seen) -> str:
    half = judge.second_half(seen.samples, seen.loaded_until)
    files = {found.name: found for found in judge.process_trends(half, "files")}
    used = cpu_used(seen.samples, seen.loaded_until)
    rows = [
        "| process | MiB at half time | at the end | MiB an hour | descriptors | cores used |",
        "|---|---|---|---|---|---|",
    ]
    for found in judge.process_trends(half, "rss_kb"):
        opened: Trend | None = files.get(found.name)
        if found.name.partition("/")[0] == "postgres" and "/" in found.name:
            continue
        rows.append(
            f"| {found.name} | {found.first / KIB:.0f} | {found.last / KIB:.0f} | {found.per_hour / KIB:+.1f} | "
            f"{f'{opened.last:.0f}' if opened else ''} | {used.get(found.name, 0.0):.2f} |"
        )
    if len(rows) == 2:
        return "Not judged: the run was too short for a slope to mean anything."
    return "\n".join(rows) + (
        f"\n\nBound: {judge.MEMORY_MIB_H_MAX:g} MiB an hour over the second half (slope of Theil and Sen), by "
        "process. What grows faster takes 4 GiB, the smallest machine we run on, within a week; a smaller bound would "
        "judge the steps of the allocator. Descriptors may not be more by "
        f"{judge.FILES_MORE_MAX:g} at the end. A process is named by its service and its place below the first. The "
        "simulator keeps every order, and is not judged, nor is what the stores keep in memory."
    )


def _queues(seen: Seen) -> str:
    half = judge.second_half(seen.samples, seen.loaded_until)
    trends = {found.name: found for found in judge.queue_trends(half)}
    last = seen.samples[-judge.DRAINED_LOOKS :]
    rows = [
        "| queue | most | median of the last looks under load | more over the second half | after draining |",
        "|---|---|---|---|---|",
    ]
    for name in sorted({name for sample in seen.samples for name in sample.queues}):
        depths = [sample.queues[name] for sample in seen.samples if name in sample.queues]
        left = min((sample.queues[name] for sample in last if name in sample.queues), default=0)
        found = trends.get(name)
        told = f"{found.last:.0f} | {found.per_hour * found.span_s / 3600:+.1f}" if found else " | "
        rows.append(f"| {name} | {max(depths)} | {told} | {left} |")
    connections = [sample.connections for sample in seen.samples if sample.connections is not None]
    return "\n".join(rows) + f"\n\nConnections to the database: {max(connections, default=0)} at most."


def cpu_used(samples: Sequence[Sample], until: float) -> dict[str, float]:
    """Cores used, by process, over the time it was seen under load."""
    first: dict[tuple[str, int], tuple[float, float]] = {}
    last: dict[tuple[str, int], tuple[float, float]] = {}
    for sample in samples:
        for process in sample.processes:
            if sample.at <= until:
                first.setdefault((process.part, process.pid), (sample.at, process.cpu_s))
                last[process.part, process.pid] = (sample.at, process.cpu_s)
    whole = max((at for at, _cpu in last.values()), default=0.0) - min((at for at, _cpu in first.values()), default=0.0)
    found: dict[str, float] = defaultdict(float)
    for key, (_at_first, cpu) in first.items():
        found[key[0]] += (last[key][1] - cpu) / whole if whole else 0.0
    return dict(found)


def _counted(counts: Counter[str], prefix: str) -> str:
    found = sorted((name.removeprefix(prefix), times) for name, times in counts.items() if name.startswith(prefix))
    return ", ".join(f"{times:,} {name}" for name, times in found) or "none"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _bullets(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _ms(ordered: Sequence[float], share: float) -> str:
    return f"{_at(ordered, share) * 1000:.0f} ms" if ordered else ""


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
