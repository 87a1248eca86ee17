"""The processes: long-polling worker, worker and beat. The only package that imports Celery."""
