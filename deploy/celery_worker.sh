#!/bin/sh
# Worker: /celery_worker.sh [QUEUE [NAME]], else CELERY_WORKER_QUEUE (celery) and CELERY_WORKER_NAME.
# The queue says what it is: celery runs work units, long-polling fetches tasks from the engines.
set -eu
CELERY_WORKER_QUEUE="${1:-${CELERY_WORKER_QUEUE:-celery}}"
export CELERY_WORKER_QUEUE
if [ -n "${2:-}" ]; then
    CELERY_WORKER_NAME="$2"
    export CELERY_WORKER_NAME
fi
case "$CELERY_WORKER_QUEUE" in
    celery) verb=work ;;
    long-polling) verb=poll ;;
    *)
        echo "celery_worker.sh: there is no queue '$CELERY_WORKER_QUEUE': set CELERY_WORKER_QUEUE to celery (runs all" \
            "work units, also those that had a queue of their own) or to long-polling (fetches tasks)" >&2
        exit 2
        ;;
esac
exec bptl wait --broker bptl "$verb"
