import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_scopes_and_audit'),
    ]

    operations = [
        migrations.AlterField(
            model_name='token',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('work-unit:call', 'call work units'), ('tasks:read', 'read tasks'), ('tasks:act', 'act on tasks'), ('monitoring:read', 'watch BPTL')], max_length=40), size=None, verbose_name='scopes'),
        ),
    ]
