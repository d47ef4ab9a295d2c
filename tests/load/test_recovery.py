"""What a fault held up: pauses in what is asked for all the time, delays of what people ask for when they please."""

import pytest

from tests.load import recovery
from tests.load.diary import Diary, Fault

FAULT = Fault("PostgreSQL restarted", 300.0, 306.0)
STEADY = [float(at) for at in range(600)]
Spans = list[tuple[float, float]]


def diary(**streams: list[float] | Spans) -> Diary:
    """A desk on which all went well for ten minutes, but for the streams that are named."""
    told = Diary()
    told.faults.append(FAULT)
    told.moments |= dict.fromkeys(recovery.PAUSE_S, STEADY)
    told.spans |= dict.fromkeys(recovery.DELAY_S, [(at, at + 1.0) for at in STEADY])
    for name, value in streams.items():
        (told.moments if name in recovery.PAUSE_S else told.spans)[name] = value  # type: ignore[assignment]
    return told


def test_how_long_until_it_works_again() -> None:
    gone = [at for at in STEADY if not 300 < at < 340]

    def after(moments: list[float]) -> float | None:
        return recovery.again_after(moments, FAULT, until=600.0, ordinary=5.0)

    assert after(STEADY) == 0.0
    assert after(gone) == pytest.approx(40.0)
    assert after([at for at in STEADY if at < 305]) is None
    assert after([at for at in STEADY if at < 600 - recovery.CUT_SHORT_S]) is None
    assert after([at for at in STEADY if at < 600 - recovery.CUT_SHORT_S + 2]) == 0.0
    # It came back, and went away once more before the end: that counts to its end.
    assert after([at for at in gone if not 400 < at < 430]) == pytest.approx(130.0)


def test_how_long_what_was_due_is_late() -> None:
    def after(spans: Spans) -> float | None:
        return recovery.prompt_after(spans, FAULT, until=600.0, ordinary=8.0)

    prompt = [(at, at + 1.0) for at in STEADY]
    assert after(prompt) == 0.0
    # What was under way when it began, and what fell due meanwhile, is done together.
    assert after([(at, 360.0 if 295 < at < 360 else at + 1) for at in STEADY]) == pytest.approx(60.0)
    # Nobody asked for anything during a minute: that says nothing of what is late.
    assert after([span for span in prompt if not 310 < span[0] < 370]) == 0.0
    # What a limit waited for long before is not the fault's.
    assert after([(100.0, 305.0), *prompt]) == 0.0
    # Nothing was prompt again, or nothing fell due any more.
    assert after([(at, at + (30 if at > 320 else 1)) for at in STEADY]) is None
    assert after([span for span in prompt if span[0] < 300]) is None
    # What fell due in the time of the next fault is that one's.
    assert after([(at, at + (30 if at > 600 else 1)) for at in map(float, range(900))]) == 0.0


def test_a_slow_pace_from_before_is_no_interruption() -> None:
    seldom = [float(at) for at in range(0, 600, 20)]
    slow = diary(
        **dict.fromkeys(recovery.PAUSE_S, seldom), **dict.fromkeys(recovery.DELAY_S, [(at, at + 15.0) for at in seldom])
    )
    assert set(recovery.recoveries(slow, until=600.0)[FAULT.name].values()) == {0.0}
    slow.moments["accepted"] = [at for at in seldom if not 300 < at < 360]
    slow.spans["sent"] = [(at, 360.0 if 300 <= at < 360 else at + 15.0) for at in seldom]
    kept = recovery.recoveries(slow, until=600.0)[FAULT.name]
    assert (kept["accepted"], kept["sent"], kept["booked"], kept["fresh"]) == (60.0, 60.0, 0.0, 0.0)


def test_what_does_not_come_back_in_time_is_found() -> None:
    late = FAULT.at + recovery.RECOVERED_S_MAX + 2
    assert list(recovery.unrecovered(diary(), until=600.0)) == []
    told = diary(
        sent=[(at, late if FAULT.at < at < late else at + 1) for at in STEADY],
        fresh=[at for at in STEADY if at < FAULT.at],
    )
    assert [item.what for item in recovery.unrecovered(told, until=600.0)] == [
        "PostgreSQL restarted: approved orders reach the venue again after 92 s",
        f"PostgreSQL restarted: prices fresh again not in the {600 - FAULT.at:.0f} s that were watched",
    ]
