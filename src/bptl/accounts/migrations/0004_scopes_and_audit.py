import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models

# Not even who reaches the tables through BPTL may rewrite what happened.
APPEND_ONLY = """
CREATE FUNCTION accounts_auditentry_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'rows of the audit log are never changed'; END $$;
CREATE TRIGGER accounts_auditentry_stays BEFORE UPDATE OR DELETE ON accounts_auditentry
FOR EACH ROW EXECUTE FUNCTION accounts_auditentry_stays();
"""
CHANGEABLE = """
DROP TRIGGER accounts_auditentry_stays ON accounts_auditentry;
DROP FUNCTION accounts_auditentry_stays();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_roles'),
    ]

    operations = [
        migrations.AddField(
            model_name='token',
            name='scopes',
            # Tokens that exist were made to call work units.
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('work-unit:call', 'call work units'), ('tasks:read', 'read tasks'), ('tasks:act', 'act on tasks')], max_length=40), default=['work-unit:call'], size=None, verbose_name='scopes'),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='token',
            name='expires_at',
            field=models.DateTimeField(blank=True, help_text='Empty: it is valid until it is revoked.', null=True, verbose_name='expires at'),
        ),
        migrations.AddField(
            model_name='user',
            name='subject',
            field=models.CharField(blank=True, editable=False, help_text='What the identity provider calls them; empty for who logs in here.', max_length=300, null=True, unique=True, verbose_name='name at the provider'),
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='at')),
                ('actor', models.CharField(max_length=150, verbose_name='by')),
                ('action', models.CharField(max_length=60, verbose_name='action')),
                ('object_type', models.CharField(blank=True, max_length=60, verbose_name='kind of object')),
                ('object_id', models.CharField(blank=True, max_length=64, verbose_name='number of the object')),
                ('object_name', models.CharField(blank=True, max_length=200, verbose_name='object')),
                ('reason', models.TextField(blank=True, verbose_name='reason')),
                ('address', models.GenericIPAddressField(blank=True, null=True, verbose_name='address')),
                ('detail', models.JSONField(default=dict, verbose_name='details')),
            ],
            options={
                'verbose_name': 'audit log entry',
                'verbose_name_plural': 'audit log',
                'ordering': ['-at', '-id'],
                'indexes': [
                    models.Index(fields=['-at', '-id'], name='audit_by_time'),
                    models.Index(fields=['actor', '-at', '-id'], name='audit_by_actor'),
                    models.Index(fields=['object_type', 'object_id', '-at', '-id'], name='audit_by_object'),
                ],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, CHANGEABLE),
    ]
