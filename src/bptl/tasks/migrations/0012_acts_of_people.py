from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', '0011_service_calls'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('actor', ''), _negated=True), fields=['-at', '-id'], name='event_of_a_person'),
        ),
    ]
