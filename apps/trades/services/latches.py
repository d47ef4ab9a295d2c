"""The daily loss limit, once reached, stays reached: the next better price does not let trading go on."""

from datetime import datetime
from uuid import UUID

from apps.policies.types import Evaluation, LineVerdict, ReasonCode
from apps.trades.models import LossLatch
from apps.trades.services.gathering import day_start


def keep_loss(connection_id: UUID, evaluation: Evaluation, now: datetime) -> None:
    """Latch the connection for the rest of the UTC day if this evaluation found its daily loss limit reached."""
    reached = any(line.code == ReasonCode.DAILY_LOSS and line.verdict is LineVerdict.FAIL for line in evaluation.lines)
    if reached:
        LossLatch.objects.get_or_create(
            connection_id=connection_id, date=day_start(now).date(), reset_at=None, defaults={"tripped_at": now}
        )
