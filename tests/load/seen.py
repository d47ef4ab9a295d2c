"""What was planned and what was seen of one soak: read by the judge and by the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.load.diary import Diary
from tests.load.logs import Said
from tests.load.sampling import Sample


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long, how many, how fast. `every_s` is between two proposals of one agent, `approve_every_s` between two
    approvals of the desk, whoever gives them."""

    minutes: float = 20.0
    agents: int = 16
    sockets: int = 200
    every_s: float = 10.0
    approvers: int = 3
    approve_every_s: float = 1.0
    sample_s: float = 5.0
    faults: Sequence[str] = ()
    # A folder in which the logs of all processes are kept.
    logs: Path | None = None


@dataclass(frozen=True)
class Ledger:
    """What is held against each other when it is over: the desk's word and the venue's.

    `approved` maps proposals to their client_order_id; `orders` those to the proposal's state, the order's ("" where
    there is none) and what it filled; `proofs` commands to their exit codes.
    """

    approved: Mapping[str, str] = field(default_factory=dict)
    orders: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    # client_order_id and filled size of each order at the venue.
    at_venue: Sequence[tuple[str, str]] = ()
    proofs: Mapping[str, int] = field(default_factory=dict)
    alarms: Sequence[str] = ()
    # By code: how many came and went by themselves.
    cleared: Mapping[str, int] = field(default_factory=dict)
    trading_state: str = "ACTIVE"


@dataclass
class Seen:
    """One soak. Times are seconds of the diary; there was load from `began` to `loaded_until`."""

    plan: Plan
    diary: Diary
    samples: list[Sample] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    began: float = 0.0
    loaded_until: float = 0.0
    drained_s: float = 0.0
    # From an approval to what was booked of its order, sorted.
    took_s: list[float] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
