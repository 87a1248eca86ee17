from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', '0014_minutes'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='servicecall',
            index=models.Index(fields=['service', '-began_at'], name='service_call_by_service'),
        ),
    ]
