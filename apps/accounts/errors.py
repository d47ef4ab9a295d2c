"""Refusals of this app that are not one of the common kinds."""

from typing import ClassVar

from apps.common.errors import AikaError, Forbidden


class Unauthenticated(AikaError):
    """The caller has not shown who they are: no sign-in, or a bad, unknown, expired or revoked key (HTTP 401).

    A wrong secret and an unknown prefix have one code and one message, so that nobody finds out which keys exist.
    """

    http_status: ClassVar[int] = 401


class FactorUnreadable(Forbidden):
    """What is kept of this person's second factor does not open, so no code of theirs counts (HTTP 403)."""
