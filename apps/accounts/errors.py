"""Refusals of this app that are not one of the common kinds."""

from apps.common.errors import AikaError


class Unauthenticated(AikaError):
    """The caller has not shown who they are: a bad, unknown, expired or revoked key, or no sign-in (HTTP 401).

    `.code` is for the log and for tests. Outside, `KEY_UNKNOWN`, `KEY_REVOKED` and `OWNER_INACTIVE` share one
    message, so that nobody can find out which keys exist.
    """
