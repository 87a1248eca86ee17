import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('connections', '0010_limits'),
        ('tasks', '0017_callbacks'),
    ]

    operations = [
        migrations.CreateModel(
            name='ServicePace',
            fields=[
                ('service', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='connections.service')),
                ('used_until', models.DateTimeField(help_text='When the next one would begin, were all spread evenly.', verbose_name='used until')),
            ],
            options={
                'verbose_name': 'pace of a service',
                'verbose_name_plural': 'paces of services',
            },
        ),
        migrations.AddField(
            model_name='task',
            name='quarantined_at',
            field=models.DateTimeField(help_text='When it failed for good because of its crashes.', null=True, verbose_name='quarantined at'),
        ),
        migrations.AlterField(
            model_name='task',
            name='crashes',
            field=models.PositiveIntegerField(default=0, help_text="Leases whose process died, or lost a place, while the unit ran; a person's retry clears it.", verbose_name='crashes'),
        ),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(django.db.models.expressions.CombinedExpression(models.F('id'), '*', models.Value(-1)), condition=models.Q(('outcome', 'failed'), ('status', 'delivered'), ('quarantined_at__isnull', False)), name='task_quarantined'),
        ),
    ]
