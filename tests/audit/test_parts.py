"""A part of the log, verified and exported: what it vouches for, and what it says that it does not."""

import io
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.audit.models import Event
from apps.audit.services import keys, sealing, verifications
from apps.audit.standalone import aika_verify
from apps.audit.types import Actor
from apps.common.decimals import instant_text


def verify(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("audit_verify", *arguments, stdout=out)
    except SystemExit as stop:
        return int(str(stop.code)), out.getvalue()
    return 0, out.getvalue()


def exported(*arguments: str) -> list[bytes]:
    out = io.StringIO()
    call_command("audit_export", *arguments, stdout=out)
    return out.getvalue().encode().splitlines(keepends=True)


@pytest.fixture
def days(record: Any, key: keys.SigningKey, now: datetime) -> list[Event]:
    """Streams a and b on the first day, a and c on the second; a checkpoint after each event but the last."""
    found = []
    for day, name in ((0, "a"), (0, "b"), (0, "a"), (1, "a"), (1, "c"), (1, "a")):
        found.append(record(stream=f"proposal:{name}", now=now + timedelta(days=day)))
        if len(found) < 6:
            sealing.seal(now=now + timedelta(days=day))
    return found


@pytest.fixture
def since(now: datetime) -> str:
    return instant_text(now + timedelta(days=1))


def test_what_came_since_is_held_against_its_chains_checkpoints_and_anchors(days: list[Event], since: str) -> None:
    code, out = verify("--since", since)
    assert (code, out) == (
        0,
        f"a part: events up to id {days[2].pk} were not looked at, and an earlier tampering is not excluded\n"
        "intact: 3 events in 2 streams; 2 checkpoints, 2 anchored, 1 events not sealed\n",
    )
    assert verify("--since", since, "--stream", "proposal:c")[1].endswith("intact: 1 events in 1 streams\n")
    assert verify("--since", "2100-01-01T00:00:00Z")[1].endswith(
        "intact: 0 events in 0 streams; 0 checkpoints, 0 anchored, 0 events not sealed\n"
    )
    assert not Event.objects.filter(kind="audit.verified").exists(), "a part is not recorded as a verification"
    whole = verifications.verify_and_record(by=Actor.system("test"), now=days[0].recorded_at)
    assert (whole.events, whole.checkpoints, whole.part) == (6, 5, "")


def test_tampering_in_the_part_is_found_and_before_it_is_not(days: list[Event], since: str, unguarded: Any) -> None:
    for event, code in ((days[0], 0), (days[1], 0), (days[3], 1), (days[4], 1), (days[5], 1)):
        unguarded(("UPDATE audit_event SET kind = 'x.y' WHERE id = %s", [event.pk]))
        assert verify("--since", since)[0] == code, event.seq
        assert verify("--no-record")[0] == 1
        unguarded(("UPDATE audit_event SET kind = %s WHERE id = %s", [event.kind, event.pk]))
    # The last event before the part is what the part must continue.
    unguarded(("UPDATE audit_event SET hash = %s WHERE id = %s", ["0" * 64, days[2].pk]))
    assert "LINK_BROKEN at proposal:a #3" in verify("--since", since)[1]
    unguarded(("UPDATE audit_event SET hash = %s WHERE id = %s", [days[2].hash, days[2].pk]))
    unguarded("DELETE FROM audit_checkpoint WHERE number = 5")
    assert "CHECKPOINT_MISSING at checkpoint 5" in verify("--since", since)[1]


def test_a_part_cut_off_at_its_end_is_found(days: list[Event], since: str, unguarded: Any) -> None:
    unguarded(f"DELETE FROM audit_event WHERE id >= {days[4].pk}")  # noqa: S608  a number
    out = verify("--since", since)[1]
    assert "HEAD_DIFFERS at proposal:a" in out
    assert "EVENTS_MISSING at proposal:c" in out


def test_an_export_of_a_part_is_verified_as_a_part(days: list[Event], since: str, key: keys.SigningKey) -> None:
    for arguments, events, what in (
        (("--since", since), 3, f"a part, all streams after id {days[2].pk}"),
        (("--since", since, "--stream", "proposal:a"), 2, f"a part, the stream proposal:a after id {days[2].pk}"),
        (("--stream", "proposal:a"), 4, "a part, the stream proposal:a after id 0"),
    ):
        lines = exported(*arguments)
        code, verifier = aika_verify.verify(lines, [key.public.hex()])
        assert (code, verifier.findings, verifier.counts["event"]) == (2, [], events)
        assert verifier.incomplete == [f"{what}: no checkpoint or anchor vouches for it"]
        wrong = [line.replace(b"as asked", b"as taken") for line in lines]
        assert any(
            found.startswith("HASH_WRONG") for found in aika_verify.verify(wrong, [key.public.hex()])[1].findings
        )
    assert json.loads(exported("--since", "2100-01-01T00:00:00Z")[-1])["lines"] == 4  # what it is, and three heads


@pytest.mark.parametrize("command", ["audit_verify", "audit_export"])
def test_what_is_no_instant_is_refused(command: str, log: list[Event]) -> None:
    with pytest.raises(CommandError, match="--since must be an instant") as refusal:
        call_command(command, "--since", "yesterday")
    assert refusal.value.returncode == 2
