"""Migrations: complete, in one line, and every guard stands when they are done."""

import io
import re

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from apps.common.guards import expected_guards, missing_guards

OURS = sorted(config.label for config in apps.get_app_configs() if config.name.startswith("apps."))
# Tables whose rows are history: none of them may be without a guard.
LEDGERS = {
    "audit_event",
    "audit_streamhead",
    "audit_seal",
    "audit_checkpoint",
    "policies_decision",
    "policies_latch",
    "policies_rule",
    "policies_budget",
    "policies_reservation",
    "policies_reservedamount",
    "trades_proposal",
    "trades_authority",
    "trades_order",
    "trades_fill",
    "trades_reconciliationrun",
    "trades_difference",
    "trades_inquiry",
    "trades_hookcall",
    "approvals_vote",
}


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    out, missing = io.StringIO(), None
    try:
        call_command("makemigrations", *OURS, check=True, dry_run=True, stdout=out, verbosity=1)
    except SystemExit as end:
        missing = end.code
    assert not missing, out.getvalue()


@pytest.mark.parametrize("app", OURS)
def test_migrations_stand_in_one_line(app: str) -> None:
    loader = MigrationLoader(None)
    names = sorted(name for label, name in loader.disk_migrations or {} if label == app)
    assert [name[:5] for name in names] == [f"{number:04d}_" for number in range(1, len(names) + 1)]
    assert all(re.fullmatch(r"[0-9]{4}_[a-z0-9_]+", name) for name in names)
    assert len(loader.graph.leaf_nodes(app)) == (1 if names else 0)


@pytest.mark.django_db
def test_every_guard_stands_after_all_migrations() -> None:
    assert [str(problem) for problem in missing_guards(connection)] == []


@pytest.mark.django_db
def test_every_guarded_table_exists_and_every_ledger_is_guarded() -> None:
    guarded = {table for table, item in expected_guards(connection).items() if item.guards}
    tables = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
    assert guarded <= tables
    assert (LEDGERS & tables) - guarded == set()
    assert LEDGERS - tables == set()
