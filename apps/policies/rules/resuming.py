"""Whether the evidence carries a loosening of the trading state. Doubt keeps it shut."""

from datetime import datetime, timedelta
from typing import Final

from apps.policies.types import ResumeEvidence

RECONCILED_AGE_MAX: Final = timedelta(minutes=5)
VERIFIED_AGE_MAX: Final = timedelta(minutes=15)
DIFFERENCES_SHOWN_MAX: Final = 5


def shortcomings(evidence: ResumeEvidence, *, now: datetime) -> tuple[str, ...]:
    """What is missing before trading may be loosened, as sentences; empty where nothing is.

    The reconciliation may be five minutes old, the verification of the audit log fifteen.
    """
    found = []
    if evidence.reconciled_at is None:
        found.append("Nothing has been reconciled with the venue yet.")
    elif now - evidence.reconciled_at > RECONCILED_AGE_MAX:
        found.append(f"The last reconciliation, at {evidence.reconciled_at:%H:%M:%S} UTC, is too old.")
    found += evidence.differences[:DIFFERENCES_SHOWN_MAX]
    if len(evidence.differences) > DIFFERENCES_SHOWN_MAX:
        found.append(f"And {len(evidence.differences) - DIFFERENCES_SHOWN_MAX} more differences.")
    if evidence.verified_at is None:
        found.append("The audit log has not been verified yet.")
    elif now - evidence.verified_at > VERIFIED_AGE_MAX:
        found.append(f"The last verification of the audit log, at {evidence.verified_at:%H:%M:%S} UTC, is too old.")
    if not evidence.intact:
        found.append("The audit log is not intact, or cannot be vouched for.")
    return tuple(found)


def in_words(evidence: ResumeEvidence) -> str:
    """The evidence as a person reads it before seconding."""
    reconciled = f"{evidence.reconciled_at:%H:%M:%S} UTC" if evidence.reconciled_at else "never"
    verified = f"{evidence.verified_at:%H:%M:%S} UTC" if evidence.verified_at else "never"
    clean = "clean" if evidence.is_clean else f"{len(evidence.differences)} differences"
    log = "intact" if evidence.intact else "not intact"
    return f"Reconciled with the venue: {reconciled}, {clean}. Audit log verified: {verified}, {log}."
