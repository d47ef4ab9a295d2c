"""Whether anything could be put on record now, found out without putting anything on record."""

import logging
from datetime import datetime
from typing import Final

from django.db import transaction

from apps.audit.services import events
from apps.audit.types import Actor

PROBE: Final = Actor.system("probe")

logger = logging.getLogger(__name__)


def why_not_recording(*, now: datetime) -> str:
    """Records an event and takes it back. Empty where that works, else what stood in the way, in a word."""
    try:
        with transaction.atomic():
            events.record(stream="probe", kind="probe.recorded", actor=PROBE, subject="probe", payload={}, now=now)
            transaction.set_rollback(True)
    except Exception as error:
        # Whatever stands in the way, nothing is put on record: the caller halts.
        logger.exception("AUDIT_TAKES_NO_ENTRY: an event could not be recorded.")
        return type(error).__name__
    return ""
