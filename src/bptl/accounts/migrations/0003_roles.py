from typing import Any

from django.db import migrations

ROLES = ("viewer", "operator", "administrator")


def make_groups(apps: Any, schema_editor: Any) -> None:
    """The groups of the roles. Who was let into the admin pages becomes an administrator; others get their role from one."""
    groups = {name: apps.get_model("auth", "Group").objects.get_or_create(name=name)[0] for name in ROLES}
    for user in apps.get_model("accounts", "User").objects.filter(is_staff=True, is_superuser=False):
        user.groups.add(groups["administrator"])


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_tokens'),
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.RunPython(make_groups, migrations.RunPython.noop, elidable=False),
        migrations.RemoveField(model_name='user', name='is_staff'),
        migrations.AlterModelManagers(
            name='user',
            managers=[],
        ),
    ]
