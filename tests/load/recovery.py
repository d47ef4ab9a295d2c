"""What a fault held up, and when it was well again by itself. Pure, as the judge is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from tests.load.diary import Diary, Fault, Finding

RECOVERED_S_MAX: Final = 90.0
# Moments of success, asked for all the time. What is shorter, in seconds, is no interruption, nor is what was as long
# before the first fault (`ordinary`).
PAUSE_S: Final[Mapping[str, float]] = {"accepted": 6.0, "fresh": 3.0}
# From when something was due until it was done, however often that is: people decide at their own pace, and a limit
# may rest. What is quicker is not late, nor is what took as long before the first fault.
DELAY_S: Final[Mapping[str, float]] = {"sent": 8.0, "booked": 8.0}
# What the end of a fault's time cuts off after so short a while is no interruption yet.
CUT_SHORT_S: Final = 30.0
WORDS: Final[Mapping[str, str]] = {
    "accepted": "proposals accepted again",
    "sent": "approved orders reach the venue again",
    "booked": "fills booked again",
    "fresh": "prices fresh again",
}


def again_after(moments: Sequence[float], fault: Fault, *, until: float, ordinary: float) -> float | None:
    """Seconds from the fault to the end of the last interruption before `until`; 0 where there was none, None where the
    last one did not end. An interruption is longer than `ordinary` seconds without a success."""
    inside = sorted(at for at in moments if fault.at < at <= until)
    ends = [*inside, until]
    starts = [fault.at, *inside]
    late = [
        (start, end)
        for start, end in zip(starts, ends, strict=True)
        if end - start > (max(ordinary, CUT_SHORT_S) if end == until else ordinary)
    ]
    if not late:
        return 0.0
    return None if late[-1][1] == until else late[-1][1] - fault.at


def prompt_after(spans: Iterable[tuple[float, float]], fault: Fault, *, until: float, ordinary: float) -> float | None:
    """Seconds from the fault to the end of the last span (due, done) that took longer than `ordinary`; 0 where none
    did, None where nothing that fell due after the last late one was prompt. What was due shortly before the fault is
    its own too: it was under way."""
    own = [(due, done) for due, done in spans if fault.at - ordinary <= due < until and done > fault.at]
    late = [(due, done) for due, done in own if done - due > ordinary]
    held_up = max((due for due, _done in late), default=fault.at)
    if not any(due > held_up and done - due <= ordinary for due, done in own):
        return None
    return max((done - fault.at for _due, done in late), default=0.0)


def recoveries(diary: Diary, *, until: float) -> dict[str, dict[str, float | None]]:
    """By fault and stream, in seconds after it began; a fault's time ends where the next one begins."""
    usual = ordinary(diary)
    return {
        fault.name: {
            stream: again_after(diary.moments.get(stream, ()), fault, until=end, ordinary=usual[stream])
            if stream in PAUSE_S
            else prompt_after(diary.spans.get(stream, ()), fault, until=end, ordinary=usual[stream])
            for stream in WORDS
        }
        for fault, end in in_turn(diary.faults, until=until)
    }


def ordinary(diary: Diary) -> dict[str, float]:
    """By stream, the longest pause or delay before the first fault: a slow machine is nobody's fault."""
    first = diary.faults[0].at if diary.faults else 0.0
    found = {}
    for stream, least in PAUSE_S.items():
        before = sorted(at for at in diary.moments.get(stream, ()) if at < first)
        found[stream] = max([least, *(after - at for at, after in pairwise(before))])
    for stream, least in DELAY_S.items():
        found[stream] = max([least, *(done - due for due, done in diary.spans.get(stream, ()) if done < first)])
    return found


def in_turn(faults: Sequence[Fault], *, until: float) -> list[tuple[Fault, float]]:
    """Each fault and the end of its time: where the next one begins."""
    return list(zip(faults, [*(fault.at for fault in faults[1:]), until], strict=False))


def unrecovered(diary: Diary, *, until: float) -> Iterator[Finding]:
    """What did not come back by itself in time, or in as much time as it was watched."""
    found = recoveries(diary, until=until)
    for fault, end in in_turn(diary.faults, until=until):
        for stream, after in found[fault.name].items():
            if after is None or after > RECOVERED_S_MAX:
                yield Finding("recovery", f"{fault.name}: {WORDS[stream]} {after_words(after, end - fault.at)}")


def after_words(after: float | None, looked_s: float) -> str:
    """When something came back, or for how long it was looked and had not."""
    return f"not in the {looked_s:.0f} s that were watched" if after is None else f"after {after:.0f} s"
