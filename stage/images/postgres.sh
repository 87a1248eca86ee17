#!/bin/sh
# Makes the database on the first start, as the official image does, then becomes the server.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Half a database would look like a whole one on the next start.
    trap 'rm -rf "$PGDATA"' EXIT
    initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust ${POSTGRES_INITDB_ARGS:-}
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=''" start
    createdb -U "$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl -D "$PGDATA" -w -m fast stop
    trap - EXIT
fi
[ "${1:-}" != postgres ] || shift
exec postgres -D "$PGDATA" -c "listen_addresses=*" "$@"
