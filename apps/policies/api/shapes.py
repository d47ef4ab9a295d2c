"""What answers about policy look like."""

from apps.common.api.shapes import Anything, Count, Instant, Many, Shape, Uuid, Words
from apps.policies.types import VersionState


class Rule(Shape):
    """One typed rule. A scope of null means any."""

    key = Words()
    kind = Words()
    title = Words()
    params = Anything(about="By kind; numbers are texts.")
    connection = Uuid(nullable=True)
    instrument = Words(nullable=True)
    side = Words(nullable=True)
    proposer = Uuid(nullable=True)
    reason = Words()


class Policy(Shape):
    """An active version of a set: frozen, and judging everything that is asked at its desk."""

    id = Uuid()
    policy_set = Words()
    name = Words()
    desk = Words()
    number = Count()
    state = Words(VersionState)
    digest = Words(about="SHA-256 of the rules.")
    note = Words()
    activated_at = Instant()
    rules = Many(Rule)


class Policies(Shape):
    items = Many(Policy)
