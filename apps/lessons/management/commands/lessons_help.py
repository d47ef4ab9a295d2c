"""`lessons_help [--as-of T]`: whether lessons help, measured now and kept, as a table for each desk."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.utils import timezone

from apps.common.commands import LongCommand, instant_option
from apps.common.errors import AikaError
from apps.lessons.models import Evaluation
from apps.lessons.rules import help_words
from apps.lessons.services import helping


class Command(LongCommand):
    help = (
        "Measure, for each desk that remembers anything, whether a warning would have caught the losses that repeated "
        "(walk-forward, at one false alarm in ten), what people say of recalled lessons, and whether proposals that "
        "saw lessons lost less often than those held out. Kept, and shown in the admin."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--as-of", help="an instant or a day (UTC): what came later is left out; now by default")

    def handle(self, *args: Any, **options: Any) -> None:
        as_of = instant_option(options["as_of"], "--as-of")
        try:
            with self.progress("trades") as progress:
                made = helping.evaluate(now=timezone.now(), as_of=as_of, progress=progress)
        except AikaError as error:
            self.refuse(error)
        lines = [line for row in made for line in _said(row)] or ["No closed trade is remembered: nothing to measure."]
        self.finish([_record(row) for row in made], as_json=options["json"], lines=lines)


def _record(row: Evaluation) -> dict[str, Any]:
    named = ("space", "code", "cases", "judged", "repeats", "answered", "held_out", "figures")
    return {"desk": row.desk.slug, "as_of": row.as_of.isoformat(), **{name: getattr(row, name) for name in named}}


def _said(row: Evaluation) -> Iterator[str]:
    figures = row.figures
    yield f"{row.desk.name}, as of {row.as_of.isoformat()}: {row.cases:,} closed trades, {row.judged:,} judged, of them"
    yield f"{row.repeats:,} repeat losses. Rules {row.code}, space {row.space or 'none'}."
    yield help_words.catches(figures)
    names = ("caught of repeat losses", "right of warnings", "false alarms", "winners flagged")
    yield f"{'':36}" + "".join(f" {name:34}" for name in names).rstrip()
    for line in figures["warnings"]:
        cells = (help_words.figure(line[name]) for name in ("recall", "precision", "false_alarms", "winners"))
        yield f"{help_words.WARNINGS[line['warning']][0]:36}" + "".join(f" {cell:34}" for cell in cells).rstrip()
    said, held = figures["said"], figures["holdout"]
    yield f"Called not similar, of those rated: {help_words.figure(said['dismissed'])}. Shown: {said['shown']:,}."
    yield f"Held out: {help_words.compared(held, percent=held['percent'])}"
    for name, words in (("shown", "saw lessons"), ("withheld", "saw none")):
        yield f"  proposals that {words} and lost: {help_words.figure(held[name]['of_proposals'])}"
