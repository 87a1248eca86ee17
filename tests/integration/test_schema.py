"""The database has what the models declare, after all migrations."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import Model

FULL_OF_UPDATES = ("tasks_task", "tasks_lease")
OURS = [model for model in apps.get_models() if model.__module__.startswith("bptl.")]


@pytest.mark.django_db
@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_every_index_and_constraint_of_a_model_is_in_the_database(model: type[Model]) -> None:
    # Django 5.2 drops a unique index of one column with the index of that field: no state of migrations shows it.
    declared = {index.name for index in model._meta.indexes} | {one.name for one in model._meta.constraints}
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, model._meta.db_table)
    assert declared - set(found) == set()
    unique = {field.column for field in model._meta.local_concrete_fields if field.unique}
    has_unique = {tuple(one["columns"]) for one in found.values() if one["unique"] or one["primary_key"]}
    assert {(column,) for column in unique} - has_unique == set()


@pytest.mark.django_db
@pytest.mark.parametrize("table", FULL_OF_UPDATES)
def test_pages_of_what_is_updated_three_times_keep_room_for_it(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE oid = %s::regclass", [table])
        assert cursor.fetchone() == (["fillfactor=85"],)
