"""Which proposals are shown no lessons, so that whether lessons help can be measured, and what became of both shares.

Pure. A proposal counts in the share it was asked for, whatever was done with it then: a warning may work by a trade
that is never made.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from apps.lessons.rules.shares import Difference, Figure, difference, share_of

_WHOLE: Final = 1 << 64


def is_withheld(proposal_id: UUID, percent: int) -> bool:
    """Whether this proposal is in the `percent` that sees nothing. It stays there as the percent grows."""
    place = int.from_bytes(hashlib.blake2b(b"holdout" + proposal_id.bytes, digest_size=8).digest(), "big")
    return place * 100 < percent * _WHOLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An answer with lessons in it, shown or withheld, about a proposal. `lost` of what it became: None while nothing
    has closed, or where nobody knows how it ended."""

    proposal: UUID
    asked_at: datetime
    withheld: bool
    lost: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What became of one share: losses of all proposals, and of those that were traded and closed."""

    of_proposals: Figure
    of_closed: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The two shares since the first proposal was held out. `mixed` were in both, as the percent was changed, and are
    in neither here. `by` is how much more of the proposals that saw lessons lost: below nothing, lessons help."""

    shown: Arm
    withheld: Arm
    mixed: int
    by: Difference


def compare(answers: Iterable[Shown]) -> Compared:
    """The shares beside each other. What was asked before the first was held out had no other share: it is left out."""
    found = sorted(answers, key=lambda one: one.asked_at)
    since = next((one.asked_at for one in found if one.withheld), None)
    by_proposal: dict[UUID, list[Shown]] = {}
    for one in found:
        by_proposal.setdefault(one.proposal, []).append(one)
    begun = [group for group in by_proposal.values() if since is not None and group[0].asked_at >= since]
    held = [group[0] for group in begun if all(one.withheld for one in group)]
    seen = [group[0] for group in begun if not any(one.withheld for one in group)]
    shown, withheld = _arm(seen), _arm(held)
    return Compared(
        shown=shown,
        withheld=withheld,
        mixed=len(begun) - len(held) - len(seen),
        by=difference(shown.of_proposals, withheld.of_proposals),
    )


def _arm(proposals: list[Shown]) -> Arm:
    lost = sum(one.lost is True for one in proposals)
    return Arm(
        of_proposals=share_of(lost, len(proposals)),
        of_closed=share_of(lost, sum(one.lost is not None for one in proposals)),
    )
