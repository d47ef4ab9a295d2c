"""Which proposals are shown no lessons, so that whether lessons help can be measured. The same every time."""

import hashlib
from uuid import UUID

_WHOLE = 1 << 64


def is_withheld(proposal_id: UUID, percent: int) -> bool:
    """Whether this proposal is in the `percent` that sees nothing. It stays there as the percent grows."""
    place = int.from_bytes(hashlib.blake2b(b"holdout" + proposal_id.bytes, digest_size=8).digest(), "big")
    return place * 100 < percent * _WHOLE
