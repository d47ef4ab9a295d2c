"""`evaluate_recall --lessons F --queries F --qrels F [--provider P]`: how well lessons are found again, as a table."""

from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from apps.common.commands import LongCommand
from apps.common.errors import Invalid, Misconfigured
from apps.lessons import embeddings
from apps.lessons.services import recall_quality


class Command(LongCommand):
    help = "Measure recall on labelled files, without a database: naive hash, hash, the provider, and what is served."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        for name in ("lessons", "queries", "qrels"):
            parser.add_argument(f"--{name}", type=Path, required=True, help="JSON Lines, or gzipped (.gz)")
        parser.add_argument("--provider", choices=embeddings.PROVIDERS, help="default: the one of EMBEDDINGS_PROVIDER")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            provider = embeddings.provider_named(options["provider"]) if options["provider"] else embeddings.provider()
            labelled = recall_quality.read(**{name: options[name] for name in ("lessons", "queries", "qrels")})
            with self.progress("ways") as progress:
                measured = recall_quality.measure(labelled, provider, report=progress)
        except (Invalid, Misconfigured) as error:
            raise CommandError(f"{error.message} {error.fix}") from error
        lines = [
            f"{len(labelled.lessons)} lessons, {len(labelled.queries)} queries; {provider.description}",
            f"{'':38} {'nDCG@10':>8} {'R@5':>6} {'hit@5':>6} {'P@5':>6} {'ms/query':>9}",
            *map(_line, measured),
        ]
        record = {
            "lessons": len(labelled.lessons),
            "queries": len(labelled.queries),
            "provider": provider.id,
            "ways": [{"name": row.name, "query_ms": row.query_ms, **asdict(row.figures)} for row in measured],
        }
        self.finish(record, as_json=options["json"], lines=lines)


def _line(row: recall_quality.Measured) -> str:
    of = row.figures
    return f"{row.name:38} {of.ndcg:8.3f} {of.recall:6.3f} {of.hit:6.3f} {of.precision:6.3f} {row.query_ms:9.2f}"
