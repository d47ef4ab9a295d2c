"""`evaluate_recall --lessons F --queries F --qrels F [--provider P]`: how well lessons are found again, as a table."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.common.errors import Invalid, Misconfigured
from apps.lessons import embeddings
from apps.lessons.services import recall_quality


class Command(BaseCommand):
    help = "Measure recall on labelled files, without a database: naive hash, hash, the provider, and what is served."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        for name in ("lessons", "queries", "qrels"):
            parser.add_argument(f"--{name}", type=Path, required=True, help="JSON Lines, or gzipped (.gz)")
        parser.add_argument("--provider", choices=embeddings.PROVIDERS, help="default: the one of EMBEDDINGS_PROVIDER")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            provider = embeddings.provider_named(options["provider"]) if options["provider"] else embeddings.provider()
            labelled = recall_quality.read(**{name: options[name] for name in ("lessons", "queries", "qrels")})
            measured = recall_quality.measure(labelled, provider)
        except (Invalid, Misconfigured) as error:
            raise CommandError(f"{error.message} {error.fix}") from error
        self.stdout.write(f"{len(labelled.lessons)} lessons, {len(labelled.queries)} queries; {provider.description}")
        self.stdout.write(f"{'':38} {'nDCG@10':>8} {'R@5':>6} {'hit@5':>6} {'P@5':>6} {'ms/query':>9}")
        for row in measured:
            of = row.figures
            self.stdout.write(
                f"{row.name:38} {of.ndcg:8.3f} {of.recall:6.3f} {of.hit:6.3f} {of.precision:6.3f} {row.query_ms:9.2f}"
            )
