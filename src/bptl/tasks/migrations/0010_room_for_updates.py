from django.db import migrations

# A task is updated three times and its lease too. Without room on its page each new version goes into whatever hole an
# old page still has: another page to read, to write, and to log whole after each checkpoint, for each version.
TABLES = ('tasks_task', 'tasks_lease')


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', '0009_flat_lists'),
    ]

    operations = [
        migrations.RunSQL(f'ALTER TABLE {table} SET (fillfactor = 85)', f'ALTER TABLE {table} RESET (fillfactor)')
        for table in TABLES
    ]
