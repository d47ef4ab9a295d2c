"""Trades of a desk that lost, and proposals like them."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import uuid4

from django.utils import timezone

from apps.lessons.models import Case
from apps.lessons.types import Fact
from apps.trades.models import Proposal
from apps.trades.services import proposals
from apps.trades.types import Narrative
from tests.factories.desk import PaperDesk
from tests.factories.lessons import CaseFactory

NO_STOP: Final = Fact(name="has_planned_stop", value=Decimal(0), unit="yes", limit=Decimal(1), violated=True)
CHASED: Final = Fact(name="chase", value=Decimal(2), unit="ATR", limit=Decimal("0.5"), violated=True)


def lost(paper: PaperDesk, number: int = 3, **changed: Any) -> list[Case]:
    """Trades of the desk that lost yesterday, with a target and without a stop as the proposals of these tests."""
    values = {"tags": (), "facts": (NO_STOP,), "closed_at": timezone.now() - timedelta(days=1), **changed}
    return [CaseFactory(**{"desk": paper.desk, **values}) for _ in range(number)]


def proposed(paper: PaperDesk, *, told: Mapping[str, str] | None = None, **changes: Any) -> Proposal:
    """A proposal with a target and no stop; `told` are facts that its proposer states."""
    facts = {name: Decimal(text) for name, text in (told or {}).items()}
    return proposals.propose(
        intent=paper.intent(**changes),
        narrative=Narrative(rationale="It has held twice.", target=Decimal(70_000), facts=facts),
        principal=paper.principal,
        idempotency_key=str(uuid4()),
        now=timezone.now(),
    )
