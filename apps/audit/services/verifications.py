"""Verifying the whole log and remembering what came of it: in the log, and as an alarm."""

from collections.abc import Callable
from datetime import datetime

from django.db import transaction

from apps.audit.selectors import VERIFICATIONS_STREAM
from apps.audit.services import alarms, events
from apps.audit.services.verification import Report, verify
from apps.audit.types import Actor, Result

ALARM_CODE = "AUDIT_TAMPERED"
ALARM_SUBJECT = "audit:log"
INCOMPLETE_MAX = 20  # reasons that an event repeats; the rest is in the report


def verify_and_record(*, by: Actor, now: datetime, progress: Callable[[int], None] | None = None) -> Report:
    """Verifies the whole log and records the result; `selectors.last_verification` reads it back.

    Tampering raises the alarm AUDIT_TAMPERED, and only an intact log clears it. Nothing is recorded where the log's
    own tables are not what this code knows.
    """
    report = verify(progress=progress)
    if not report.readable:
        return report
    with transaction.atomic():
        events.record(
            stream=VERIFICATIONS_STREAM,
            kind="audit.verified",
            actor=by,
            subject=VERIFICATIONS_STREAM,
            payload={
                "result": report.result,
                "events": report.events,
                "streams": report.streams,
                "findings": len(report.findings),
                "first_finding": str(report.findings[0]) if report.findings else None,
                "incomplete": report.incomplete[:INCOMPLETE_MAX],
            },
            now=now,
        )
        if report.result is Result.TAMPERED:
            message = f"The audit log is not what was written. {report.findings[0]}"
            alarms.raise_alarm(code=ALARM_CODE, subject=ALARM_SUBJECT, message=message, now=now)
        elif report.result is Result.INTACT:
            alarms.clear_alarm(code=ALARM_CODE, subject=ALARM_SUBJECT, now=now)
    return report
