"""Indexes made beside what is written: what a try left unfinished is in nobody's way."""

from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models
from django.db.migrations.state import ProjectState

from apps.common.indexes import AddIndexBeside

pytestmark = pytest.mark.django_db(transaction=True)

TABLE, NAME = "audit_pulse", "scale_of_pulse"


def standing() -> dict[str, Any]:
    with connection.cursor() as cursor:
        return {
            name: found
            for name, found in connection.introspection.get_constraints(cursor, TABLE).items()
            if found["index"] and name == NAME
        }


def test_it_is_made_again_after_a_try_that_failed_and_taken_back() -> None:
    field = apps.get_model("audit.Pulse")._meta.concrete_fields[1].name
    adds = AddIndexBeside("pulse", models.Index(fields=[field], name=NAME))
    before = ProjectState.from_apps(apps)
    after = before.clone()
    adds.state_forwards("audit", after)
    with connection.schema_editor(atomic=False) as editor:
        adds.database_forwards("audit", editor, before, after)
        if connection.vendor == "postgresql":
            adds.database_forwards("audit", editor, before, after)
    assert list(standing()) == [NAME]
    with connection.schema_editor(atomic=False) as editor:
        adds.database_backwards("audit", editor, after, before)
    assert standing() == {}
