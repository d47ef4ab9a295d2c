"""Words of recalling: a question to the memory, and what it answers. Plain values, no framework."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from apps.accounts.types import Principal
from apps.lessons.types import CaseVerdict, Evidence, Fact, Filters

K_MAX: Final = 50
K_DEFAULT: Final = 10
WINDOW_DAYS: Final = 30
COUNTED: Final = (CaseVerdict.PROCESS_ERROR, CaseVerdict.EXECUTION)
"""Of losses, those with one of these verdicts count."""
SURE: Final = Decimal("0.95")
"""How sure the count must be that such trades lose more often than the desk does, before it says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What similar trades are looked for. `text` is a thesis or a question in words; `tags` are mistakes that rules
    over facts see in it now, `facts` what detectors measured. What is left empty matches nothing. `counted_only`: of
    similar losses only those that count as evidence."""

    text: str = ""
    product: str = ""
    asset_class: str = ""
    side: str = ""
    setup: str = ""
    tags: Sequence[str] = ()
    facts: Sequence[Fact] = ()
    filters: Filters = Filters()
    proposal_id: UUID | None = None
    include_wins: bool = True
    counted_only: bool = False

    @property
    def violated(self) -> tuple[str, ...]:
        """Names of the facts beyond their limits."""
        return tuple(one.name for one in self.facts if one.violated)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the facts nobody knows."""
        return tuple(one.name for one in self.facts if one.value is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who asks: a person, or a program by the name of its key."""

    person_id: UUID | None = None
    key: str = ""

    @classmethod
    def of(cls, principal: Principal) -> "Viewer":
        """The caller, as a recall keeps them; a program with the owner of its key."""
        return cls(person_id=principal.user_id, key="" if principal.is_person else principal.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """One case of an answer. `item` names it for feedback; `lesson` is None for a case that did not lose; `proposer_id`
    asked for that trade. Money in `currency`; `score` ranks and counts nothing."""

    item: UUID
    case: UUID
    proposer_id: UUID | None
    lesson: UUID | None
    trade: str
    proposal_id: UUID | None
    rank: int
    score: Decimal
    components: Mapping[str, str]
    tags: Sequence[str]
    facts: Sequence[str]
    measured: Mapping[str, str]
    is_counter_example: bool
    result: str
    verdict: str
    product: str
    side: str
    quantity: Decimal
    currency: str
    pnl: Decimal | None
    r_multiple: Decimal | None
    summary: str
    exit_reason: str
    cause: str
    next_time: str
    review_state: str
    opened_at: datetime | None
    closed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexState:
    """Where the answer comes from: the index by space and collection, or, `degraded`, the database alone and why.
    `pending` texts wait to be found, the oldest for `lag_s`."""

    space: str = ""
    collection: str = ""
    degraded: bool = False
    reason: str = ""
    pending: int = 0
    lag_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallAnswer:
    """What was recalled. `withheld`: nothing is shown, so that whether lessons help can be measured."""

    id: UUID | None
    asked_at: datetime
    results: Sequence[Remembered] = ()
    evidence: Evidence | None = None
    index: IndexState = field(default_factory=IndexState)
    withheld: bool = False
    is_known: bool = True

    @property
    def losses(self) -> tuple[Remembered, ...]:
        """What is shown as lessons, the most similar first."""
        return tuple(one for one in self.results if not one.is_counter_example)

    @property
    def counter_example(self) -> Remembered | None:
        """The most similar trade that won."""
        return next((one for one in self.results if one.is_counter_example), None)
