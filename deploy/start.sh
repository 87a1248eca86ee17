#!/bin/sh
# Web: applies missing migrations (one container at a time), then serves the pages on UWSGI_PORT (8000).
# Arguments go to `bptl web`.
set -eu
exec bptl wait --migrate bptl web --bind "0.0.0.0:${UWSGI_PORT:-8000}" "$@"
