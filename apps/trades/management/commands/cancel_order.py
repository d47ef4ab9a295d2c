"""manage.py cancel_order: ask for an order to be canceled."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.utils import timezone

from apps.audit.types import Actor
from apps.common.commands import AnswerCommand
from apps.common.errors import AikaError
from apps.trades.services import cancels
from apps.trades.types import CancelAnswer

SAYS = {
    CancelAnswer.NEVER_SENT: "It had not left: it is canceled, and nothing was sent.",
    CancelAnswer.REQUESTED: "The venue is being asked to cancel it. It may still fill until the venue has answered.",
    CancelAnswer.REMEMBERED: "Whether it is at the venue is not known. It is canceled as soon as it is found there.",
    CancelAnswer.ALREADY_CANCELED: "It is canceled already.",
}


class Command(AnswerCommand):
    help = (
        "Ask for an order to be canceled. Safe to repeat. The workers ask the venue; follow the order until it ended."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("order", metavar="ORDER_ID", type=UUID)
        parser.add_argument("--reason", required=True, help="why, in a sentence that is kept")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            asked = cancels.request_cancel(
                order_id=options["order"],
                actor=Actor.system("manage.py cancel_order"),
                reason=options["reason"],
                now=timezone.now(),
            )
        except AikaError as error:
            raise CommandError(f"{error.code}: {error.message}") from error
        record = {"order": str(options["order"]), "answer": asked.answer.value}
        self.finish(record, as_json=options["json"], lines=[f"{asked.order}: {SAYS[asked.answer]}"])
