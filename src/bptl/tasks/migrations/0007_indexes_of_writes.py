import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):

    dependencies = [
        ('connections', '0003_calls'),
        ('tasks', '0006_fewer_indexes'),
    ]

    operations = [
        migrations.AlterField(
            model_name='lease',
            name='holder',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tasks.process'),
        ),
        # Django 5.2 takes a unique index on the same column for the index of the field and drops it, too: the constraint
        # is out of its sight meanwhile.
        migrations.RemoveConstraint(model_name='lease', name='lease_one_live_per_task'),
        migrations.AlterField(
            model_name='lease',
            name='task',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='leases', to='tasks.task'),
        ),
        migrations.AddConstraint(
            model_name='lease',
            constraint=models.UniqueConstraint(condition=Q(ended_at=None), fields=('task',), name='lease_one_live_per_task'),
        ),
        migrations.AlterField(
            model_name='task',
            name='mapping',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='tasks', to='connections.mapping', verbose_name='mapping'),
        ),
    ]
