"""What must be true of the database before Aika writes to it."""

from collections.abc import Sequence
from typing import Any

from django.apps.config import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections

from apps.common.guards import missing_guards


@register(Tags.database)
def guards_stand(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """audit.E001: a trigger that the applied migrations installed is missing, altered or not ours."""
    return [
        Error(
            f"Guard: {problem}.",
            hint="A migration rebuilt the table without InstallGuards, or somebody changed the triggers. "
            "Find out which; a migration that repeats InstallGuards puts them back (migrate --skip-checks).",
            id="audit.E001",
        )
        for alias in databases or ()
        for problem in missing_guards(connections[alias])
    ]
