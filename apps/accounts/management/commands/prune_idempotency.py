"""`manage.py prune_idempotency`: forget old answers."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.accounts.services import idempotency
from apps.common.commands import AnswerCommand
from apps.common.errors import Invalid


class Command(AnswerCommand):
    """Run daily by beat, or by hand."""

    help = "Delete stored answers of Idempotency-Keys that are older than some days, at least 7."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One option, in days."""
        super().add_arguments(parser)
        parser.add_argument("--older-than-days", type=int, default=30, metavar="DAYS")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print how many went."""
        try:
            deleted = idempotency.prune(older_than=timedelta(days=options["older_than_days"]), now=timezone.now())
        except Invalid as error:
            raise CommandError(error.message) from error
        said = f"{deleted} stored answers deleted."
        self.finish({"deleted": deleted}, as_json=options["json"], lines=[said])
