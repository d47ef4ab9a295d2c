"""Verifying the whole log and remembering what came of it: in the log, and as an alarm."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import transaction

from apps.audit.selectors import VERIFICATIONS_STREAM
from apps.audit.services import alarms, events, sealing
from apps.audit.services.anchors import AnchorStore
from apps.audit.services.reports import Report
from apps.audit.services.verification import verify
from apps.audit.types import Actor, Result
from apps.common.errors import Misconfigured

logger = logging.getLogger(__name__)

ALARM_CODE = "AUDIT_TAMPERED"
ALARM_SUBJECT = "audit:log"
INCOMPLETE_MAX = 20  # reasons that an event repeats; the rest is in the report


def seal_and_verify(*, by: Actor, now: datetime) -> Report:
    """Seals every event that is not sealed, however old, then verifies the whole log and records the result.

    A sealer that cannot work has raised an alarm of its own, and the verification goes on without it.
    """
    try:
        sealing.seal(now=now, look_back_ids=None)
    except (Misconfigured, OSError) as error:
        logger.warning("Verifying without sealing first: %s", error)
    return verify_and_record(by=by, now=now)


def verify_and_record(
    *,
    by: Actor,
    now: datetime,
    stores: Sequence[AnchorStore] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Verifies the whole log and records the result; `selectors.last_verification` reads it back.

    Tampering raises the alarm AUDIT_TAMPERED, and only an intact log clears it. Nothing is recorded where the log's
    own tables are not what this code knows.
    """
    report = verify(stores=stores, progress=progress)
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
                "checkpoints": report.checkpoints,
                "anchored": report.anchored,
                "unsealed": report.unsealed,
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
