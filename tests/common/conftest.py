"""Tables of these tests alone: made inside the test's transaction, gone with it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import isolate_apps

from apps.common.encryption import EncryptedTextField, SealedQuerySet
from apps.common.fields import ExactDecimalField
from apps.common.guards import Guard, InstallGuards


@pytest.fixture
def create_table(db: None) -> Callable[[type[models.Model]], None]:
    """Creates a model's table with its indexes, without the schema editor's own transaction."""

    def create(model: type[models.Model]) -> None:
        editor = connection.schema_editor()
        editor.deferred_sql = []
        sql, parameters = editor.table_sql(model)
        editor.execute(sql, parameters or None)
        for statement in [*editor._model_indexes_sql(model), *editor.deferred_sql]:
            editor.execute(statement, None)

    return create


@pytest.fixture
def install(db: None) -> Callable[[str, list[Guard]], InstallGuards]:
    """Runs the migration operation as a migration would, and returns it."""

    def run(table: str, guards: list[Guard]) -> InstallGuards:
        operation = InstallGuards(table, guards)
        editor = connection.schema_editor()
        editor.deferred_sql = []
        operation.database_forwards("common", editor, None, None)
        return operation

    return run


@pytest.fixture
def price_model(create_table: Callable[[type[models.Model]], None]) -> Any:
    """A model with one exact decimal that is due and one that may be missing."""
    with isolate_apps("tests.guarded_flush"):

        class Price(models.Model):
            name = models.CharField(max_length=20)
            price: Any = ExactDecimalField()
            fee: Any = ExactDecimalField(null=True, blank=True)

            class Meta:
                app_label = "guarded_flush"

            def __str__(self) -> str:
                return self.name

        create_table(Price)
        yield Price


@pytest.fixture
def vault_model(create_table: Callable[[type[models.Model]], None]) -> Any:
    """A model that keeps a secret, and one that may have none."""
    import uuid

    with isolate_apps("tests.guarded_flush"):

        class Vault(models.Model):
            id = models.UUIDField(primary_key=True, default=uuid.uuid4)
            name = models.CharField(max_length=20)
            secret: Any = EncryptedTextField()
            spare: Any = EncryptedTextField(null=True, blank=True)

            objects = SealedQuerySet.as_manager()

            class Meta:
                app_label = "guarded_flush"

            def __str__(self) -> str:
                return self.name

        create_table(Vault)
        yield Vault
