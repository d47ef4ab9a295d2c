"""Django's flush for tests with transaction=True: takes the guards off and puts them back, in one transaction.

What the migrations begin with is there again afterwards: the roles, and the row without which everything counts as
halted. The next test finds what the first one found. Only config.settings.test knows this app; no product code takes
a guard off.
"""

from typing import Any

from django.core.management.commands import flush
from django.db import connections, transaction

from apps.accounts.services import roles
from apps.common import guard_triggers
from apps.common.guards import expected_guards
from apps.policies.models import GLOBAL_SCOPE, TradingState
from apps.policies.types import State
from tests.factories.accounts import LONG_AGO


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        connection = connections[options["database"]]
        expected = expected_guards(connection)
        off = [sql for table in expected for sql in guard_triggers.drop_statements(connection, table)]
        with transaction.atomic(using=options["database"]):
            self._run(connection, off)
            super().handle(**options)
            for table, item in expected.items():
                self._run(connection, guard_triggers.create_statements(connection, table, item.refusals))
            self._begin(with_roles=not options["inhibit_post_migrate"])

    def _begin(self, *, with_roles: bool) -> None:
        if with_roles:  # their permissions are made after a migration, and after a flush that says so
            roles.sync_roles(now=LONG_AGO)
        TradingState.objects.create(scope=GLOBAL_SCOPE, state=State.ACTIVE, changed_by="tests", changed_at=LONG_AGO)

    def _run(self, connection: Any, statements: list[str]) -> None:
        with connection.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)
