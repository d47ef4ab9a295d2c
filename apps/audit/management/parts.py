"""A part of the log, as both commands take it from the command line."""

from django.core.management.base import CommandError

from apps.audit.services.verification import first_id_since
from apps.common.decimals import parse_instant
from apps.common.errors import Invalid

SINCE = "only events from the first one on that was recorded then or later, such as 2026-03-02T00:00:00Z"


def id_before(since: str | None) -> int:
    """The id after which events belong to the part; 0 for all. Ends the command for what is no instant."""
    if since is None:
        return 0
    try:
        return first_id_since(parse_instant(since, field="--since"))
    except Invalid as error:
        raise CommandError(f"{error.message} {error.fix}", returncode=2) from error
