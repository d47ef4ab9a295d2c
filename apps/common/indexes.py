"""An index for a table that may be large by the time it is made."""

from typing import Any

from django.db import migrations


class AddIndexBeside(migrations.AddIndex):
    """AddIndex that lets others write meanwhile, where the database can: PostgreSQL builds it beside them.

    For migrations with `atomic = False`. No time limit: a million rows take longer than any statement of a page. What
    an earlier try left unfinished is dropped first, so that the migration may be run again.
    """

    atomic = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        connection = schema_editor.connection
        if connection.vendor != "postgresql" or connection.in_atomic_block:
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(connection.alias, model):
            return
        name = schema_editor.quote_name(self.index.name)
        schema_editor.execute("SET statement_timeout = 0")
        try:
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            schema_editor.execute(self.index.create_sql(model, schema_editor, concurrently=True))
        finally:
            schema_editor.execute("RESET statement_timeout")

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        connection = schema_editor.connection
        if connection.vendor != "postgresql" or connection.in_atomic_block:
            super().database_backwards(app_label, schema_editor, from_state, to_state)
            return
        model = from_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(connection.alias, model):
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(self.index.name)}")
