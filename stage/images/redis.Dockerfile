# Stands in for the official Valkey or Redis image.
ARG BASE
FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update -q && apt-get install -q -y --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
USER 999:999
EXPOSE 6379
CMD ["redis-server"]
