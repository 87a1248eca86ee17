"""Limits of what runs at once, and of when a task is quarantined; a change of them is told to workers as well."""

import django.core.validators
from django.db import migrations, models

TELL = """
CREATE OR REPLACE FUNCTION connections_tell_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('bptl_fetch', ''), pg_notify('bptl_work', 'limits');
    RETURN NULL;
END
$$;
"""

TELL_LINES_ONLY = """
CREATE OR REPLACE FUNCTION connections_tell_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('bptl_fetch', '');
    RETURN NULL;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("connections", "0009_breakers")]

    operations = [
        migrations.AddField(
            model_name='mapping',
            name='most_at_once',
            field=models.PositiveIntegerField(blank=True, help_text='So many of its tasks run at the same time, in all workers together; empty: as many as there is room for.', null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='most at once'),
        ),
        migrations.AddField(
            model_name='mapping',
            name='quarantine_after',
            field=models.PositiveSmallIntegerField(db_default=3, default=3, help_text='So many processes may die on one task, or lose a place to it, before it fails for good and waits for a person.', validators=[django.core.validators.MinValueValidator(1)], verbose_name='quarantine after'),
        ),
        migrations.AddField(
            model_name='service',
            name='most_a_minute',
            field=models.PositiveIntegerField(blank=True, help_text='So many tasks of mappings that use it begin within a minute, spread over it; it counts tasks, not calls: a task may call more than once. Empty: no limit.', null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='most tasks a minute'),
        ),
        migrations.AddField(
            model_name='service',
            name='most_at_once',
            field=models.PositiveIntegerField(blank=True, help_text='So many tasks of mappings that use it run at the same time, in all workers together; empty: as many as there is room for.', null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='most tasks at once'),
        ),
        migrations.AddConstraint(
            model_name='mapping',
            constraint=models.CheckConstraint(condition=models.Q(('most_at_once__gte', 1)), name='mapping_at_least_1_at_once'),
        ),
        migrations.AddConstraint(
            model_name='mapping',
            constraint=models.CheckConstraint(condition=models.Q(('quarantine_after__gte', 1)), name='mapping_quarantine_after_1'),
        ),
        migrations.AddConstraint(
            model_name='service',
            constraint=models.CheckConstraint(condition=models.Q(('most_at_once__gte', 1)), name='service_at_least_1_at_once'),
        ),
        migrations.AddConstraint(
            model_name='service',
            constraint=models.CheckConstraint(condition=models.Q(('most_a_minute__gte', 1)), name='service_at_least_1_a_minute'),
        ),
        migrations.RunSQL(TELL, TELL_LINES_ONLY),
    ]
