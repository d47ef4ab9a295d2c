"""Django's flush for tests with transaction=True: takes the guards off and puts them back, in one transaction.

Only config.settings.test knows this app; no product code takes a guard off.
"""

from typing import Any

from django.core.management.commands import flush
from django.db import connections, transaction

from apps.common import guard_triggers
from apps.common.guards import expected_guards


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

    def _run(self, connection: Any, statements: list[str]) -> None:
        with connection.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)
