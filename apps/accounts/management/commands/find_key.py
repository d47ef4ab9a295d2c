"""manage.py find_key: whose is a key that was found somewhere, and with --revoke its end."""

import sys
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.accounts.models import ApiKey
from apps.accounts.services import api_keys
from apps.audit.types import Actor
from apps.common.commands import AnswerCommand
from apps.common.decimals import instant_text
from apps.common.errors import Conflict

TEXT_CHARS_MAX = 1_000_000


class Command(AnswerCommand):
    help = "Say whose an API key is, from its prefix, the whole key, or a text that holds one. Prints no secret."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "found", metavar="PREFIX-or-KEY", help="what was found; - reads standard input, which `ps` does not show"
        )
        parser.add_argument("--revoke", action="store_true", help="end the key at once and for good")
        parser.add_argument("--reason", default="Found where it should not be.", help="why, for the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        text = sys.stdin.read(TEXT_CHARS_MAX) if options["found"] == "-" else options["found"]
        found = api_keys.found_in(text)
        if found is None:
            raise CommandError("No key of this installation is in it.")
        key, is_whole = found
        now = timezone.now()
        record, lines = _record(key, is_whole, now), _described(key, is_whole, now)
        if options["revoke"]:
            said = _revoked(key, options["reason"], now)
            record, lines = {**record, "revoke": said}, [*lines, said]
        self.finish(record, as_json=options["json"], lines=lines)


def _revoked(key: ApiKey, reason: str, now: datetime) -> str:
    try:
        api_keys.revoke(key_id=key.pk, actor=Actor.system("manage.py find_key"), now=now, reason=reason)
    except Conflict as error:
        return error.message
    return "Revoked. Programs that hold it are refused from now on."


def _described(key: ApiKey, is_whole: bool | None, now: datetime) -> list[str]:
    owner, used = key.owner, f"{key.last_used_at:%Y-%m-%d %H:%M} UTC" if key.last_used_at else "never"
    return [
        f"Key      {key.name} ({key.prefix}), {key.state_at(now)}",
        f"Owner    {owner.shown_name} <{owner.email}>{'' if owner.is_active else ', who is not active'}",
        f"May      {', '.join(key.scopes)}; from {', '.join(key.networks) or 'anywhere'}",
        f"Used     {used}; ends {key.over_at:%Y-%m-%d %H:%M} UTC",
        f"Found    {_found_words(key, is_whole, now)}",
    ]


def _found_words(key: ApiKey, is_whole: bool | None, now: datetime) -> str:
    if is_whole is None:
        return "only a prefix"
    if not is_whole:
        return "the prefix, with a wrong secret"
    works = key.state_at(now).startswith("in use") and key.owner.is_active
    return "the whole key: it works" if works else "the whole key, which has ended"


def _record(key: ApiKey, is_whole: bool | None, now: datetime) -> dict[str, Any]:
    """The same for a program; nothing secret either."""
    return {
        "name": key.name,
        "prefix": key.prefix,
        "state": key.state_at(now),
        "owner": key.owner.username,
        "owner_is_active": key.owner.is_active,
        "scopes": list(key.scopes),
        "networks": list(key.networks),
        "last_used_at": None if key.last_used_at is None else instant_text(key.last_used_at),
        "ends_at": instant_text(key.over_at),
        "found": _found_words(key, is_whole, now),
    }
