from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', '0018_limits'),
    ]

    operations = [
        migrations.AlterField(
            model_name='callback',
            name='state',
            field=models.CharField(choices=[('waiting', 'waiting'), ('delivered', 'delivered'), ('refused', 'refused'), ('given_up', 'given up'), ('dismissed', 'dismissed')], default='waiting', max_length=9, verbose_name='state'),
        ),
        migrations.RemoveConstraint(
            model_name='callback',
            name='callback_says_why',
        ),
        migrations.AddConstraint(
            model_name='callback',
            constraint=models.CheckConstraint(condition=~Q(state__in=['refused', 'given_up', 'dismissed']) | ~Q(error=''), name='callback_says_why'),
        ),
    ]
