# Stands in for the official PostgreSQL image: the same environment names, folder, and user id.
ARG BASE
FROM ${BASE}
# hadolint ignore=DL3008
RUN groupadd -r -g 999 postgres && useradd -r -u 999 -g 999 -d /var/lib/postgresql postgres \
    && apt-get update -q && apt-get install -q -y --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /var/lib/postgresql \
    && install -d -o 999 -g 999 -m 700 /var/lib/postgresql /var/lib/postgresql/data \
    && install -d -o 999 -g 999 -m 3777 /var/run/postgresql
COPY --chmod=755 stage/images/postgres.sh /postgres.sh
ENV PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data LANG=C.UTF-8
USER 999:999
EXPOSE 5432
ENTRYPOINT ["/postgres.sh"]
