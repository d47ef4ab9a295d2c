"""What happens to desks is written down."""

from datetime import datetime

from django.db import transaction

from apps.accounts.models import Desk
from apps.audit.services import events
from apps.audit.types import Actor


def description_of(desk: Desk) -> dict[str, object]:
    """What an audit event says about a desk."""
    return {
        "slug": desk.slug,
        "name": desk.name,
        "reporting_currency": desk.reporting_currency,
        "members": sorted(str(pk) for pk in desk.members.values_list("pk", flat=True)),
    }


@transaction.atomic
def record_change(*, desk: Desk, before: dict[str, object] | None, actor: Actor, now: datetime) -> None:
    """One event with the desk as it was and as it is; nothing where they are equal."""
    after = description_of(desk)
    if after == before:
        return
    events.record(
        stream=f"desk:{desk.pk}",
        kind="desk.changed" if before else "desk.added",
        actor=actor,
        subject=f"desk:{desk.pk}",
        payload={"before": before, "after": after},
        now=now,
    )
