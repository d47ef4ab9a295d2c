"""A link to a venue's consent page, for one person."""

from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.accounts import selectors as accounts
from apps.common.commands import AnswerCommand
from apps.common.errors import AikaError
from apps.connectors.services import authorisations

if TYPE_CHECKING:
    from apps.accounts.models import User


class Command(AnswerCommand):
    """The state is kept in the database, bound to the person: the link is of no use to anybody else."""

    help = (
        "Print a link with which a person connects their account at a venue. Good once, for ten minutes, and only in a "
        "browser in which that person is signed in here."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("venue", choices=["coinbase"])
        parser.add_argument(
            "--user",
            metavar="USERNAME",
            help="who will open the link; not needed where one person alone manages connections",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """The link alone goes to standard output."""
        person = _person(options["user"])
        try:
            url = authorisations.url_for(person=person, now=timezone.now())
        except AikaError as error:
            raise CommandError(f"{error.message} {error.fix}".strip()) from error
        self.stderr.write(f"For {person.shown_name}, signed in here, within ten minutes:")
        self.finish({"url": url, "user": person.username}, as_json=options["json"], lines=[url])


def _person(username: str | None) -> "User":
    """Who is named; else the only one it can be for. Raises CommandError, which says whom it could be for."""
    if username is None:
        people = accounts.people_whose_work_is(authorisations.MANAGE)
        if len(people) == 1:
            return people[0]
        names = ", ".join(person.username for person in people)
        raise CommandError(
            f"Several people may manage connections: {names}. Name one with --user."
            if people
            else "Nobody active may manage connections. Give somebody the role operator."
        )
    person = accounts.person_named(username)
    if person is None:
        raise CommandError(f"There is no active person {username!r}.")
    return person
