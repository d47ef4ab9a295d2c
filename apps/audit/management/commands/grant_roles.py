"""`manage.py grant_roles`: the rights of the application's and the auditor's PostgreSQL role."""

from argparse import ArgumentParser
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from apps.audit.services import database_roles
from apps.audit.services.people import at_this_machine
from apps.common.commands import AnswerCommand
from apps.common.errors import AikaError


class Command(AnswerCommand):
    help = (
        "Gives the role of DATABASE_URL exactly the rights the application needs: no UPDATE, DELETE or TRUNCATE where "
        "a guard refuses them. Run it as the owner of the tables (MIGRATION_DATABASE_URL) after every migrate; it "
        "prints what it did and does nothing the second time."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--application", metavar="ROLE", help="by default the user in DATABASE_URL")
        parser.add_argument("--auditor", metavar="ROLE", help="a role that may read the audit tables and nothing else")
        parser.add_argument("--create", action="store_true", help="make missing roles, with DATABASE_URL's password")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        url = urlsplit(settings.DATABASE_URL)
        application = options["application"] or unquote(url.username or "")
        if not application:
            raise CommandError("Name the role: in DATABASE_URL, or by --application.")
        try:
            granted = database_roles.grant(
                application=application,
                auditor=options["auditor"],
                password=unquote(url.password or "") if options["create"] else None,
                dry_run=options["dry_run"],
                by=at_this_machine("grant_roles"),
                now=timezone.now(),
            )
        except AikaError as error:
            raise CommandError(" ".join([str(error), error.fix])) from error
        lines = [f"{statement};" for statement in granted.statements] or ["nothing to do"]
        if granted.statements and options["dry_run"]:
            lines.append("dry run: nothing was changed")
        record = {"statements": list(granted.statements), "dry_run": options["dry_run"]}
        self.finish(record, as_json=options["json"], lines=lines)
